"""The sites' networks, and what each has before FLIP comes: name server, package mirror, a bare host."""

import json
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml

from federation import airlock, router
from federation.docker import FederationError, docker, inside, start
from federation.plan import API_PORT, FL_NAME, FL_PORT, HUB, HUB_NAME, LABEL, ROOT, Site

BOOT_SECONDS = 60
STOP_SECONDS = 180
_NETWORK_UNIT = """[Unit]
Description=Route and name server, as the site's network gives them
DefaultDependencies=no
After=network-pre.target
Before=network.target network-online.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/bin/ip route replace default via {router}
ExecStart=/bin/sh -c 'echo nameserver {dns} >/etc/resolv.conf'

[Install]
WantedBy=network-online.target multi-user.target
"""
_CREATE = ROOT / "ansible" / "molecule" / "create.yml"


def make_networks(sites: Iterable[Site]) -> None:
    """One network a site, without masquerading: nothing leads from it to anywhere but through the router."""
    for site in sites:
        docker(
            "network", "create", "--label", LABEL, "--subnet", site.subnet,
            "--opt", "com.docker.network.bridge.enable_ip_masquerade=false", site.network,
        )  # fmt: skip


def make_services(site: Site, tools: str, packages: Path) -> None:
    """The site's name server and its package mirror.

    The name server knows the hub's two names, or the proxy that knows them; and nothing else but the mirror.
    """
    known = {site.proxy_name: site.proxy} if site.proxied else dict.fromkeys((HUB_NAME, FL_NAME), HUB.host)
    names = [f"--address=/{name}/{address}" for name, address in known.items()]
    names.append(f"--address=/packages.{site.name}.test/{site.packages}")
    start(
        site.container("dns"), site.network, site.dns, tools, "--cap-add", "NET_ADMIN",
        command=["dnsmasq", "--keep-in-foreground", "--no-resolv", "--no-hosts", "--user=root", "--bogus-priv", *names],
    )  # fmt: skip
    start(
        site.container("packages"), site.network, site.packages, tools, "--init", "--volume", f"{packages}:/srv:ro",
        "--cap-add", "NET_ADMIN", command=["python3", "-m", "http.server", "--directory", "/srv", "80"],
    )  # fmt: skip
    inside(site.container("packages"), "ip", "route", "replace", "default", "via", site.router)


def host_start(images: Path) -> tuple[list[str], list[str]]:
    """Flags and command that a host with systemd and Docker in a container starts with, as in the roles' own tests."""
    (play,) = yaml.safe_load(_CREATE.read_text(encoding="utf-8"))
    flags = [
        str(flag).replace("{{ lookup('env', 'FLIP_SAVED_IMAGES') }}", str(images))
        for flag in play["vars"]["host_flags"]
    ]
    command = [str(word) for word in play["vars"]["host_command"]]
    if odd := [word for word in flags + command if "{{" in word]:
        raise FederationError(f"{_CREATE.name} has words that are not understood here: {odd}")
    return flags, command


def make_host(site: Site, image: str, images: Path) -> None:
    """Starts the site's bare host and does what its operator did: addresses, name server, package mirror or airlock."""
    name = site.container()
    flags, command = host_start(images)
    if site.airlocked:
        flags = [flag for flag in flags if str(images) not in flag] + [
            f"--volume={airlock.BUNDLES}:{airlock.MOUNTED}:ro"
        ]
    start(name, site.network, site.host, image, "--hostname", name, *flags, command=command)
    settle(site)
    unit = _NETWORK_UNIT.format(router=site.router, dns=site.dns)
    inside(name, "sh", "-c", "cat >/etc/systemd/system/site-network.service", feed=unit)
    inside(name, "systemctl", "enable", "--quiet", "--now", "site-network.service")
    source = "" if site.airlocked else f"deb [trusted=yes] http://packages.{site.name}.test/ ./\n"
    inside(name, "sh", "-c", "cat >/etc/apt/sources.list", feed=source)


