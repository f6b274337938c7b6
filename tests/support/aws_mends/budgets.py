"""Budgets: who is told, and tags, which moto does not answer for."""

import json
from typing import Any

SAME = ("NotificationType", "ComparisonOperator", "Threshold")


def say_who_is_told() -> None:
    """A notification's subscribers are those it was made with.

    https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_budgets_DescribeSubscribersForNotification.html
    """
    from moto.budgets.responses import BudgetsResponse

    def subscribers(self: Any) -> str:
        asked = self._get_param("Notification")
        budget = self.backend.budgets[self._get_param("AccountId")][self._get_param("BudgetName")]
        found = [it for it in budget.notifications if all(it.details.get(name) == asked.get(name) for name in SAME)]
        return json.dumps({"Subscribers": [one for it in found for one in it.subscribers]})

    BudgetsResponse.describe_subscribers_for_notification = subscribers


def keep_tags() -> None:
    """A budget has the tags it was made with.

    https://docs.aws.amazon.com/aws-cost-management/latest/APIReference/API_budgets_ListTagsForResource.html
    """
    from moto.budgets.responses import BudgetsResponse

    create = BudgetsResponse.create_budget

    def kept(self: Any) -> dict[str, list[dict[str, str]]]:
        tags: dict[str, list[dict[str, str]]] = self.backend.__dict__.setdefault("flip_tags", {})
        return tags

    def with_tags(self: Any) -> str:
        answer: str = create(self)
        name = f"arn:aws:budgets::{self._get_param('AccountId')}:budget/{self._get_param('Budget')['BudgetName']}"
        kept(self)[name] = self._get_param("ResourceTags") or []
        return answer

    BudgetsResponse.create_budget = with_tags
    BudgetsResponse.list_tags_for_resource = lambda self: json.dumps(
        {"ResourceTags": kept(self).get(self._get_param("ResourceARN"), [])}
    )


MENDS = (say_who_is_told, keep_tags)
