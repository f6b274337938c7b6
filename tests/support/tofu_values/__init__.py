"""For each module of infra/tofu a file of its name: GOOD values that it takes, BAD ones that it refuses."""

from typing import Any

PLACE: dict[str, Any] = {"project": "flip", "environment": "stag", "account_id": "123456789012"}
NAMES: list[tuple[str, Any]] = [
    ("project", "FLIP"),
    ("project", "a-name-of-17-chars"),
    ("project", None),
    ("environment", "Staging"),
    ("environment", "staging-two"),
    ("account_id", "1234-5678-9012"),
]
