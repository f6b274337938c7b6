"""What the example of module observability plans: alarms that say what to do, and reach somebody."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from tofu_plans import resources

SECONDS = {10, 30, *range(60, 86401, 60)}  # periods that CloudWatch has


@pytest.fixture
def planned(example_plan: Callable[[str], dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Planned values by address."""
    return resources(example_plan("observability"))


@pytest.fixture
def alarms(planned: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Those of the alarms, by name without project and environment."""
    prefix = "flip-stag-"
    found = {
        v["alarm_name"].removeprefix(prefix): v for a, v in planned.items() if ".aws_cloudwatch_metric_alarm." in a
    }
    assert found
    return found


def test_what_can_break_has_an_alarm(alarms: dict[str, dict[str, Any]]) -> None:
    hub = {"hub-errors", "hub-unanswered", "hub-no-target", "hub-tasks", "edge-errors", "edge-blocked"}
    database = {"database-cpu", "database-storage", "database-connections", "database-memory"}
    rest = {"certificate-origin", "certificate-edge", "fl-net1-no-target", "net1-tasks", "fl-files-busy"}
    assert set(alarms) == hub | database | rest


def test_each_says_what_to_do_and_is_one_that_cloudwatch_takes(alarms: dict[str, dict[str, Any]]) -> None:
    for name, alarm in alarms.items():
        assert 80 < len(alarm["alarm_description"]) <= 1024, name
        assert any(verb in alarm["alarm_description"] for verb in ("ook ", "ee ", "aise ", "hoose ", "pply ")), name
        metrics = [query["metric"][0] for query in alarm.get("metric_query", []) if query.get("metric")] or [alarm]
        for metric in metrics:
            assert metric["period"] in SECONDS
            assert metric["period"] * alarm["evaluation_periods"] <= 86400


def test_silence_where_there_should_be_a_target_is_an_alarm(alarms: dict[str, dict[str, Any]]) -> None:
    for name in ("hub-no-target", "fl-net1-no-target", "hub-tasks", "net1-tasks"):
        assert alarms[name]["treat_missing_data"] == "breaching"


def test_topics_are_encrypted_and_only_the_accounts_alarms_tell_them(planned: dict[str, dict[str, Any]]) -> None:
    module = "module.observability"
    assert planned[f"{module}.aws_sns_topic.region"]["kms_master_key_id"].startswith("arn:aws:kms:eu-west-2:")
    assert planned[f"{module}.aws_kms_key.edge"]["enable_key_rotation"]
    for policy in json.loads(planned[f"{module}.aws_kms_key.edge"]["policy"])["Statement"][1:]:
        assert policy["Condition"] == {"StringEquals": {"aws:SourceAccount": "123456789012"}}
    assert len([address for address in planned if "aws_sns_topic_subscription" in address]) == 2


def test_the_dashboard_draws_each_alarms_metric_where_it_is(planned: dict[str, dict[str, Any]]) -> None:
    (dashboard,) = [values for address, values in planned.items() if "dashboard" in address]
    widgets = json.loads(dashboard["dashboard_body"])["widgets"]
    assert all(widget["x"] + widget["width"] <= 24 for widget in widgets)
    for widget in widgets:
        for line in widget["properties"]["metrics"]:
            *path, options = line
            assert len(path) % 2 == 0
            assert set(options) == {"stat"}
            edge = (
                path[0] in ("AWS/CloudFront", "AWS/WAFV2")
                or "certificate/8b7f0b1c-2f0a-4d5b-9a55-1f0c6f1f8f04" in path[-1]
            )
            assert (widget["properties"]["region"] == "us-east-1") == edge, path


def test_costs_are_told_when_spent_and_when_foreseen(planned: dict[str, dict[str, Any]]) -> None:
    (budget,) = [values for address, values in planned.items() if "budget" in address]
    told = {(one["notification_type"], one["threshold"]) for one in budget["notification"]}
    assert told == {("ACTUAL", 80), ("ACTUAL", 100), ("FORECASTED", 100)}
    assert all(one["subscriber_email_addresses"] for one in budget["notification"])
