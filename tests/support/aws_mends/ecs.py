"""ECS: settings of a service that moto takes and forgets."""

from typing import Any

SETTINGS = {
    "availabilityZoneRebalancing": "availability_zone_rebalancing",
    "deploymentConfiguration": "deployment_configuration",
    "enableECSManagedTags": "enable_ecs_managed_tags",
    "enableExecuteCommand": "enable_execute_command",
    "healthCheckGracePeriodSeconds": "health_check_grace_period_seconds",
}


def keep_settings_of_services() -> None:
    """What a service was given is what it answers with.

    https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Service.html
    """
    from moto.ecs.responses import EC2ContainerServiceResponse as Response

    for call in ("create_service", "update_service"):
        setattr(Response, call, _keeping(getattr(Response, call)))


def _keeping(answer: Any) -> Any:
    def keep(self: Any) -> Any:
        result = answer(self)
        service = getattr(result, "_result", None) or result.result
        for setting, attribute in SETTINGS.items():
            if (value := self._get_param(setting)) is not None:
                setattr(service["service"], attribute, value)
        return result

    return keep


MENDS = (keep_settings_of_services,)
