"""infra/tofu/modules/network: what reaches what."""

from collections.abc import Callable
from ipaddress import ip_network
from itertools import combinations
from typing import Any

import pytest
from tofu_plans import resources


@pytest.fixture
def planned(example_plan: Callable[[str], dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return resources(example_plan("network"))


def _of(planned: dict[str, dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    return {name.split(f".{kind}.")[1]: values for name, values in planned.items() if f".{kind}." in name}


def test_subnets_lie_apart_within_the_network(planned: dict[str, dict[str, Any]]) -> None:
    (vpc,) = _of(planned, "aws_vpc").values()
    subnets = [ip_network(subnet["cidr_block"]) for subnet in _of(planned, "aws_subnet").values()]
    assert len(subnets) == 6
    assert all(subnet.subnet_of(ip_network(vpc["cidr_block"])) for subnet in subnets)
    assert not any(one.overlaps(other) for one, other in combinations(subnets, 2))


def test_a_subnets_addresses_follow_from_its_zones_letter(planned: dict[str, dict[str, Any]]) -> None:
    found = {name: subnet["cidr_block"] for name, subnet in _of(planned, "aws_subnet").items()}
    assert found == {
        'private["eu-west-2a"]': "10.64.0.0/20",
        'private["eu-west-2b"]': "10.64.16.0/20",
        'public["eu-west-2a"]': "10.64.128.0/21",
        'public["eu-west-2b"]': "10.64.136.0/21",
        'data["eu-west-2a"]': "10.64.192.0/21",
        'data["eu-west-2b"]': "10.64.200.0/21",
    }


def test_no_subnet_hands_out_public_addresses(planned: dict[str, dict[str, Any]]) -> None:
    assert not any(subnet["map_public_ip_on_launch"] for subnet in _of(planned, "aws_subnet").values())


def test_only_two_kinds_of_route_lead_out(planned: dict[str, dict[str, Any]]) -> None:
    """From public subnets to the internet, from private ones to NAT; from data subnets there is none."""
    assert set(_of(planned, "aws_route")) == {"internet", 'nat["eu-west-2a"]', 'nat["eu-west-2b"]'}
    assert not any(table.get("route") for table in _of(planned, "aws_route_table").values())
    assert len(_of(planned, "aws_nat_gateway")) == 1


def test_nothing_is_let_in_but_https_from_the_network(planned: dict[str, dict[str, Any]]) -> None:
    (rule,) = _of(planned, "aws_vpc_security_group_ingress_rule").values()
    assert (rule["cidr_ipv4"], rule["from_port"], rule["to_port"]) == ("10.64.0.0/16", 443, 443)
    assert not _of(planned, "aws_vpc_security_group_egress_rule")
    (closed,) = _of(planned, "aws_default_security_group").values()
    assert not closed.get("ingress")
    assert not closed.get("egress")


def test_traffic_is_logged_and_the_log_encrypted(planned: dict[str, dict[str, Any]]) -> None:
    (log,) = _of(planned, "aws_flow_log").values()
    assert log["traffic_type"] == "ALL"
    (group,) = _of(planned, "aws_cloudwatch_log_group").values()
    assert group["kms_key_id"].endswith("key/00000000-0000-4000-8000-000000000002")
    assert group["retention_in_days"] == 365


def test_endpoints_answer_by_the_services_own_names(planned: dict[str, dict[str, Any]]) -> None:
    endpoints = _of(planned, "aws_vpc_endpoint")
    kinds = {
        endpoint["service_name"].removeprefix("com.amazonaws.eu-west-2."): endpoint for endpoint in endpoints.values()
    }
    assert kinds.pop("s3")["vpc_endpoint_type"] == "Gateway"
    assert {"ecr.api", "ecr.dkr", "kms", "logs", "secretsmanager", "sts"} == set(kinds)
    assert all(endpoint["private_dns_enabled"] for endpoint in kinds.values())
