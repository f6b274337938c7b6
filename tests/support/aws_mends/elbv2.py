"""Load balancers: which kind one is, its ARN says."""

from typing import Any


def name_network_load_balancers() -> None:
    """A network load balancer's ARN has `net/`; moto writes `app/` for all, and alarms would watch what is not there.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-cloudwatch-metrics.html
    """
    from moto.elbv2 import models

    create, name = models.ELBv2Backend.create_load_balancer, models.make_arn_for_load_balancer
    kinds: list[str] = []

    def make_arn(**named: Any) -> str:
        return name(**named).replace("loadbalancer/app/", f"loadbalancer/{kinds[-1]}/")

    def create_load_balancer(self: Any, *arguments: Any, **named: Any) -> Any:
        kinds.append("net" if named.get("loadbalancer_type") == "network" else "app")
        try:
            return create(self, *arguments, **named)
        finally:
            kinds.pop()

    models.make_arn_for_load_balancer = make_arn  # type: ignore[assignment]
    models.ELBv2Backend.create_load_balancer = create_load_balancer  # type: ignore[method-assign]


MENDS = (name_network_load_balancers,)
