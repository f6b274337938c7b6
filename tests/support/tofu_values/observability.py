"""Values of infra/tofu/modules/observability."""

from typing import Any

from tofu_values import NAMES, PLACE

TASKS = {"cluster_name": "flip", "service_names": {"hub": "hub"}, "log_group_names": {"hub": "/flip/hub"}}
HUB = {
    "alb_arn_suffix": "app/flip/1",
    "target_group_arn_suffix": "targetgroup/hub/1",
    "distribution_id": "E1",
    "web_acl_arn": "arn:aws:wafv2:us-east-1:123456789012:global/webacl/flip/1",
}
ACM = "arn:aws:acm:us-east-1:123456789012:certificate/1"

GOOD: dict[str, Any] = PLACE | {
    "region": "eu-west-2",
    "logs_key_arn": "arn:aws:kms:eu-west-2:123456789012:key/1234-abcd",
    "emails": ["hub-on-call@example.org"],
    "budget_usd": 800,
    "tasks": TASKS,
    "hub_front": HUB,
    "fl_front": {
        "nlb_arn_suffixes": {"net1": "net/net1/1"},
        "target_group_arn_suffixes": {"net1": "targetgroup/net1/1"},
    },
    "database": {"instance_id": "flip", "storage_gb": 50},
    "efs_id": "fs-1",
    "certificates": {"edge": ACM, "origin": ACM.replace("us-east-1", "eu-west-2")},
}
BAD: list[tuple[str, Any]] = [
    *NAMES,
    ("region", "eu-west-2a"),
    ("logs_key_arn", "alias/flip-stag-logs"),
    ("emails", []),
    ("emails", [f"operator{at}@example.org" for at in range(11)]),
    ("emails", ["operator"]),
    ("budget_usd", 0),
    ("budget_usd", 99.5),
    ("tasks", TASKS | {"log_group_names": {}}),
    ("tasks", TASKS | {"service_names": {"net1": "fl-net1"}, "log_group_names": {"net1": "/flip/fl/net1"}}),
    ("hub_front", HUB | {"alb_arn_suffix": "flip"}),
    ("hub_front", HUB | {"web_acl_arn": "flip"}),
    ("fl_front", {"nlb_arn_suffixes": {"net1": "app/fl/1"}, "target_group_arn_suffixes": {"net1": "targetgroup/1"}}),
    ("database", {"instance_id": "flip", "storage_gb": 5}),
    ("database", {"instance_id": "flip", "storage_gb": 50, "max_connections": 1}),
    ("efs_id", "flip"),
    ("certificates", {"edge": ACM.replace("us-east-1", "eu-west-2"), "origin": ACM}),
    ("waf_blocked_limit", 0),
]
