"""Values of infra/tofu/modules/registry."""

from typing import Any

from tofu_values import NAMES, PLACE

SECRETS = "arn:aws:secretsmanager:eu-west-2:123456789012:secret"
CREDENTIAL = f"{SECRETS}:ecr-pullthroughcache/ghcr"

GOOD: dict[str, Any] = PLACE | {
    "region": "eu-west-2",
    "credential_secret_arn": CREDENTIAL,
    "key_arn": "arn:aws:kms:eu-west-2:123456789012:key/1234-abcd",
}
BAD: list[tuple[str, Any]] = [
    *NAMES,
    ("project", "flip--hub"),
    ("region", "London"),
    ("upstream", "docker.io"),
    ("credential_secret_arn", None),
    ("credential_secret_arn", f"{SECRETS}:ghcr"),
    ("credential_secret_arn", CREDENTIAL.replace("eu-west-2", "us-east-1")),
    ("key_arn", "alias/flip-stag-data"),
    ("permissions_boundary_arn", "flip-stag-ci-boundary"),
]
