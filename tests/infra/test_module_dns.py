"""What dns's example makes in an existing zone."""

from collections.abc import Callable
from typing import Any

from tofu_plans import resources

AT = "module.dns"


def test_both_certificates_are_proven_by_dns(example_plan: Callable[[str], dict[str, Any]]) -> None:
    planned = resources(example_plan("dns"))
    for name in ("edge", "origin"):
        certificate = planned[f"{AT}.aws_acm_certificate.{name}"]
        assert (certificate["domain_name"], certificate["validation_method"]) == ("flip.example.org", "DNS")
        assert f"{AT}.aws_acm_certificate_validation.{name}" in planned
    assert planned[f'{AT}.aws_route53_record.caa["issue"]']["records"] == ['0 issue "amazon.com"']


def test_no_zone_is_made(example_plan: Callable[[str], dict[str, Any]]) -> None:
    assert not any(".aws_route53_zone." in address for address in resources(example_plan("dns")))


def test_the_edges_certificate_is_of_us_east_1(example_plan: Callable[[str], dict[str, Any]]) -> None:
    module = example_plan("dns")["configuration"]["root_module"]["module_calls"]["dns"]["module"]
    keys = {entry["address"]: entry["provider_config_key"] for entry in module["resources"]}
    assert keys["aws_acm_certificate.edge"].endswith("aws.us_east_1")
    assert not keys["aws_acm_certificate.origin"].endswith("us_east_1")
