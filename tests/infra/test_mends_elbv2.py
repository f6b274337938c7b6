"""What the stand-in's mend of load balancers restores; without it this fails."""

import pytest
from hub_verbs import client


@pytest.mark.parametrize(("kind", "short"), [("network", "net"), ("application", "app")])
def test_an_arn_says_which_kind_a_load_balancer_is(tofu_env: dict[str, str], kind: str, short: str) -> None:
    ec2, balancers = client("ec2", tofu_env), client("elbv2", tofu_env)
    vpc = ec2.create_vpc(CidrBlock="10.99.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.99.{at}.0/24", AvailabilityZone=zone)["Subnet"]["SubnetId"]
        for at, zone in enumerate(("eu-west-2a", "eu-west-2b"))
    ]
    (made,) = balancers.create_load_balancer(Name=f"mend-{short}", Subnets=subnets, Type=kind)["LoadBalancers"]
    try:
        assert f":loadbalancer/{short}/mend-{short}/" in made["LoadBalancerArn"]
    finally:
        balancers.delete_load_balancer(LoadBalancerArn=made["LoadBalancerArn"])
        for subnet in subnets:
            ec2.delete_subnet(SubnetId=subnet)
        ec2.delete_vpc(VpcId=vpc)
