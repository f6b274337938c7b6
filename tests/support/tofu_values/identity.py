"""Values of infra/tofu/modules/identity."""

from typing import Any

from tofu_values import NAMES, PLACE

SES = "arn:aws:ses:eu-west-2:123456789012:identity/example.org"

GOOD: dict[str, Any] = PLACE | {
    "region": "eu-west-2",
    "domain": "flip.example.org",
    "mail": {"identity_arn": SES, "from": "FLIP <flip@example.org>"},
}
BAD: list[tuple[str, Any]] = [
    *NAMES,
    ("region", "eu-west-2a"),
    ("domain", "https://flip.example.org/"),
    ("domain", "Flip.example.org"),
    ("callback_path", "auth/callback"),
    ("callback_path", "/auth/*"),
    ("sign_in_prefix", "Flip"),
    ("sign_in_prefix", "flip-on-aws"),
    ("mfa", "OFF"),
    ("threat_protection", "ON"),
    ("session", {"hours": 0}),
    ("session", {"hours": 1000}),
    ("session", {"token_minutes": 1}),
    ("mail", {"identity_arn": "example.org", "from": "flip@example.org"}),
    ("mail", {"identity_arn": SES, "from": "flip"}),
]
