"""trust-api: the trust's poller. It dials the hub, leases tasks, has the site's services do them, answers."""
