"""Values of infra/tofu/modules/keys."""

from typing import Any

from tofu_values import NAMES, PLACE

GOOD: dict[str, Any] = PLACE | {"region": "eu-west-2", "only": ["logs"]}
BAD: list[tuple[str, Any]] = [
    *NAMES,
    ("region", "eu-west-2a"),
    ("region", "London"),
    ("only", []),
    ("only", ["data", "backup"]),
]
