"""Application Auto Scaling: tags of a scalable target, which moto does not have."""

import json
from typing import Any


def keep_tags() -> None:
    """The provider asks for a target's tags at each plan.

    https://docs.aws.amazon.com/autoscaling/application/APIReference/API_ListTagsForResource.html
    """
    from moto.applicationautoscaling.responses import ApplicationAutoScalingResponse as Response

    register = Response.register_scalable_target

    def tags(self: Any, arn: str) -> dict[str, str]:
        kept: dict[str, dict[str, str]] = self.applicationautoscaling_backend.__dict__.setdefault("flip_tags", {})
        return kept.setdefault(arn, {})

    def with_tags(self: Any) -> str:
        answer: str = register(self)
        tags(self, json.loads(answer)["ScalableTargetARN"]).update(self._get_param("Tags") or {})
        return answer

    def tag(self: Any) -> str:
        tags(self, self._get_param("ResourceARN")).update(self._get_param("Tags"))
        return "{}"

    def untag(self: Any) -> str:
        for key in self._get_param("TagKeys"):
            tags(self, self._get_param("ResourceARN")).pop(key, None)
        return "{}"

    Response.register_scalable_target = with_tags
    Response.tag_resource = tag
    Response.untag_resource = untag
    Response.list_tags_for_resource = lambda self: json.dumps({"Tags": tags(self, self._get_param("ResourceARN"))})


MENDS = (keep_tags,)
