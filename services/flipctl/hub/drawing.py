"""A drawing of an applied hub, in Mermaid: boxes are modules, arrows what security groups and listeners let through."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from flipctl.hub.costs import resources

# What is drawn one by one, and what is drawn as one box for all of a module.
DRAWN = {
    "aws_cloudfront_distribution": "CloudFront",
    "aws_cognito_user_pool": "user pool",
    "aws_db_instance": "PostgreSQL",
    "aws_ecs_service": "tasks of",
    "aws_efs_file_system": "FL workspaces (EFS)",
    "aws_lb": "load balancer",
    "aws_s3_bucket": "bucket",
    "aws_wafv2_web_acl": "firewall",
}
COUNTED = {
    "aws_backup_vault": "copies (AWS Backup)",
    "aws_cloudwatch_metric_alarm": "alarms",
    "aws_kms_key": "keys (KMS)",
    "aws_nat_gateway": "to the internet (NAT)",
    "aws_secretsmanager_secret": "secrets",
    "aws_vpc_endpoint": "endpoints of AWS's services",
}
WORLD = "world"
EVERYWHERE = "0.0.0.0/0"
Node = tuple[str, str]


def draw(values: dict[str, Any]) -> str:
    """Mermaid's text, from the `values` of a state (`show -json`)."""
    found = sorted(resources(values["root_module"]), key=lambda entry: str(entry["address"]))
    nodes, ids = _nodes(found)
    lines = ["flowchart LR", f'  {WORLD}(["people and trusts"])']
    for module in sorted({module for module, _ in nodes.values()}):
        lines.append(f"  subgraph {module}")
        lines += [f'    {node}["{label}"]' for node, (inside, label) in nodes.items() if inside == module]
        lines.append("  end")
    arrows: dict[tuple[str, str], set[str]] = {}
    for start, end, said in _arrows(found, ids):
        if start != end:
            arrows.setdefault((start, end), set()).add(said)
    for (start, end), labels in sorted(arrows.items()):
        label = ", ".join(sorted(labels - {""}))
        lines.append(f'  {start} -->|"{label}"| {end}' if label else f"  {start} --> {end}")
    return "\n".join(lines) + "\n"


def _module(entry: dict[str, Any]) -> str:
    return str(entry["address"]).removeprefix("module.").partition(".")[0]


def _nodes(found: list[dict[str, Any]]) -> tuple[dict[str, Node], dict[str, str]]:
    """Boxes' contents by name, and names by every id and ARN that other resources call them by."""
    nodes: dict[str, Node] = {}
    ids: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for entry in found:
        module, kind, values = _module(entry), entry["type"], entry["values"]
        if kind in DRAWN:
            key = entry.get("index")
            node = f"{module}_{kind.removeprefix('aws_')}_{entry['name']}" + (f"_{key}" if key else "")
            name = {
                "aws_ecs_service": values.get("name"),
                "aws_lb": f"({values.get('load_balancer_type')})",
                "aws_s3_bucket": entry["name"],
            }.get(kind, "")
            nodes[node] = module, f"{DRAWN[kind]} {name}".strip()
        elif kind in COUNTED:
            node = f"{module}_{kind.removeprefix('aws_')}"
            counts[node] += 1
            nodes[node] = module, f"{counts[node]} × {COUNTED[kind]}" if counts[node] > 1 else COUNTED[kind]
        else:
            continue
        for attribute in ("id", "arn", "bucket_regional_domain_name", "dns_name"):
            if values.get(attribute):
                ids[values[attribute]] = node
    return nodes, ids


def _groups(found: list[dict[str, Any]], ids: dict[str, str]) -> dict[str, set[str]]:
    """What is behind each security group."""
    behind: dict[str, set[str]] = {}
    for entry in found:
        values = entry["values"]
        node = ids.get(values.get("file_system_id") or values.get("id") or "")
        inner = (values.get("network_configuration") or [{}])[0].get("security_groups") or ()
        named = ("security_groups", "vpc_security_group_ids", "security_group_ids")
        for group in [*inner, *(one for name in named for one in values.get(name) or ())]:
            if node:
                behind.setdefault(group, set()).add(node)
    return behind


def _arrows(found: list[dict[str, Any]], ids: dict[str, str]) -> Iterator[tuple[str, str, str]]:
    behind = _groups(found, ids)
    of_vpc_origin = {
        one["values"]["id"]: one["values"]["vpc_origin_endpoint_config"][0]["arn"]
        for one in found
        if one["type"] == "aws_cloudfront_vpc_origin"
    }
    targets = {one["values"]["arn"]: one["values"] for one in found if one["type"] == "aws_lb_target_group"}
    for entry in found:
        kind, values = entry["type"], entry["values"]
        if kind == "aws_cloudfront_distribution":
            yield from _of_distribution(values, ids, of_vpc_origin)
        elif kind == "aws_vpc_security_group_ingress_rule":
            yield from _into(values, behind, sorted({node for node in ids.values() if "_ecs_service_" in node}))
        elif kind == "aws_vpc_security_group_egress_rule" and values.get("cidr_ipv4") == EVERYWHERE:
            for start in sorted(behind.get(values["security_group_id"], ())):
                for way in sorted({node for node in ids.values() if node.endswith("_nat_gateway")}):
                    yield start, way, str(values["from_port"])
        elif kind == "aws_ecs_service":
            for one in values.get("load_balancer") or ():
                for balancer in targets[one["target_group_arn"]].get("load_balancer_arns") or ():
                    yield ids[balancer], ids[values["id"]], str(one["container_port"])


def _of_distribution(
    values: dict[str, Any], ids: dict[str, str], of_vpc_origin: dict[str, str]
) -> Iterator[tuple[str, str, str]]:
    node = ids[values["id"]]
    firewall = ids.get(values.get("web_acl_id") or "")
    yield WORLD, firewall or node, "HTTPS 443"
    if firewall:
        yield firewall, node, ""
    for origin in values["origin"]:
        vpc = [of_vpc_origin[one["vpc_origin_id"]] for one in origin.get("vpc_origin_config") or ()]
        for place in vpc or [origin["domain_name"]]:
            if place in ids:
                yield node, ids[place], "HTTPS 443"


def _into(values: dict[str, Any], behind: dict[str, set[str]], tasks: list[str]) -> Iterator[tuple[str, str, str]]:
    port = str(values["from_port"])
    for end in sorted(behind.get(values["security_group_id"], ())):
        cidr = values.get("cidr_ipv4")
        if cidr == EVERYWHERE:
            yield WORLD, end, f"TLS {port}"
        starts = sorted(behind.get(values.get("referenced_security_group_id") or "", ()))
        # The VPC's own addresses: it is tasks that are in it.
        for start in tasks if cidr and cidr != EVERYWHERE else starts:
            yield start, end, port
