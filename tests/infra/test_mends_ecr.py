"""What the mends of ECR restore; without its mend each of these fails."""

from typing import Any

import boto3
import pytest

ROLE = "arn:aws:iam::123456789012:role/registry"


def _ecr(env: dict[str, str]) -> Any:
    return boto3.client(
        "ecr",
        endpoint_url=env["AWS_ENDPOINT_URL"],
        region_name="eu-west-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


def test_a_pull_through_cache_rule_is_kept_until_it_is_deleted(tofu_env: dict[str, str]) -> None:
    ecr = _ecr(tofu_env)
    ecr.create_pull_through_cache_rule(ecrRepositoryPrefix="mended", upstreamRegistryUrl="quay.io")
    (rule,) = ecr.describe_pull_through_cache_rules(ecrRepositoryPrefixes=["mended"])["pullThroughCacheRules"]
    assert rule["upstreamRegistryUrl"] == "quay.io"
    ecr.delete_pull_through_cache_rule(ecrRepositoryPrefix="mended")
    with pytest.raises(ecr.exceptions.PullThroughCacheRuleNotFoundException):
        ecr.describe_pull_through_cache_rules(ecrRepositoryPrefixes=["mended"])


def test_a_template_is_kept_changed_and_deleted(tofu_env: dict[str, str]) -> None:
    ecr = _ecr(tofu_env)
    template = {"prefix": "mended", "imageTagMutability": "IMMUTABLE", "customRoleArn": ROLE}
    ecr.create_repository_creation_template(**template, appliedFor=["PULL_THROUGH_CACHE"])
    ecr.update_repository_creation_template(prefix="mended", description="changed")
    (found,) = ecr.describe_repository_creation_templates(prefixes=["mended"])["repositoryCreationTemplates"]
    assert template | {"description": "changed"} == {name: found[name] for name in (*template, "description")}
    ecr.delete_repository_creation_template(prefix="mended")
    with pytest.raises(ecr.exceptions.TemplateNotFoundException):
        ecr.delete_repository_creation_template(prefix="mended")
