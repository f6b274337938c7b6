"""What edge's example lets through, how long it waits, and what it never shows."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tofu_plans import resources

from flipctl.hub.tofu import program

AT = "module.edge"
MODULE = Path(__file__).resolve().parents[2] / "infra/tofu/modules/edge"


@pytest.fixture
def planned(example_plan: Callable[[str], dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return resources(example_plan("edge"))


@pytest.fixture
def distribution(planned: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return planned[f"{AT}.aws_cloudfront_distribution.hub"]


@pytest.fixture
def api(distribution: dict[str, Any]) -> dict[str, Any]:
    (behavior,) = distribution["ordered_cache_behavior"]
    result: dict[str, Any] = behavior
    return result


def test_nothing_on_the_internet_leads_around_cloudfront(planned: dict[str, dict[str, Any]]) -> None:
    assert planned[f"{AT}.aws_lb.hub"]["internal"] is True
    ways_in = {address: values for address, values in planned.items() if "_security_group_ingress_rule." in address}
    assert list(ways_in) == [f"{AT}.aws_vpc_security_group_ingress_rule.cloudfront"]
    (rule,) = ways_in.values()
    assert rule["prefix_list_id"].startswith("pl-")
    assert rule["from_port"] == rule["to_port"] == 443
    assert "0.0.0.0/0" not in json.dumps(planned)
    assert "::/0" not in json.dumps(planned)
    (origin,) = planned[f"{AT}.aws_cloudfront_vpc_origin.hub"]["vpc_origin_endpoint_config"]
    assert origin["origin_protocol_policy"] == "https-only"
    assert origin["origin_ssl_protocols"] == [{"items": ["TLSv1.2"], "quantity": 1}]


def test_no_secret_is_between_cloudfront_and_the_load_balancer(distribution: dict[str, Any]) -> None:
    assert [origin["custom_header"] for origin in distribution["origin"]] == [[], []]


def test_tls_is_1_2_or_newer_on_both_sides(
    planned: dict[str, dict[str, Any]], distribution: dict[str, Any], api: dict[str, Any]
) -> None:
    assert distribution["viewer_certificate"][0]["minimum_protocol_version"] == "TLSv1.2_2021"
    assert planned[f"{AT}.aws_lb_listener.https"]["ssl_policy"] == "ELBSecurityPolicy-TLS13-1-2-2021-06"
    assert api["viewer_protocol_policy"] == "https-only"
    assert distribution["default_cache_behavior"][0]["viewer_protocol_policy"] == "redirect-to-https"


def test_the_api_gets_every_method_and_header_and_nothing_of_it_is_kept(
    distribution: dict[str, Any], api: dict[str, Any]
) -> None:
    assert api["path_pattern"] == "/api/*"
    assert set(api["allowed_methods"]) == {"GET", "HEAD", "OPTIONS", "PUT", "POST", "PATCH", "DELETE"}
    assert api["cache_policy_id"] == "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"  # Managed-CachingDisabled
    assert api["origin_request_policy_id"] == "216adef6-5c7f-47e4-b989-5492eafa07d3"  # Managed-AllViewer
    assert api["compress"] is False
    errors = distribution["custom_error_response"]
    assert {403, 404, 500, 502, 503, 504} <= {error["error_code"] for error in errors}
    assert {error["error_caching_min_ttl"] for error in errors} == {0}
    assert not any(error.get("response_page_path") for error in errors)


def _waits(planned: dict[str, dict[str, Any]], seconds: int) -> dict[str, int]:
    distribution = planned[f"{AT}.aws_cloudfront_distribution.hub"]
    (origin,) = [origin["vpc_origin_config"][0] for origin in distribution["origin"] if origin["vpc_origin_config"]]
    return {
        "poll": seconds,
        "read": origin["origin_read_timeout"],
        "keep": origin["origin_keepalive_timeout"],
        "idle": planned[f"{AT}.aws_lb.hub"]["idle_timeout"],
        "leave": int(planned[f"{AT}.aws_lb_target_group.hub"]["deregistration_delay"]),
    }


@pytest.mark.parametrize("seconds", [30, 90])
def test_a_long_poll_outlives_every_link(
    example_plan: Callable[[str], dict[str, Any]], tofu_env: dict[str, str], tmp_path: Path, seconds: int
) -> None:
    plan = example_plan("edge") if seconds == 30 else _with_seconds(seconds, tofu_env, tmp_path)
    waits = _waits(resources(plan), seconds)
    assert waits["poll"] < waits["read"] < waits["idle"]
    assert waits["poll"] < waits["leave"]
    assert waits["keep"] < waits["idle"]
    assert max(waits["read"], waits["keep"]) <= 120  # API_VpcOriginConfig
    outputs = plan["planned_values"].get("outputs", {})
    assert seconds == 30 or outputs["timeouts"]["value"]["hub_keep_alive"] > waits["idle"]


def _with_seconds(seconds: int, env: dict[str, str], tree: Path) -> dict[str, Any]:
    shutil.copytree(MODULE, tree / "modules/edge")
    stack = tree / "stacks/example"
    stack.mkdir(parents=True)
    example = (MODULE / "README.md").read_text().split("```hcl\n")[1].split("```")[0]
    example = example.replace("  vpc_id      =", f"  long_poll_seconds = {seconds}\n  vpc_id      =")
    (stack / "main.tf").write_text(example + 'output "timeouts" {\n  value = module.edge.timeouts\n}\n')
    for arguments in (["init"], ["plan", "-out=plan"]):
        done = subprocess.run(
            [program(), *arguments, "-no-color"], cwd=stack, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    shown = subprocess.run(
        [program(), "show", "-json", "plan"], cwd=stack, env=env, capture_output=True, text=True, check=True
    )
    result: dict[str, Any] = json.loads(shown.stdout)
    return result


@pytest.fixture
def rules(planned: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {rule["name"]: rule for rule in planned[f"{AT}.aws_wafv2_web_acl.edge"]["rule"]}


def test_the_firewall_does_not_refuse_uploads(rules: dict[str, Any]) -> None:
    (common,) = rules["common"]["statement"][0]["managed_rule_group_statement"]
    counted = {entry["name"] for entry in common["rule_action_override"] if entry["action_to_use"][0]["count"]}
    assert "SizeRestrictions_BODY" in counted
    assert all(name.endswith("_BODY") for name in counted)
    for name in ("reputation", "bad_inputs"):
        assert rules[name]["statement"][0]["managed_rule_group_statement"][0]["rule_action_override"] == []
        assert rules[name]["override_action"][0]["none"] == [{}]


def test_trusts_have_their_own_higher_limit(rules: dict[str, Any]) -> None:
    trusts, people = (rules[name]["statement"][0]["rate_based_statement"][0] for name in ("trusts", "people"))
    assert trusts["limit"] > people["limit"]
    (below,) = trusts["scope_down_statement"][0]["byte_match_statement"]
    (other,) = people["scope_down_statement"][0]["not_statement"][0]["statement"][0]["byte_match_statement"]
    assert below["search_string"] == other["search_string"] == "/api/trust/"


def test_the_firewalls_log_shows_no_key(planned: dict[str, dict[str, Any]]) -> None:
    fields = planned[f"{AT}.aws_wafv2_web_acl_logging_configuration.edge"]["redacted_fields"]
    assert {field["single_header"][0]["name"] for field in fields} == {"authorization", "cookie", "x-trust-api-key"}
    assert planned[f"{AT}.aws_cloudwatch_log_group.firewall"]["name"].startswith("aws-waf-logs-")
    assert not any(
        rule["visibility_config"][0]["sampled_requests_enabled"]
        for rule in planned[f"{AT}.aws_wafv2_web_acl.edge"]["rule"]
    )


def test_what_is_sent_is_guarded_by_headers(planned: dict[str, dict[str, Any]]) -> None:
    for name in ("pages", "api"):
        (headers,) = planned[f'{AT}.aws_cloudfront_response_headers_policy.this["{name}"]']["security_headers_config"]
        assert headers["strict_transport_security"][0]["access_control_max_age_sec"] >= 31536000
        assert headers["frame_options"][0]["frame_option"] == "DENY"
        assert headers["content_type_options"] == [{"override": True}]
        assert "frame-ancestors 'none'" in headers["content_security_policy"][0]["content_security_policy"]


def test_the_distribution_alone_reads_the_pages(example_plan: Callable[[str], dict[str, Any]]) -> None:
    (document,) = [
        entry["change"]["after"]
        for entry in example_plan("edge")["resource_changes"]
        if entry["address"] == f"{AT}.data.aws_iam_policy_document.pages"
    ]
    allowed = [entry for entry in document["statement"] if entry["effect"] != "Deny"]
    assert {entry["principals"][0]["identifiers"][0] for entry in allowed} == {"cloudfront.amazonaws.com"}
    assert all(entry["condition"][0]["variable"] == "aws:SourceArn" for entry in allowed)
    assert [entry["sid"] for entry in document["statement"] if entry["effect"] == "Deny"] == ["TlsOnly"]


def test_the_domain_has_both_kinds_of_address(planned: dict[str, dict[str, Any]]) -> None:
    assert {planned[f'{AT}.aws_route53_record.hub["{kind}"]']["type"] for kind in ("A", "AAAA")} == {"A", "AAAA"}


def test_access_is_logged(planned: dict[str, dict[str, Any]], distribution: dict[str, Any]) -> None:
    assert planned[f"{AT}.aws_lb.hub"]["access_logs"][0]["enabled"] is True
    (log,) = distribution["logging_config"]
    assert (log["bucket"], log["include_cookies"]) == ("flip-stag-logs-123456789012.s3.amazonaws.com", False)
