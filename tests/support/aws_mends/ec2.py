"""EC2: what security groups' rules are for."""

import inspect
from typing import Any


def keep_descriptions_of_rules() -> None:
    """A rule keeps its description, also one for another group or a prefix list; moto keeps those for addresses.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_SecurityGroupRule.html
    """
    from moto.ec2.models.security_groups import SecurityGroupRule

    make = SecurityGroupRule.__init__

    def init(self: Any, *arguments: Any, **named: Any) -> None:
        make(self, *arguments, **named)
        told = inspect.signature(make).bind(self, *arguments, **named).arguments
        self.flip_prefix_list = told.get("prefix_list_id") or {}

    def description(self: Any) -> str | None:
        sides = (self.ip_range, self.source_group, self.flip_prefix_list)
        return next((side["Description"] for side in sides if side.get("Description")), None)

    SecurityGroupRule.__init__ = init  # type: ignore[method-assign]
    SecurityGroupRule.description = property(description)  # type: ignore[assignment,method-assign]


MENDS = (keep_descriptions_of_rules,)
