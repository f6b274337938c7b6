"""Route 53: the zone that an environment finds."""


def have_a_zone() -> None:
    """The zone example.org is there: a hub's zone is bought or delegated before the hub is made, and only looked up."""
    from moto.core import DEFAULT_ACCOUNT_ID
    from moto.route53 import route53_backends

    route53_backends[DEFAULT_ACCOUNT_ID]["aws"].create_hosted_zone("example.org.", private_zone=False)


MENDS = (have_a_zone,)
