"""Addresses, networks and names as the firewall's templates need them."""

import ipaddress


def network(text):
    """The network an address or a network stands for; None for a name."""
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def targets(endpoints, dns, ntp, outbound):
    """Everything that may be reached, as {to, port, protocol}, each once."""
    wanted = [{"protocol": "tcp", **entry} for entry in [*endpoints, *outbound]]
    wanted += [{"to": server, "port": 53, "protocol": protocol} for server in dns for protocol in ("udp", "tcp")]
    wanted += [{"to": server, "port": 123, "protocol": "udp"} for server in ntp]
    return [entry for number, entry in enumerate(wanted) if entry not in wanted[:number]]


def elements(entries, family, key="to"):
    """Set elements `network . protocol . port` of those entries that are addresses of family 4 or 6.

    Networks inside another one of the same port are left out: an interval set takes no overlap.
    """
    flows = {}
    for entry in entries:
        flows.setdefault((entry.get("protocol", "tcp"), entry["port"]), []).append(entry[key])
    return [f"{net} . {proto} . {port}" for (proto, port), found in flows.items() for net in networks(found, family)]


def networks(texts, family):
    """The networks of a family, as few as hold them all."""
    found = [net for net in map(network, texts) if net is not None and net.version == family]
    return [str(net) for net in ipaddress.collapse_addresses(found)]


def family(text):
    """How nft calls the family of an address or network."""
    return "ip6" if network(text).version == 6 else "ip"


def names(entries):
    """The entries whose target is a name."""
    return [entry for entry in entries if network(entry["to"]) is None]


def not_networks(texts):
    """What is no address and no network."""
    return [text for text in texts if network(text) is None]


def covers(texts, address):
    """Whether one of the networks holds the address."""
    host = ipaddress.ip_address(address.partition("%")[0])
    return any(host in net for net in map(network, texts) if net is not None and net.version == host.version)


class FilterModule:
    """What Ansible looks for."""

    def filters(self):
        """Name to function."""
        functions = (targets, elements, networks, family, names, not_networks, covers)
        return {f"flip_firewall_{function.__name__}": function for function in functions}
