"""What the mends of Budgets restore; without its mend each of these fails."""

from typing import Any

import boto3
import pytest

ACCOUNT = "123456789012"
NOTIFICATION = {"NotificationType": "FORECASTED", "ComparisonOperator": "GREATER_THAN", "Threshold": 100}


@pytest.fixture
def budgets(tofu_env: dict[str, str]) -> Any:
    """Budgets, with one of them."""
    client = boto3.client(
        "budgets",
        endpoint_url=tofu_env["AWS_ENDPOINT_URL"],
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    limit = {"Amount": "10", "Unit": "USD"}
    told = [{"SubscriptionType": "EMAIL", "Address": "a@example.org"}]
    client.create_budget(
        AccountId=ACCOUNT,
        Budget={"BudgetName": "mended", "BudgetType": "COST", "TimeUnit": "MONTHLY", "BudgetLimit": limit},
        NotificationsWithSubscribers=[{"Notification": NOTIFICATION, "Subscribers": told}],
        ResourceTags=[{"Key": "one", "Value": "1"}],
    )
    yield client
    client.delete_budget(AccountId=ACCOUNT, BudgetName="mended")


def test_who_is_told_is_said(budgets: Any) -> None:
    asked = {"AccountId": ACCOUNT, "BudgetName": "mended"}
    told = budgets.describe_subscribers_for_notification(**asked, Notification=NOTIFICATION)["Subscribers"]
    assert [one["Address"] for one in told] == ["a@example.org"]
    other = NOTIFICATION | {"Threshold": 80}
    assert budgets.describe_subscribers_for_notification(**asked, Notification=other)["Subscribers"] == []


def test_tags_are_kept(budgets: Any) -> None:
    arn = f"arn:aws:budgets::{ACCOUNT}:budget/mended"
    assert budgets.list_tags_for_resource(ResourceARN=arn)["ResourceTags"] == [{"Key": "one", "Value": "1"}]
