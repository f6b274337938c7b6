"""What a host must have before FLIP is put on it, each as one row of a table. Only reads; standard library only."""

import base64
import datetime
import email.utils
import http.client
import json
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
BEGUN = "/opt/flip/config"  # role flip_base makes it
INSTALLED_SHARE = 0.1  # of the disk a new host needs, what one that was begun must still have free
WIDTH = 60  # of what was found, in the table
WITHOUT_COMPOSE = ("debian", "12")  # its archive has version 1 only
LISTENING = "0A"  # the state of a listening socket in /proc/net/tcp


def row(check, ok, found, needed, remedy):
    """One line of the table; the remedy is only kept where the check failed."""
    return {"check": check, "ok": ok, "found": found, "needed": needed, "remedy": "" if ok else remedy}


def system(os_release):
    """A distribution's ID and VERSION_ID."""
    lines = Path(os_release).read_text(encoding="utf-8").splitlines()
    facts = {name: value.strip().strip('"') for name, _, value in (line.partition("=") for line in lines) if value}
    return facts.get("ID", "unknown"), facts.get("VERSION_ID", "unknown")


def operating_system(supported, os_release="/etc/os-release"):
    """`supported` maps a distribution's ID to its VERSION_IDs."""
    name, version = system(os_release)
    needed = ", ".join(f"{distribution} {' or '.join(versions)}" for distribution, versions in supported.items())
    return row("operating system", version in supported.get(name, []), f"{name} {version}", needed, f"install {needed}")


def systemd(marker="/run/systemd/system"):
    """FLIP's services are systemd units."""
    ok = Path(marker).is_dir()
    return row("systemd", ok, "running" if ok else "not running", "running", "boot the host with systemd as its init")


def compose(brought, os_release="/etc/os-release", program="docker"):
    """Compose 2 is there, or the distribution has it, or the inventory brings it."""
    try:
        command = [program, "compose", "version", "--short"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
        there = done.stdout.strip().removeprefix("v")
    except (OSError, subprocess.SubprocessError):
        there = ""  # no engine, or one that knows no such command
    missing = system(os_release) == WITHOUT_COMPOSE and not brought and there.partition(".")[0] in ("", "1")
    found = there or ("none, and none to be had" if missing else "comes with the playbook")
    remedy = "name the package docker-compose of Debian 13 in flip_docker_deb_files, or install docker-compose-plugin"
    return row("Compose", not missing, found, "2 or newer", remedy)


def files(wanted):
    """What the inventory says lies on this host: a row for each path."""
    remedy = "put it on the host, or correct its name in the inventory"
    there = {path: Path(path).exists() for path in wanted}
    return [row(path, ok, "there" if ok else "not there", "there", remedy) for path, ok in there.items()]


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
        remedy += "; flip_preflight_disk_gib says how much is asked for"
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


def ports(wanted, program="docker"):
    """TCP ports nobody listens on but FLIP itself, which an earlier run may have left serving."""
    taken = {port for port in listening() & set(wanted) if not published(port, program)}
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


def published(port, program="docker"):
    """Whether a container of FLIP's offers it."""
    command = [program, "ps", "--filter", f"publish={port}", "--format", "{{.Names}}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return False  # no engine, so no container
    return any(name.startswith("flip-") for name in done.stdout.split())


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
        _get(url, _trusting(ca), proxy)
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


def _trusting(ca):
    """As FLIP's services trust: Python 3.13, which a host may have, wants more of an authority than many have."""
    context = ssl.create_default_context(cadata=ca or None)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


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


def kit(path, header, opened="/opt/flip/kit/kit.json"):
    """The trust's kit lies on the machine that runs the playbook, and may be opened or has been.

    `header` is what flip_kit_header says of it, or empty where there is no such file.
    """
    remedy = "have a hub's ADMIN run `flipctl trust onboard NAME`, and name the file in flip_preflight_kit_file"
    needed = "this trust's, valid"
    if not header:
        return row("kit", False, f"{path}: no such file" if path else "not named", needed, remedy)
    if header["problem"]:
        return row("kit", False, f"{path}: {header['problem']}", needed, remedy)
    ends = datetime.datetime.fromisoformat(header["expires_at"].replace("Z", "+00:00"))
    found = f"{header['trust_name']}, serial {header['serial']}, to be opened until {ends:%Y-%m-%d %H:%M}"
    ok = ends > _now() or _key_id(opened) == header["key_id"]
    return row("kit", ok, found, needed, "have a hub's ADMIN run `flipctl trust reissue NAME`")


def _now():
    return datetime.datetime.now(datetime.timezone.utc)  # noqa: UP017 - Ubuntu 22.04 has Python 3.10


def _key_id(opened):
    """Of the kit that this host has opened."""
    try:
        return json.loads(Path(opened).read_text(encoding="utf-8"))["header"]["key_id"]
    except (OSError, ValueError, KeyError):
        return ""  # none; role flip_kit says what is wrong with one that cannot be read


def endpoint(url):
    """`host:port` of a URL."""
    parts = urllib.parse.urlsplit(url)
    return f"{parts.hostname}:{parts.port or 443}"


def table(rows):
    """The rows as lines of text, aligned; what is too long for that stands whole in the failure."""
    cells = [("", "check", "found", "needed")]
    for entry in rows:
        found = entry["found"] if len(entry["found"]) <= WIDTH else f"{entry['found'][: WIDTH - 3]}..."
        cells.append(("ok" if entry["ok"] else "MISSING", entry["check"], found, entry["needed"]))
    widths = [max(len(line[column]) for line in cells) for column in range(3)]
    return [f"{a:{widths[0]}}  {b:{widths[1]}}  {c:{widths[2]}}  {d}" for a, b, c, d in cells]


def every(want):
    """All rows for the role's wishes (see the module's options)."""
    # What an earlier run brought fills the disk that was asked for.
    installed = Path(BEGUN).is_dir()
    space = {folder: gib * INSTALLED_SHARE if installed else gib for folder, gib in want["disk_gib"].items()}
    rows = [operating_system(want["systems"]), systemd(), *disk(space), memory(want["memory_gib"])]
    if want["gpu"]:
        rows.append(gpu(want["gpu_driver"]))
    rows += [*ports(want["ports"]), compose(want["compose_file"])]
    if not installed:  # what is loaded is needed once
        rows += files(want["files"])
    return rows + (reach(want) if want["trust"] else [])


def reach(want):
    """What a trust needs from outside: the way to the hub's two endpoints, and its kit."""
    proxy = want["proxy"]
    hosts = [urllib.parse.urlsplit(want["hub_url"]).hostname, want["fl_server"].rpartition(":")[0].strip("[]")]
    if proxy:  # which looks the others up
        hosts = [urllib.parse.urlsplit(proxy).hostname]
    rows = [dns(host) for host in dict.fromkeys(hosts)]
    rows += [hub_api(want["hub_url"], want["hub_ca"], proxy), clock(want["hub_url"], want["clock_seconds"], proxy)]
    return [*rows, fl_server(want["fl_server"], proxy), kit(want["kit_file"], want["kit"])]
