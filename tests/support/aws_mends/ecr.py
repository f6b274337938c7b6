"""ECR: pull-through cache rules and repository creation templates, which moto does not have."""

import json
import time
from typing import Any


def keep_rules_and_templates() -> None:
    """What is made is kept, described, changed and deleted; a call about what is not there says so.

    https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_CreatePullThroughCacheRule.html
    https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_CreateRepositoryCreationTemplate.html
    """
    from moto.ecr.responses import ECRResponse

    for kind, key, answer, lists, missing in (
        (
            "pull_through_cache_rule",
            "ecrRepositoryPrefix",
            None,
            "pullThroughCacheRules",
            "PullThroughCacheRuleNotFound",
        ),
        (
            "repository_creation_template",
            "prefix",
            "repositoryCreationTemplate",
            "repositoryCreationTemplates",
            "TemplateNotFound",
        ),
    ):
        for name, action in _actions(kind, key, answer, lists, f"{missing}Exception").items():
            setattr(ECRResponse, name, action)


def _actions(kind: str, key: str, answer: str | None, lists: str, missing: str) -> dict[str, Any]:
    from moto.core.exceptions import JsonRESTError
    from moto.core.responses import ActionResult

    def kept(self: Any) -> dict[str, dict[str, Any]]:
        stores: dict[str, dict[str, Any]] = self.ecr_backend.__dict__.setdefault("flip_kept", {})
        return stores.setdefault(kind, {})

    def wrap(self: Any, entry: dict[str, Any]) -> Any:
        return ActionResult({"registryId": self.current_account, answer: entry} if answer else entry)

    def find(self: Any, name: str) -> dict[str, Any]:
        if name not in kept(self):
            raise JsonRESTError(missing, f"there is no {kind} {name}")
        return kept(self)[name]

    def create(self: Any) -> Any:
        given = json.loads(self.body)
        kept(self)[given[key]] = {"registryId": self.current_account, "createdAt": time.time(), **given}
        return wrap(self, kept(self)[given[key]])

    def update(self: Any) -> Any:
        given = json.loads(self.body)
        find(self, given[key]).update(given)
        return wrap(self, kept(self)[given[key]])

    def delete(self: Any) -> Any:
        entry = find(self, self._get_param(key))
        del kept(self)[entry[key]]
        return wrap(self, entry)

    plural = f"{key}es" if key.endswith("x") else f"{key}s"

    def describe(self: Any) -> Any:
        names = self._get_param(plural)
        return ActionResult({lists: [find(self, name) for name in names] if names else [*kept(self).values()]})

    return {f"create_{kind}": create, f"update_{kind}": update, f"delete_{kind}": delete, f"describe_{kind}s": describe}


MENDS = (keep_rules_and_templates,)
