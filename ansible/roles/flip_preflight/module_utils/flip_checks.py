"""What a host must have before FLIP is put on it, each as one row of a table. Only reads; standard library only."""

import base64
import email.utils
import http.client
import re
import shutil
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

TIMEOUT = 10.0
GIB = 1024**3
INSTALLED_SHARE = 0.1  # of the disk a new host needs, what one that serves already must still have free
LISTENING = "0A"  # the state of a listening socket in /proc/net/tcp


def row(check, ok, found, needed, remedy):
    """One line of the table; the remedy is only kept where the check failed."""
    return {"check": check, "ok": ok, "found": found, "needed": needed, "remedy": "" if ok else remedy}


def operating_system(supported, os_release="/etc/os-release"):
    """`supported` maps a distribution's ID to its VERSION_IDs."""
    lines = Path(os_release).read_text(encoding="utf-8").splitlines()
    facts = {name: value.strip().strip('"') for name, _, value in (line.partition("=") for line in lines) if value}
    name, version = facts.get("ID", "unknown"), facts.get("VERSION_ID", "unknown")
    needed = ", ".join(f"{distribution} {' or '.join(versions)}" for distribution, versions in supported.items())
    return row("operating system", version in supported.get(name, []), f"{name} {version}", needed, f"install {needed}")


def systemd(marker="/run/systemd/system"):
    """FLIP's services are systemd units."""
    ok = Path(marker).is_dir()
    return row("systemd", ok, "running" if ok else "not running", "running", "boot the host with systemd as its init")


def disk(needs, usage=shutil.disk_usage):
    """`needs` maps a folder to GiB; folders on one file system share its free space, so their needs add up."""
    systems = {}
    for folder, gib in needs.items():
        existing = Path(folder)
        while not existing.exists():
            existing = existing.parent
        entry = systems.setdefault(existing.stat().st_dev, {"at": existing, "folders": [], "gib": 0})
        entry["folders"].append(folder)
        entry["gib"] += gib
    rows = []
    for entry in systems.values():
        free = usage(entry["at"]).free / GIB
        names = " and ".join(entry["folders"])
        remedy = f"free {entry['gib'] - free:.0f} GiB more, or mount a larger file system at {names}"
        rows.append(
            row(f"disk: {names}", free >= entry["gib"], f"{free:.0f} GiB free", f"{entry['gib']:g} GiB", remedy)
        )
    return rows


def memory(gib, meminfo="/proc/meminfo"):
    """Total memory; a machine sold with N GiB reports a little less, so 5 % are forgiven."""
    kib = int(re.search(r"^MemTotal:\s+(\d+) kB", Path(meminfo).read_text(encoding="utf-8"), re.MULTILINE)[1])
    total = kib / 1024**2
    return row("memory", total >= gib * 0.95, f"{total:.1f} GiB", f"{gib} GiB", f"give the host {gib} GiB of memory")


def gpu(minimum, program="nvidia-smi"):
    """At least one NVIDIA GPU, with a driver of at least `minimum` (a version such as 535)."""
    needed = f"an NVIDIA GPU with driver {minimum} or newer"
    remedy = (
        f"install NVIDIA's driver {minimum} or newer (FLIP does not), reboot, and see that `nvidia-smi` lists the GPU"
    )
    try:
        command = [program, "--query-gpu=name,driver_version", "--format=csv,noheader"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        gpus = [[part.strip() for part in line.split(",")] for line in done.stdout.splitlines() if line.strip()]
        driver = min((_version(gpu[-1]) for gpu in gpus), default=())
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        return row("GPU", False, f"nvidia-smi: {error}", needed, remedy)
    found = ", ".join(f"{gpu[0]} (driver {gpu[-1]})" for gpu in gpus) or "none"
    return row("GPU", bool(gpus) and driver >= _version(minimum), found, needed, remedy)


def _version(text):
    return tuple(int(part) for part in str(text).split("."))


def active(unit):
    """Whether a systemd unit runs."""
    command = ["systemctl", "is-active", "--quiet", unit]
    return subprocess.run(command, check=False, timeout=30).returncode == 0


def ports(wanted):
    """TCP ports nobody listens on."""
    taken = listening()
    return [
        row(
            f"port {port}",
            port not in taken,
            "taken" if port in taken else "free",
            "free",
            f"`ss -ltnp 'sport = :{port}'` names the program that listens: stop or move it",
        )
        for port in wanted
    ]


def listening(tables=("/proc/net/tcp", "/proc/net/tcp6")):
    """TCP ports with a listener on any address."""
    found = set()
    for table in tables:
        if Path(table).exists():
            for line in Path(table).read_text(encoding="ascii").splitlines()[1:]:
                fields = line.split()
                if fields[3] == LISTENING:
                    found.add(int(fields[1].rpartition(":")[2], 16))
    return found


def dns(host):
    """The name of a hub endpoint has an address."""
    remedy = f"give the host a DNS server that knows {host} (`getent hosts {host}` must answer)"
    try:
        addresses = sorted({entry[4][0] for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)})
    except OSError as error:
        return row(f"DNS: {host}", False, str(error), "an address", remedy)
    return row(f"DNS: {host}", True, ", ".join(addresses), "an address", remedy)


