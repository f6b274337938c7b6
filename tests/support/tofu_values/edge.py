"""Values of infra/tofu/modules/edge."""

from typing import Any

from tofu_values import NAMES

CERTIFICATE = "arn:aws:acm:{}:123456789012:certificate/1234-abcd"
EDGE, ORIGIN = CERTIFICATE.format("us-east-1"), CERTIFICATE.format("eu-west-2")
PAGES = "flip-stag-pages-123456789012"

GOOD: dict[str, Any] = {
    "project": "flip",
    "environment": "stag",
    "vpc_id": "vpc-0a1b",
    "vpc_cidr": "10.20.0.0/16",
    "subnet_ids": {"eu-west-2a": "subnet-0a", "eu-west-2b": "subnet-0b"},
    "domain": "flip.example.org",
    "zone_id": "Z0123456789ABC",
    "certificates": {"edge": EDGE, "origin": ORIGIN},
    "pages_bucket": {
        "name": PAGES,
        "arn": f"arn:aws:s3:::{PAGES}",
        "domain": f"{PAGES}.s3.eu-west-2.amazonaws.com",
    },
    "logs_bucket": {"name": "logs", "domain": "logs.s3.amazonaws.com"},
}
BAD: list[tuple[str, Any]] = [
    *[(name, value) for name, value in NAMES if name in GOOD],
    ("vpc_id", "10.20.0.0/16"),
    ("vpc_cidr", "10.20.0.0"),
    ("subnet_ids", {"eu-west-2a": "subnet-0a"}),
    ("domain", "https://flip.example.org/"),
    ("zone_id", "example.org"),
    ("certificates", {"edge": ORIGIN, "origin": ORIGIN}),
    ("certificates", {"edge": EDGE, "origin": "flip.example.org"}),
    ("pages_bucket", {"name": PAGES, "arn": f"arn:aws:s3:::{PAGES}", "domain": "flip.example.org"}),
    ("logs_bucket", {"name": "logs", "domain": "logs"}),
    ("log_days", 7),
    ("long_poll_seconds", 0),
    ("long_poll_seconds", 91),
    ("trust_key_header", "X-Amz-Trust"),
    ("trust_key_header", "X Trust"),
    ("rate_limit", {"people": 1}),
    ("rate_limit", {"people": 5000, "trusts": 3000}),
    ("sign_in_origins", ["https://sign-in.example.org/path"]),
]
