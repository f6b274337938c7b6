"""Values of infra/tofu/modules/ci_identity."""

from typing import Any

from tofu_values import NAMES, PLACE

BUCKET = "arn:aws:s3:::states"
KEY = "arn:aws:kms:eu-west-2:123456789012:key/1234-abcd"
POLICY = "arn:aws:iam::123456789012:policy"
PLAN, APPLY = "repo:example/flip:pull_request", "repo:example/flip:environment:stag"

GOOD: dict[str, Any] = PLACE | {
    "state": {"bucket_arn": BUCKET, "key_arn": KEY},
    "subjects": {"plan": [PLAN], "apply": [APPLY]},
}
BAD: list[tuple[str, Any]] = [
    *NAMES,
    ("state", {"bucket_arn": "states", "key_arn": KEY}),
    ("state", {"bucket_arn": BUCKET, "key_arn": "alias/states"}),
    ("issuer", "https://token.actions.githubusercontent.com"),
    ("subjects", {"plan": [], "apply": [APPLY]}),
    ("subjects", {"plan": ["repo:example/*"], "apply": [APPLY]}),
    ("subjects", {"plan": [APPLY], "apply": [PLAN]}),
    ("subjects", {"plan": [APPLY], "apply": [APPLY]}),
    ("apply_policy_arns", ["arn:aws:iam::aws:policy/AdministratorAccess"]),
    ("apply_policy_arns", [f"{POLICY}/p{at}" for at in range(11)]),
]
