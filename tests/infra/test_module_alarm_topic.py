"""infra/tofu/modules/alarm_topic: who publishes."""

import json
from collections.abc import Callable
from typing import Any

from tofu_plans import resources


def test_the_accounts_alarms_alone_publish_to_it(example_plan: Callable[[str], dict[str, Any]]) -> None:
    planned = resources(example_plan("alarm_topic"))
    assert planned["module.alarm_topic.aws_sns_topic.alarms"]["kms_master_key_id"]
    (statement,) = json.loads(planned["module.alarm_topic.aws_sns_topic_policy.alarms"]["policy"])["Statement"]
    assert statement["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert statement["Condition"]["StringEquals"] == {"aws:SourceAccount": "123456789012"}
