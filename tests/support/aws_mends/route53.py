"""Route 53: the zone that an environment finds."""


def have_a_zone() -> None:
    """The zone example.org is there: a hub's zone is bought or delegated before the hub is made, and only looked up."""
    from moto.core import DEFAULT_ACCOUNT_ID
    from moto.route53 import route53_backends

    backend = route53_backends[DEFAULT_ACCOUNT_ID]["aws"]
    zone = backend.create_hosted_zone("example.org.", private_zone=False)
    del backend.zones[zone.resource_id]
    zone.resource_id = "Z0123456789EXAMPLEORG"  # the same in every run, as recorded plans have it
    backend.zones[zone.resource_id] = zone


MENDS = (have_a_zone,)