def hub_api(url, ca, proxy=""):
    """The hub answers HTTPS with a certificate this host trusts. Any HTTP status will do: no key is sent.

    `ca`: PEM text of the hub's own authority, or of a proxy's that looks into TLS, or "" for the system's.
    """
    remedy = _way_out(endpoint(url), proxy)
    try:
        _get(url, ssl.create_default_context(cadata=ca or None), proxy)
    except (ssl.SSLError, urllib.error.URLError) as error:
        reason = getattr(error, "reason", error)
        if isinstance(reason, ssl.SSLError):
            whose = "the CA of the hub, or of a proxy that looks into TLS," if proxy else "the hub's CA"
            remedy = f"name {whose} in flip_preflight_hub_ca_file, and see that the clock is right"
        return row("hub API", False, f"{url}: {reason}", "HTTPS answers", remedy)
    except OSError as error:
        return row("hub API", False, f"{url}: {error}", "HTTPS answers", remedy)
    return row("hub API", True, f"{url} answers", "HTTPS answers", remedy)


def clock(url, seconds, proxy=""):
    """The difference from the Date header of the hub's answer.

    The certificate is not looked at here: with a wrong clock none is valid, and nothing is sent that is secret.
    """
    context = ssl._create_unverified_context()  # noqa: S323 - see above; hub_api() verifies
    needed = f"within {seconds} s of the hub"
    try:
        date = _get(url, context, proxy)
        skew = time.time() - email.utils.parsedate_to_datetime(date or "").timestamp()
    except (OSError, ValueError) as error:
        return row("clock", False, f"the hub's clock cannot be read: {error}", needed, "make the hub's API reachable")
    remedy = "set the clock (`timedatectl set-ntp true`) and let the host reach an NTP server"
    return row("clock", abs(skew) <= seconds, f"{skew:+.0f} s", needed, remedy)


def _get(url, context, proxy):
    """The Date header of the answer to a GET, whatever its status."""
    request = urllib.request.Request(url, method="GET")  # noqa: S310 - the module's caller allows https alone
    proxies = urllib.request.ProxyHandler({"https": proxy} if proxy else {})  # and not what the environment says
    opener = urllib.request.build_opener(proxies, urllib.request.HTTPSHandler(context=context))
    try:
        with opener.open(request, timeout=TIMEOUT) as answer:
            return answer.headers.get("Date")
    except urllib.error.HTTPError as error:
        with error:
            return error.headers.get("Date")


def _way_out(address, proxy):
    if not proxy:
        return f"let this host make outbound TCP connections to {address}"
    return f"let the proxy {_without_sign_in(proxy)} pass CONNECT to {address} on, and see that its sign-in is right"


def _without_sign_in(proxy):
    parts = urllib.parse.urlsplit(proxy)
    return f"{parts.hostname}:{parts.port}"


def fl_server(address, proxy=""):
    """The FL server accepts TCP connections at `host:port`."""
    host, _, port = address.rpartition(":")
    remedy = _way_out(address, proxy)
    try:
        _connect(host.strip("[]"), int(port), proxy)
    except OSError as error:
        return row("FL server", False, f"{address}: {error}", "accepts connections", remedy)
    return row("FL server", True, f"{address} accepts", "accepts connections", remedy)


def _connect(host, port, proxy):
    if not proxy:
        socket.create_connection((host, port), timeout=TIMEOUT).close()
        return
    parts = urllib.parse.urlsplit(proxy)
    words = f"{urllib.parse.unquote(parts.username or '')}:{urllib.parse.unquote(parts.password or '')}"
    sign_in = {"Proxy-Authorization": f"Basic {base64.b64encode(words.encode()).decode()}"} if parts.username else {}
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=TIMEOUT)
    connection.set_tunnel(host, port, headers=sign_in)
    connection.connect()
    connection.close()


def kit(path, present):
    """The kit lies on the machine that runs the playbook; whether it is valid is asked when it is opened."""
    remedy = "have a hub's ADMIN run `flipctl trust onboard NAME`, and name the file in flip_preflight_kit_file"
    return row("kit", present, path or "not named", "a .flipkit file beside the playbook", remedy)


def endpoint(url):
    """`host:port` of a URL."""
    parts = urllib.parse.urlsplit(url)
    return f"{parts.hostname}:{parts.port or 443}"


def table(rows):
    """The rows as lines of text, aligned."""
    cells = [("", "check", "found", "needed")]
    cells += [("ok" if entry["ok"] else "MISSING", entry["check"], entry["found"], entry["needed"]) for entry in rows]
    widths = [max(len(line[column]) for line in cells) for column in range(3)]
    return [f"{a:{widths[0]}}  {b:{widths[1]}}  {c:{widths[2]}}  {d}" for a, b, c, d in cells]


def every(want):
    """All rows for the role's wishes (see the module's options)."""
    # A host on which FLIP runs already holds its ports, and its data fills the disk that was asked for.
    installed = active(want["unit"])
    space = {folder: gib * INSTALLED_SHARE if installed else gib for folder, gib in want["disk_gib"].items()}
    rows = [operating_system(want["systems"]), systemd(), *disk(space), memory(want["memory_gib"])]
    if want["gpu"]:
        rows.append(gpu(want["gpu_driver"]))
    if not installed:
        rows += ports(want["ports"])
    return rows + (reach(want) if want["trust"] else [])


def reach(want):
    """What a trust needs from outside: the way to the hub's two endpoints, and its kit."""
    proxy = want["proxy"]
    hosts = [urllib.parse.urlsplit(want["hub_url"]).hostname, want["fl_server"].rpartition(":")[0].strip("[]")]
    if proxy:  # which looks the others up
        hosts = [urllib.parse.urlsplit(proxy).hostname]
    rows = [dns(host) for host in dict.fromkeys(hosts)]
    rows += [hub_api(want["hub_url"], want["hub_ca"], proxy), clock(want["hub_url"], want["clock_seconds"], proxy)]
    return [*rows, fl_server(want["fl_server"], proxy), kit(want["kit_file"], want["kit_present"])]
