"""What a hub costs a month: the resources of a plan, by a dated list of prices and by what is assumed of its use."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flipctl.hub import HubError
from flipctl.hub.environment import SOURCES

PRICES = SOURCES / "prices/us-east-1.json"
HOURS = 730  # of a month, as AWS reckons
COGNITO_FREE_USERS = 10_000
CLOUDFRONT_FREE_GB = 1000
CLOUDFRONT_FREE_MILLIONS = 10
FARGATE_FREE_DISK_GB = 20

Values = dict[str, Any]
Part = tuple[str, float, str]
"""What is paid for, how much of it, and the name of its price."""


@dataclass(frozen=True)
class Cost:
    """One price of one resource, for a month."""

    address: str
    what: str
    quantity: float
    unit: str
    usd: float


@dataclass(frozen=True)
class Prices:
    """The list; `usage` is what is assumed, by name."""

    region: str
    as_of: str
    elsewhere: str
    prices: dict[str, dict[str, Any]]
    usage: dict[str, float]
    free: dict[str, str]

    @classmethod
    def read(cls, path: Path = PRICES) -> "Prices":
        """From its file."""
        document = json.loads(path.read_text())
        usage = {name: float(entry["value"]) for name, entry in document["usage"].items()}
        return cls(
            document["region"],
            document["as_of"],
            document["elsewhere"],
            document["prices"],
            usage,
            document["free"],
        )

    def with_usage(self, changes: list[str]) -> "Prices":
        """With other assumptions, each as NAME=NUMBER.

        Raises:
            HubError: a name is not in the list, or what follows is no number.
        """
        usage = dict(self.usage)
        for change in changes:
            name, _, number = change.partition("=")
            try:
                usage[name] = float(number)
            except ValueError:
                raise HubError(f"--usage {change}: write a number, such as {name}=20") from None
            if name not in self.usage or usage[name] < 0:
                raise HubError(f"--usage {change}: what can be said is {', '.join(sorted(self.usage))}, 0 or more")
        return Prices(self.region, self.as_of, self.elsewhere, self.prices, usage, self.free)


def resources(module: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What a module of a plan's `planned_values`, or a state's `values`, manages, with that of the modules below it."""
    yield from (entry for entry in module.get("resources", []) if entry["mode"] == "managed")
    for below in module.get("child_modules", []):
        yield from resources(below)


def price(document: dict[str, Any], prices: Prices) -> list[Cost]:
    """What the hub of a plan (`show -json`) costs.

    Raises:
        HubError: there is a resource or a size that the list says nothing of.
    """
    found = {entry["address"]: entry for entry in resources(document["planned_values"]["root_module"])}
    unknown = sorted({entry["type"] for entry in found.values()} - PRICED.keys() - prices.free.keys())
    if unknown:
        raise HubError(f"{PRICES} does not say what {', '.join(unknown)} costs; add it, to `free` if it is nothing")
    world = _World(prices.usage, {address: entry.get("values", {}) for address, entry in found.items()})
    costs = []
    for address, entry in sorted(found.items()):
        for what, quantity, name in PRICED.get(entry["type"], _nothing)(address, world.values[address], world):
            if name not in prices.prices:
                raise HubError(f"{PRICES} has no price {name}, which {address} needs; add it")
            listed = prices.prices[name]
            costs.append(Cost(address, what, quantity, listed["unit"], quantity * listed["usd"]))
    return costs


def by_part(costs: list[Cost]) -> dict[tuple[str, str], float]:
    """Sums by module and what is paid for."""
    sums: dict[tuple[str, str], float] = {}
    for cost in costs:
        key = cost.address.removeprefix("module.").partition(".")[0], cost.what
        sums[key] = sums.get(key, 0) + cost.usd
    return sums


@dataclass(frozen=True)
class _World:
    usage: dict[str, float]
    values: dict[str, Values]

    @property
    def zones(self) -> int:
        """How many zones the network has: ids of subnets are not known before they are made."""
        zones = {
            values.get("availability_zone") for address, values in self.values.items() if ".aws_subnet." in address
        }
        return max(1, len(zones))


def _nothing(*_: object) -> Iterator[Part]:
    yield from ()


def _tasks(address: str, values: Values, world: _World) -> Iterator[Part]:
    task = world.values[address.replace("aws_ecs_service", "aws_ecs_task_definition")]
    hours = values["desired_count"] * HOURS
    yield "tasks: processors", hours * int(task["cpu"]) / 1024, "fargate_vcpu_hour"
    yield "tasks: memory", hours * int(task["memory"]) / 1024, "fargate_gb_hour"
    disk = sum(entry["size_in_gib"] - FARGATE_FREE_DISK_GB for entry in task.get("ephemeral_storage") or ())
    yield "tasks: disks", hours * disk, "fargate_disk_gb_hour"
    yield "Container Insights", world.usage["insights_metrics"], "metric_month"


