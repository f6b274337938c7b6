"""What the example of module registry plans: encrypted repositories whose images nobody replaces or removes."""

from collections.abc import Callable
from typing import Any

from tofu_plans import resources


def test_repositories_are_encrypted_and_keep_what_they_have(example_plan: Callable[[str], dict[str, Any]]) -> None:
    planned = resources(example_plan("registry"))
    template = planned["module.registry.aws_ecr_repository_creation_template.this"]
    key = "arn:aws:kms:eu-west-2:123456789012:key/8b7f0b1c-2f0a-4d5b-9a55-1f0c6f1f8f00"
    assert template["encryption_configuration"] == [{"encryption_type": "KMS", "kms_key": key}]
    assert template["image_tag_mutability"] == "IMMUTABLE"
    assert template["applied_for"] == ["PULL_THROUGH_CACHE"]
    assert "lifecycle_policy" not in template
    assert "repository_policy" not in template
    rule = planned["module.registry.aws_ecr_pull_through_cache_rule.this"]
    assert rule["ecr_repository_prefix"] == template["prefix"]
    assert "secret:ecr-pullthroughcache/" in rule["credential_arn"]


def test_the_registry_is_of_the_account_and_the_region(example_plan: Callable[[str], dict[str, Any]]) -> None:
    plan = example_plan("registry")
    (scanning,) = [values for address, values in resources(plan).items() if "scanning" in address]
    assert scanning["rule"][0]["repository_filter"] == [{"filter": "flip-stag/*", "filter_type": "WILDCARD"}]
