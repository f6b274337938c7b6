"""Values of infra/tofu/modules/backup."""

from typing import Any

from tofu_values import NAMES, PLACE

DATABASE = {"database": "arn:aws:rds:eu-west-2:123456789012:db:flip-stag-hub"}

GOOD: dict[str, Any] = {name: PLACE[name] for name in ("project", "environment")} | {
    "key_arn": "arn:aws:kms:eu-west-2:123456789012:key/1234-abcd",
    "resource_arns": DATABASE | {"volume": "arn:aws:ec2:eu-west-2:123456789012:volume/vol-0123456789abcdef0"},
    "schedule": "cron(30 */6 ? JAN-JUN,12 MON-FRI *)",
}
BAD: list[tuple[str, Any]] = [
    *[(name, value) for name, value in NAMES if name != "account_id"],
    ("key_arn", "alias/flip-stag-data"),
    ("resource_arns", {}),
    ("resource_arns", {"all": "arn:aws:s3:::*"}),
    ("resource_arns", {"table": "arn:aws:dynamodb:eu-west-2:123456789012:table/t"}),
    ("schedule", "0 1 * * ? *"),
    ("schedule", "cron(0 1 * * *)"),
    ("schedule", "rate(1 day)"),
    ("schedule", "cron(0 1 * * * *)"),
    ("schedule", "cron(0 1 ? * ? *)"),
    ("schedule", "cron(99 99 * * ? *)"),
    ("schedule", "cron(0 24 * * ? *)"),
    ("schedule", "cron(* 1 * * ? *)"),
    ("schedule", "cron(0 1 32 * ? *)"),
    ("schedule", "cron(0 1 ? 13 SUN *)"),
    ("schedule", "cron(0 1 ? * 8 *)"),
    ("keep_days", 1),
    ("keep_days", 10.5),
    ("permissions_boundary_arn", "arn:aws:iam::aws:policy/PowerUserAccess"),
]
