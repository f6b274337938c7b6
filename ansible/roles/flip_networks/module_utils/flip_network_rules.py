"""Which of a host's Docker networks are not the wanted ones, and why."""

import ipaddress


def wrong_entries(wanted):
    """What is wrong with the list itself, a text each: names that stand twice, subnets that are none or overlap."""
    names = [entry["name"] for entry in wanted]
    texts = [f"{name} stands twice" for name in sorted(set(names)) if names.count(name) > 1]
    subnets = {}
    for entry in wanted:
        name, text = entry["name"], entry.get("subnet")
        if not text:
            continue
        try:
            subnet = ipaddress.IPv4Network(text)
        except ValueError as error:
            texts.append(f"{name}: {text!r} is no IPv4 subnet ({error})")
            continue
        overlapped = [other for other, taken in subnets.items() if subnet.overlaps(taken)]
        texts += [f"{name}: {text} overlaps the subnet of {other}" for other in overlapped]
        subnets[name] = subnet
    return texts


def difference(entry, network):
    """Why a network that is there cannot serve as the wanted one, and the remedy; empty where it can.

    Args:
        entry: {name, internal, subnet}, the last may be None.
        network: what `docker network inspect` says of it.
    """
    subnets = ", ".join(config["Subnet"] for config in network["IPAM"]["Config"] or [])
    pairs = (
        ("driver", network["Driver"], "bridge"),
        ("internal", network["Internal"], entry["internal"]),
        ("subnet", subnets, entry.get("subnet") or subnets),
    )
    differing = [f"its {key} is {_text(has)}, not {_text(wants)}" for key, has, wants in pairs if has != wants]
    if not differing:
        return ""
    return f"{entry['name']} is there, but {' and '.join(differing)}; {_remedy(network)}"


def _text(value):
    return str(value).lower() if isinstance(value, bool) else value


def _remedy(network):
    """A network cannot be changed, only made anew."""
    users = sorted(container["Name"] for container in (network["Containers"] or {}).values())
    first = f"it is used by {', '.join(users)}: end them, then " if users else ""
    return f"{first}remove it with `docker network rm {network['Name']}` and run this again, or mend flip_networks_list"
