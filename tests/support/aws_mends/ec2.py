"""EC2: what security groups' rules are for, and instances that are measured every minute."""

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


def monitor_instances() -> None:
    """Detailed monitoring of an instance can be switched on and off; moto answers with an error of its own.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_MonitorInstances.html
    """
    from moto.core.responses import ActionResult
    from moto.ec2.responses.monitoring import Monitoring

    def switch(state: str) -> Any:
        def answer(self: Any) -> ActionResult:
            asked = self._get_param("InstanceIds", [])
            for name in asked:
                self.ec2_backend.get_instance(name).monitoring_state = state
            told = [{"InstanceId": name, "Monitoring": {"State": state}} for name in asked]
            return ActionResult({"InstanceMonitorings": told})

        return answer

    Monitoring.monitor_instances = switch("enabled")  # type: ignore[method-assign]
    Monitoring.unmonitor_instances = switch("disabled")  # type: ignore[method-assign]


def tell_recovery() -> None:
    """An instance tells that AWS recovers it, unless that was switched off; moto tells nothing.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_InstanceMaintenanceOptions.html
    """
    from moto.ec2.models.instances import Instance

    Instance.maintenance_options = {"AutoRecovery": "default"}  # type: ignore[attr-defined]


MENDS = (keep_descriptions_of_rules, monitor_instances, tell_recovery)