def remove_host(site: Site) -> None:
    """Shuts the site's host down and removes it with all that is on it."""
    docker("stop", "--time", f"{STOP_SECONDS}", site.container())
    docker("rm", "--volumes", site.container())


def restart(some: Iterable[Site]) -> None:
    """Restarts hosts, all at once, until they have booted."""

    def again(site: Site) -> None:
        docker("restart", "--time", f"{STOP_SECONDS}", site.container())
        settle(site)

    with ThreadPoolExecutor() as pool:
        for _ in pool.map(again, some):
            pass


def settle(site: Site) -> None:
    """Waits until the host has booted."""
    name = site.container()
    deadline = time.monotonic() + BOOT_SECONDS
    while (state := _state(name)) not in {"running", "degraded"}:
        if time.monotonic() > deadline:
            raise FederationError(f"{name} has not booted within {BOOT_SECONDS} s: {state}")
        time.sleep(0.5)


def state(site: Site) -> dict[str, Any]:
    """How the site's host is: see `host_state.py`, which runs there."""
    text = Path(__file__).with_name("host_state.py").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(inside(site.container(), "python3", "-", feed=text))
    return found


def complaint(site: Site) -> str:
    """What `flipctl status` finds wrong on the site's host; empty where all is well."""
    try:
        inside(site.container(), "flipctl", "status")
    except FederationError as error:
        return str(error)
    return ""


def _state(container: str) -> str:
    # `is-system-running` ends with a status of its own for every state but one.
    return inside(container, "sh", "-c", "systemctl is-system-running --wait || :").strip()


def memory(site: Site) -> int:
    """Bytes that the host's processes hold, with a share of what they hold together."""
    each = "cat /proc/[0-9]*/smaps_rollup 2>/dev/null"  # a process may have ended
    return 1024 * int(inside(site.container(), "sh", "-c", f"{each} | awk '/^Pss:/ {{kib += $2}} END {{print kib}}'"))


def firewall_counters(site: Site) -> dict[str, router.Count]:
    """What the host's own firewall refused, in and out."""
    return router.counts(inside(site.container(), "nft", "--json", "list", "counters", "table", "inet", "flip"))


def prove_way_out(site: Site) -> None:
    """Where a proxy is the only way out, the hub's endpoints, which answer, must not be reached without it.

    Forgets the router's counts, so it comes before any trust is there.

    Raises:
        FederationError: one was reached, or the attempt was not counted.
    """
    for port in (API_PORT, FL_PORT):
        if _reaches(site, HUB.host, str(port)):
            raise FederationError(f"{site.name} reaches the hub's port {port} without its proxy")
    if not router.read()[f"{site.name}_refused_out"].packets:
        raise FederationError(f"the router did not count what {site.name} tried without its proxy")
    router.forget()


def _reaches(source: Site, address: str, port: str) -> bool:
    """Whether a plain container beside the host gets a connection."""
    probe = "import socket,sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 2)"
    try:
        inside(source.container("packages"), "python3", "-c", probe, address, port)
    except FederationError:
        return False
    return True


def prove_router(sites: Iterable[Site]) -> dict[str, router.Count]:
    """Tries what must not pass, from plain containers beside the hosts, and sees it counted; then forgets the counts.

    Raises:
        FederationError: something passed, or was not counted.
    """
    trusts = [site for site in sites if site is not HUB]
    tries = [(trust, HUB.host, "22") for trust in trusts] + [(HUB, trust.packages, "80") for trust in trusts]
    tries += [(trust, other.packages, "80") for trust in trusts for other in (HUB, *trusts) if other is not trust]

    with ThreadPoolExecutor() as pool:
        for (source, address, port), passed in zip(tries, pool.map(_reaches, *zip(*tries, strict=True)), strict=True):
            if passed:
                raise FederationError(f"{source.name} reaches {address}:{port}, which the router must refuse")
    seen = router.read()
    for trust in trusts:
        for name in (f"{trust.name}_refused_out", f"{trust.name}_refused_in"):
            if not seen[name].packets:
                raise FederationError(f"the router's counter {name} counts nothing")
    router.forget()
    return seen
