"""Values of infra/tofu/modules/secrets."""

from typing import Any

from tofu_values import NAMES, PLACE

GOOD: dict[str, Any] = PLACE | {
    "key_arn": "arn:aws:kms:eu-west-2:123456789012:key/1234-abcd",
    "names": {
        "internal-service-key": "FL APIs to the hub",
        "internal-service-key-hash": "the hub's copy",
        "fl-api-key": "the hub to FL APIs",
        "fl-net1-certificate": "a net's certificate",
        "fl-net1-key": "its key",
    },
}
BAD: list[tuple[str, Any]] = [
    *NAMES,
    ("key_arn", "alias/flip-stag-data"),
    ("names", {"FL_KEY": "a key"}),
    ("names", {"flip/key": "a key"}),
    ("names", {"fl-api-secret": "a key"}),
    ("names", {"fl-api-key": ""}),
    ("recovery_days", 3),
    ("recovery_days", 31),
    ("recovery_days", 7.5),
]