def _database(_: str, values: Values, __: _World) -> Iterator[Part]:
    copies = 2 if values["multi_az"] else 1
    yield "instance", copies * HOURS, f"rds_{values['instance_class']}"
    yield "storage", copies * values["allocated_storage"], "rds_gb_month"
    yield "its password's secret", 1, "secret_month"


def _nat(_: str, __: Values, world: _World) -> Iterator[Part]:
    yield "NAT gateways", HOURS, "nat_hour"
    yield "NAT: traffic", world.usage["nat_gb"], "nat_gb"


def _load_balancer(_: str, values: Values, world: _World) -> Iterator[Part]:
    kind = "alb" if values["load_balancer_type"] == "application" else "nlb"
    yield "load balancers", HOURS, "lb_hour"
    yield "load balancers: traffic", HOURS * world.usage["lb_units"], f"{kind}_lcu_hour"
    if not values.get("internal"):
        yield "public addresses", HOURS * world.zones, "ipv4_hour"
        yield "traffic to trusts", world.usage["fl_out_gb"], "out_gb"


def _endpoint(_: str, values: Values, world: _World) -> Iterator[Part]:
    if values["vpc_endpoint_type"] == "Interface":
        yield "endpoints of AWS's services", HOURS * world.zones, "endpoint_hour"
        yield "endpoints: traffic", world.usage["endpoint_gb"] * world.zones, "endpoint_gb"


def _firewall(_: str, values: Values, world: _World) -> Iterator[Part]:
    yield "firewall", 1, "waf_acl_month"
    yield "firewall: rules", len(values["rule"]), "waf_rule_month"
    yield "firewall: requests", world.usage["requests_millions"], "waf_million"


def _distribution(_: str, __: Values, world: _World) -> Iterator[Part]:
    yield "CloudFront: traffic", max(0.0, world.usage["web_out_gb"] - CLOUDFRONT_FREE_GB), "cloudfront_gb"
    millions = max(0.0, world.usage["requests_millions"] - CLOUDFRONT_FREE_MILLIONS)
    yield "CloudFront: requests", millions, "cloudfront_million"


def _users(_: str, values: Values, world: _World) -> Iterator[Part]:
    if values["user_pool_tier"] == "PLUS":
        yield "sign-in", world.usage["users"], "cognito_plus_user"
    else:
        yield "sign-in", max(0.0, world.usage["users"] - COGNITO_FREE_USERS), "cognito_essentials_user"


def _log_group(_: str, __: Values, world: _World) -> Iterator[Part]:
    yield "logs", world.usage["log_gb"], "logs_gb"
    yield "logs kept", world.usage["log_gb"] * world.usage["log_months"], "logs_gb_month"


def _alarm(_: str, values: Values, __: _World) -> Iterator[Part]:
    measured = [query for query in values.get("metric_query") or () if query.get("metric")]
    yield "alarms", max(1, len(measured)), "alarm_month"


def _file_system(_: str, __: Values, world: _World) -> Iterator[Part]:
    yield "FL workspaces", world.usage["efs_gb"], "efs_gb_month"
    yield "FL workspaces: read", world.usage["efs_moved_gb"], "efs_read_gb"
    yield "FL workspaces: written", world.usage["efs_moved_gb"], "efs_write_gb"


def _vault(_: str, __: Values, world: _World) -> Iterator[Part]:
    yield "copies of files and workspaces", world.usage["backup_gb"], "backup_gb_month"
    yield "copies of the database", world.usage["snapshot_gb"], "rds_snapshot_gb_month"


def _key(_: str, __: Values, world: _World) -> Iterator[Part]:
    yield "keys", 1, "kms_key_month"
    yield "keys: requests", world.usage["kms_requests_10k"], "kms_10k"


def _each(what: str, name: str, usage: str = "", times: int = 1) -> Callable[[str, Values, _World], Iterator[Part]]:
    """A price for each resource, for as much as is assumed, or for `times`."""

    def parts(_: str, __: Values, world: _World) -> Iterator[Part]:
        yield what, world.usage[usage] if usage else times, name

    return parts


PRICED: dict[str, Callable[[str, Values, _World], Iterator[Part]]] = {
    "aws_backup_vault": _vault,
    "aws_cloudfront_distribution": _distribution,
    "aws_cloudwatch_dashboard": _each("dashboard", "dashboard_month"),
    "aws_cloudwatch_log_group": _log_group,
    "aws_cloudwatch_metric_alarm": _alarm,
    "aws_cognito_user_pool": _users,
    "aws_db_instance": _database,
    "aws_ecs_service": _tasks,
    "aws_efs_file_system": _file_system,
    "aws_eip": _each("public addresses", "ipv4_hour", times=HOURS),
    "aws_kms_key": _key,
    "aws_lb": _load_balancer,
    "aws_nat_gateway": _nat,
    "aws_s3_bucket": _each("buckets", "s3_gb_month", "bucket_gb"),
    "aws_secretsmanager_secret": _each("secrets", "secret_month"),
    "aws_service_discovery_private_dns_namespace": _each("private zone", "zone_month"),
    "aws_vpc_endpoint": _endpoint,
    "aws_wafv2_web_acl": _firewall,
}
