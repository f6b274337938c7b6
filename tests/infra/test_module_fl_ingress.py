"""What fl_ingress's example opens, and that TLS passes through it."""

from collections.abc import Callable
from typing import Any

import pytest
from tofu_plans import resources

AT = "module.fl_ingress"


@pytest.fixture
def planned(example_plan: Callable[[str], dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return resources(example_plan("fl_ingress"))


def test_the_world_comes_in_on_443_alone(planned: dict[str, dict[str, Any]]) -> None:
    rules = [values for address, values in planned.items() if "_security_group_ingress_rule." in address]
    assert [(rule["cidr_ipv4"], rule["from_port"], rule["to_port"]) for rule in rules] == [("0.0.0.0/0", 443, 443)]
    out = [values for address, values in planned.items() if "_security_group_egress_rule." in address]
    assert [(rule["cidr_ipv4"], rule["from_port"], rule["to_port"]) for rule in out] == [("10.20.0.0/16", 9092, 9092)]


@pytest.mark.parametrize("net", ["net1", "net2"])
def test_each_net_is_reached_on_443_under_its_own_name_and_tls_is_untouched(
    planned: dict[str, dict[str, Any]], net: str
) -> None:
    balancer = planned[f'{AT}.aws_lb.net["{net}"]']
    assert balancer["load_balancer_type"] == "network"
    assert balancer["enable_cross_zone_load_balancing"]
    assert balancer["enable_deletion_protection"]
    listener = planned[f'{AT}.aws_lb_listener.net["{net}"]']
    assert (listener["protocol"], listener["port"]) == ("TCP", 443)
    assert "certificate_arn" not in listener
    group = planned[f'{AT}.aws_lb_target_group.net["{net}"]']
    assert (group["protocol"], group["port"], group["preserve_client_ip"]) == ("TCP", 9092, "true")
    assert group["health_check"][0]["protocol"] == "TCP"
    record = planned[f'{AT}.aws_route53_record.net["{net}"]']
    assert (record["name"], record["type"]) == (f"{net}.flip.example.org", "A")
