"""RDS: instances that are told apart, their performance insights, and parameters that somebody set."""

import secrets
import string
from collections.abc import Iterable
from typing import Any


def tell_instances_apart() -> None:
    """Each instance has a resource id of its own, and its performance insights as asked; moto gives all the same id,
    which is what the provider finds an instance by, and drops the insights.

    https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DBInstance.html
    """
    from moto.rds.models import DBInstance

    make = DBInstance.__init__
    letters = string.ascii_uppercase + string.digits

    def with_its_own(self: Any, *arguments: Any, **named: Any) -> None:
        make(self, *arguments, **named)
        self.dbi_resource_id = "db-" + "".join(secrets.choice(letters) for _ in range(26))
        if named.get("enable_performance_insights"):
            self.performance_insights_enabled = True
            self.performance_insights_kms_key_id = named.get("performance_insights_kms_key_id")
            self.performance_insights_retention_period = named.get("performance_insights_retention_period", 7)

    DBInstance.__init__ = with_its_own


def say_who_set_a_parameter() -> None:
    """A parameter that was set has the source `user`, by which the provider asks for it; moto tells none.

    https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DescribeDBParameters.html
    """
    from moto.rds.models import DBParameterGroup

    update = DBParameterGroup.update_parameters

    def as_user(self: Any, new_parameters: Iterable[dict[str, Any]]) -> None:
        update(self, [{"Source": "user", "ApplyMethod": "immediate"} | parameter for parameter in new_parameters])

    DBParameterGroup.update_parameters = as_user


MENDS = (tell_instances_apart, say_who_set_a_parameter)
