"""A stack, as JSON: module compute, and what others give it; for applies against the stand-in."""

from typing import Any

from tofu_values import compute

REGION = "eu-west-2"


def stack(source: str, digest: str) -> dict[str, Any]:
    """One net; both images have the digest. Load balancers are left out, for the stand-in asks for none."""
    vpc = "${aws_vpc.it.id}"
    groups = {name: f'${{aws_security_group.it["{name}"].id}}' for name in ("alb", "nlb", "database", "efs")}
    targets = {name: f'${{aws_lb_target_group.it["{name}"].arn}}' for name in ("hub", "net1")}
    made = {
        "vpc_id": vpc,
        "subnet_ids": "${{for zone, subnet in aws_subnet.it : zone => subnet.id}}",
        "s3_prefix_list_id": "${data.aws_prefix_list.s3.id}",
        "target_group_arns": {"hub": targets["hub"], "nets": {"net1": targets["net1"]}},
        "ingress_security_group_ids": {"hub": groups["alb"], "fl": groups["nlb"]},
        "database": compute.DATABASE | {"security_group_id": groups["database"]},
        "efs_security_group_id": groups["efs"],
        "images": {
            image: f"ghcr.io/example/{image.replace('_', '-')}@sha256:{digest}" for image in ("hub", "fl_server")
        },
    }
    return {
        "provider": {"aws": {"region": REGION}},
        "data": {"aws_prefix_list": {"s3": {"name": f"com.amazonaws.{REGION}.s3"}}},
        "resource": {
            "aws_vpc": {"it": {"cidr_block": compute.GOOD["vpc_cidr"]}},
            "aws_subnet": {
                "it": {
                    "for_each": {f"{REGION}a": 1, f"{REGION}b": 2},
                    "vpc_id": vpc,
                    "availability_zone": "${each.key}",
                    "cidr_block": "10.20.${each.value}.0/24",
                }
            },
            "aws_security_group": {
                "it": {"for_each": f"${{toset({[*groups]})}}".replace("'", '"'), "name": "${each.key}", "vpc_id": vpc}
            },
            "aws_lb_target_group": {
                "it": {
                    "for_each": {"hub": {"port": 8000, "protocol": "HTTP"}, "net1": {"port": 9092, "protocol": "TCP"}},
                    "name": "${each.key}",
                    "port": "${each.value.port}",
                    "protocol": "${each.value.protocol}",
                    "target_type": "ip",
                    "vpc_id": vpc,
                }
            },
        },
        "module": {"compute": {"source": source, "disposable": True, **compute.GOOD, **made}},
    }
