"""Values of infra/tofu/modules/state_backend."""

from typing import Any

from tofu_values import NAMES, PLACE

GOOD: dict[str, Any] = PLACE | {"region": "eu-west-2"}
BAD: list[tuple[str, Any]] = [
    *NAMES,
    ("region", "eu-west-2a"),
    ("region", "London"),
    ("old_versions", {"days": 1}),
    ("old_versions", {"keep": 0}),
    ("old_versions", {"keep": 101}),
    ("log_days", 7),
    ("log_days", 90.5),
]
