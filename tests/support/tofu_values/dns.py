"""Values of infra/tofu/modules/dns."""

from typing import Any

GOOD: dict[str, Any] = {"domain": "flip.example.org", "zone": "example.org"}
BAD: list[tuple[str, Any]] = [
    ("domain", "https://flip.example.org"),
    ("domain", "FLIP.example.org"),
    ("domain", f"{'a' * 53}.example.org"),
    ("domain", "flip.example.com"),
    ("domain", "flipexample.org"),
    ("domain", None),
    ("zone", "example.org."),
    ("caa_issuers", ["letsencrypt.org"]),
]
