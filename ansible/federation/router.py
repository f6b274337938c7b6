"""The firewall between the sites. Its named counters are the evidence of what passed and of what was refused."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from federation.docker import docker, inside, start
from federation.plan import API_PORT, FL_PORT, HUB, ROUTER, Site

TABLE = "federation"
PORTS = {"api": API_PORT, "fl": FL_PORT}


@dataclass(frozen=True)
class Count:
    """What a counter says."""

    packets: int
    bytes: int


def ruleset(trusts: Iterable[Site]) -> str:
    """Only trusts may begin connections, and only to the hub's two endpoints; all else is counted and refused.

    Where a trust has a proxy, that alone may.

    For each trust T there are the counters `T_api`, `T_fl` (connections begun; packets = connections), `T_api_up`,
    `T_api_down`, `T_fl_up`, `T_fl_down` (all that passed), `T_refused_out` and `T_refused_in`; `refused_here`
    counts what was sent to the router itself, `cut` what was lost while a network was cut, `stale` what came for TCP
    connections that the router has forgotten, as it does when a host is silent for long; it is dropped, and began none.
    The set `refused` says who wanted to go where.
    """
    note = "add @refused { ip saddr . ip daddr . meta l4proto . th dport }"
    counters, flows, begun, refused = [], [], [], []
    for trust in trusts:
        for name, port in PORTS.items():
            up = f"ip saddr {trust.dials_from} ip daddr {HUB.host} tcp dport {port}"
            down = f"ip saddr {HUB.host} ip daddr {trust.dials_from} tcp sport {port} ct state established"
            flow = f"{trust.name}_{name}"
            counters += [flow, f"{flow}_up", f"{flow}_down"]
            flows += [f"{up} counter name {flow}_up", f"{down} counter name {flow}_down"]
            begun.append(f"{up} ct state new counter name {flow} accept")
        counters += [f"{trust.name}_refused_out", f"{trust.name}_refused_in"]
        refused += [
            f"ip saddr {trust.subnet} {note}",
            f"ip saddr {trust.subnet} counter name {trust.name}_refused_out reject with icmpx type admin-prohibited",
            f"ip daddr {trust.subnet} {note}",
            f"ip daddr {trust.subnet} counter name {trust.name}_refused_in drop",
        ]
    lines = [
        f"table inet {TABLE} {{",
        *(f"  counter {name} {{ }}" for name in (*counters, "refused_here", "cut", "stale")),
        "  set cut { type ipv4_addr; flags interval; }",
        "  set refused { type ipv4_addr . ipv4_addr . inet_proto . inet_service; flags dynamic; size 4096; }",
        "  chain forward {",
        "    type filter hook forward priority filter; policy drop;",
        "    ip saddr @cut counter name cut drop",
        "    ip daddr @cut counter name cut drop",
        *(f"    {rule}" for rule in flows),
        "    ct state established,related accept",
        "    tcp flags & (fin | syn | rst | ack) != syn counter name stale drop",
        *(f"    {rule}" for rule in (*begun, *refused)),
        "  }",
        "  chain input {",
        "    type filter hook input priority filter; policy drop;",
        '    iifname "lo" accept',
        "    counter name refused_here",
        "  }",
        "}",
    ]
    return "\n".join(lines) + "\n"


def counts(listing: str) -> dict[str, Count]:
    """Reads `nft --json list counters`."""
    entries = [entry["counter"] for entry in json.loads(listing)["nftables"] if "counter" in entry]
    return {entry["name"]: Count(entry["packets"], entry["bytes"]) for entry in entries}


def raise_router(image: str, sites: Iterable[Site]) -> None:
    """Starts the router with a leg in every site's network, and loads its rules."""
    trusts = [site for site in sites if site is not HUB]
    flags = ("--cap-add", "NET_ADMIN", "--sysctl", "net.ipv4.ip_forward=1", "--init")
    start(ROUTER, HUB.network, HUB.router, image, *flags, command=("sleep", "infinity"))
    for trust in trusts:
        docker("network", "connect", "--ip", trust.router, trust.network, ROUTER)
    inside(ROUTER, "nft", "--file", "-", feed=ruleset(trusts))


def read() -> dict[str, Count]:
    """The router's counters now."""
    return counts(inside(ROUTER, "nft", "--json", "list", "counters", "table", "inet", TABLE))


def refused() -> list[str]:
    """Every connection that was refused, as `from to protocol port`."""
    listing = json.loads(inside(ROUTER, "nft", "--json", "list", "set", "inet", TABLE, "refused"))
    return flows(listing)


def flows(listing: Mapping[str, Any]) -> list[str]:
    """Reads `nft --json list set` of flows."""
    sets = [entry["set"] for entry in listing["nftables"] if "set" in entry]
    return sorted(" ".join(map(str, element["concat"])) for found in sets for element in found.get("elem", []))


def forget() -> None:
    """Sets every counter to zero."""
    inside(ROUTER, "nft", "reset", "counters", "table", "inet", TABLE)
    inside(ROUTER, "nft", "flush", "set", "inet", TABLE, "refused")


def cut(site: Site) -> None:
    """Lets nothing through from or to this site's network any more, standing connections included."""
    inside(ROUTER, "nft", "add", "element", "inet", TABLE, "cut", f"{{ {site.subnet} }}")


def mend(site: Site) -> None:
    """Ends `cut`."""
    inside(ROUTER, "nft", "delete", "element", "inet", TABLE, "cut", f"{{ {site.subnet} }}")
