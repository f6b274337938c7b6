"""The host itself, its kit and its ways to the hub."""

import json
import os
import re
import socket
import ssl
import stat
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from cryptography import x509
from pydantic import SecretStr, TypeAdapter, ValidationError

from flip_common.envfile import read_env_file
from flip_common.proxy import ProxyUrl, tunnel_socket
from flipctl.doctor import Finding, Verdict, check_hub
from flipctl.kit import KitError, folder
from flipctl.kit.model import FILE_NAMES, Installed
from flipctl.status.engine import Container
from flipctl.status.report import ago

MIN_FREE_BYTES = 5 * 2**30
MIN_FREE_SHARE = 0.1
SILENT_AFTER = timedelta(minutes=2)
SETTLED_AFTER = timedelta(seconds=15)  # a client that the FL server refuses is gone by then, and dials anew
SOON = timedelta(days=30)
TAIL_BYTES = 1_000_000
LEDGER = "fl/egress/ledger.jsonl"
BACKUP_AFTER = timedelta(days=2)
BACKUP_NAME = re.compile(r"(?:trust|hub)-(\d{8}T\d{6}Z)")
TRUST_API, TRUST_API_PORT = ("flip-trust", "trust-api"), 8020
# What a resolver says of a name it does not know, or cannot ask for.
UNKNOWN_NAME = re.compile("Name or service not known|No address associated with|name resolution")


def check_kit(kit: Path) -> Iterator[Finding]:
    """Whose kit lies there, that it is root's alone, and how long the certificates in it are good."""
    found, again = _kit(kit), "open it again: flipctl kit open"
    if found is None:
        yield Finding("kit", "fault", f"none in {kit}", "put the trust's kit there with the playbook (flip_kit)")
        return
    if isinstance(found, str):
        yield Finding("kit", "fault", found, again)
        return
    header = found.header
    yield Finding(
        "kit",
        "ok",
        f"{header.trust_name}, serial {header.serial}, made {header.issued_at:%Y-%m-%d}; "
        f"its file could be opened until {header.expires_at:%Y-%m-%d}",
    )
    for path in (kit, *sorted(kit.iterdir())):
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            yield Finding("kit's files", "fault", f"{path} has mode {mode:04o}", f"chmod go= {path}; {again}")
    for name in ("ca.pem", "hub-ca.pem"):
        if (kit / name).exists():
            ends = min(one.not_valid_after_utc for one in x509.load_pem_x509_certificates((kit / name).read_bytes()))
            yield _validity(f"certificate {name}", ends, "ask the hub to reissue the kit")


def _kit(kit: Path) -> Installed | str | None:
    """The kit, what is wrong with it, or None where there is none."""
    try:
        found = folder.installed(kit)
    except KitError as error:
        return str(error)
    missing = sorted(name for name in FILE_NAMES - {"hub-ca.pem"} if not (kit / name).exists())
    return f"{kit} lacks {', '.join(missing)}" if found and missing else found


def check_link(folder: Path, containers: Sequence[Container]) -> Iterator[Finding]:
    """From this host to the hub and its FL server, as its services go there; when the hub last heard of trust-api."""
    kit = folder / "kit"
    found = _kit(kit)
    if not isinstance(found, Installed):
        return  # check_kit has said so
    config = folder / "config"
    try:
        to_hub = _proxy(config / "trust/trust-api/service.env", "HUB_PROXY")
        to_server = _proxy(config / "fl-client/egress/service.env", "EGRESS_PROXY")
    except ValueError as error:
        yield Finding("proxy", "fault", str(error), "run the playbook again")
        return
    own_ca = next((file for file in (config / "trust/trust-api/hub-ca.pem", kit / "hub-ca.pem") if file.exists()), None)
    yield from check_hub(found.header.hub_api_url, own_ca, to_hub)
    yield check_heartbeat(kit, containers)
    address = read_env_file(kit / "fl-site.env")["FL_SERVER_ADDRESS"]
    host, _, port = address.rpartition(":")
    context = ssl.create_default_context(cafile=str(kit / "ca.pem"))
    remedy = "firewall, DNS and the kit's ca.pem"
    yield check_tls("FL server", host.strip("[]"), int(port), context, remedy, to_server)
    yield check_egress(folder / LEDGER)


def _proxy(env_file: Path, name: str) -> SecretStr | None:
    """The proxy a service is told to go through.

    Raises:
        ValueError: what stands there names none; its text has no password.
    """
    value = read_env_file(env_file).get(name) if env_file.exists() else None
    try:
        return TypeAdapter(ProxyUrl | None).validate_python(value)
    except ValidationError as error:
        raise ValueError(f"{name} in {env_file}: {error.errors()[0]['msg']}") from None


def check_egress(ledger: Path) -> Finding:
    """Whether the FL client is connected, by the egress point's ledger: it has no other way to the FL server."""
    name, log = "FL connection", "docker logs --tail 50 flip-fl-client-fl-client-1"
    if not ledger.exists():
        return Finding(name, "fault", f"no ledger {ledger}", "systemctl restart flip-fl-client")
    connections: dict[str, dict[str, Any]] = {}
    for line in _tail(ledger):
        said = json.loads(line)
        if said["event"] == "started":
            connections.clear()
        elif "connection" in said:
            connections.pop(said["connection"], None)  # the latest stands last
            connections[said["connection"]] = said
    open_ones = [said for said in connections.values() if said["event"] in ("opened", "continues")]
    if open_ones:
        sent = sum(said["bytes_out"] for said in open_ones)
        found = f"{len(open_ones)} open, {sent / 1e6:.1f} MB out when last counted"
        if all(_is_new(said) for said in open_ones):
            return Finding(name, "warning", f"{found}; it has just begun", "look again in a quarter of a minute")
        return Finding(name, "ok", found)
    if not connections:
        return Finding(name, "fault", "the FL client did not dial since the egress point started", log)
    last = list(connections.values())[-1]
    when = ago(datetime.fromisoformat(last["at"]))
    reason = last.get("reason", "")
    return Finding(name, "fault", f"none is open; {last['event']} {when}: {reason}", _named(reason, "fl_client", log))


def _is_new(said: dict[str, Any]) -> bool:
    opened = said["event"] == "opened"
    return opened and datetime.now(UTC) - datetime.fromisoformat(said["at"]) < SETTLED_AFTER


def _named(problem: str, role: str, otherwise: str) -> str:
    """The remedy where the containers' resolver does not know the name; the host's may."""
    if not UNKNOWN_NAME.search(problem):
        return otherwise
    return f"put the name into the site's DNS, or into flip_{role}_hosts, for the containers"


def _tail(ledger: Path) -> list[bytes]:
    """The last lines of the file; of a line that is cut in two nothing."""
    with ledger.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL_BYTES))
        lines = file.read().split(b"\n")
    return lines[1 if len(lines) > 1 and not lines[0].startswith(b'{"at"') else 0 : -1]


def check_heartbeat(kit: Path, containers: Sequence[Container]) -> Finding:
    """What trust-api says of its heartbeats."""
    name = "heartbeat"
    log = "docker logs --tail 50 flip-trust-trust-api-1"
    api = [one for one in containers if (one.project, one.service) == TRUST_API and one.addresses]
    if not api:
        return Finding(name, "fault", "trust-api does not run", "systemctl restart flip-trust")
    header = {"X-Trust-Internal-Service-Key": read_env_file(kit / "trust.env")["TRUST_INTERNAL_SERVICE_KEY"]}
    url = f"http://{api[0].addresses[0]}:{TRUST_API_PORT}/status"
    try:
        answer = httpx.get(url, headers=header, timeout=10, trust_env=False)
        answer.raise_for_status()
    except httpx.HTTPError as error:
        return Finding(name, "fault", f"trust-api at {url}: {type(error).__name__}: {error}", log)
    said = answer.json()
    if said["last_heartbeat_at"] is None:
        why = said["heartbeat_problem"] or "trust-api has just started"
        return Finding(name, "fault", f"none yet: {why}", _named(why, "trust", log))
    last = datetime.fromisoformat(said["last_heartbeat_at"])
    why = said["heartbeat_problem"]
    if datetime.now(UTC) - last > SILENT_AFTER:
        return Finding(name, "fault", f"last {ago(last)}: {why}", _named(why, "trust", log))
    if why:
        return Finding(name, "warning", f"last {ago(last)}, and not since: {why}", _named(why, "trust", log))
    return Finding(name, "ok", f"{ago(last)}; the hub knows this trust as {said['trust_name']}")


def check_published(containers: Sequence[Container]) -> Iterator[Finding]:
    """The certificates of what a hub's host offers on ports of its own."""
    # Who it is for is not judged here: the name in it is the hub's, and this asks the loopback address.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    for one in containers:
        for port in sorted(set(one.published.values())):
            where = f"{one.project}/{one.service} on port {port}"
            yield check_tls(where, "127.0.0.1", port, context, f"docker logs --tail 50 {one.name}")


def check_tls(
    name: str, host: str, port: int, context: ssl.SSLContext, remedy: str, proxy: SecretStr | None = None
) -> Finding:
    """Whether TLS stands up there, and how long the certificate is good."""
    try:
        with (
            tunnel_socket(proxy, host, port, 10) if proxy else socket.create_connection((host, port), 10) as plain,
            context.wrap_socket(plain, server_hostname=host) as secured,
        ):
            shown = secured.getpeercert(binary_form=True)
    except OSError as error:
        return Finding(name, "fault", f"{host}:{port}: {type(error).__name__}: {error}", remedy)
    if shown is None:
        return Finding(name, "fault", f"{host}:{port} shows no certificate", remedy)
    return _validity(name, x509.load_der_x509_certificate(shown).not_valid_after_utc, "renew it")


def _validity(name: str, ends: datetime, remedy: str) -> Finding:
    left = ends - datetime.now(UTC)
    verdict: Verdict = "fault" if left <= timedelta() else "warning" if left <= SOON else "ok"
    return Finding(name, verdict, f"certificate good until {ends:%Y-%m-%d}", "" if verdict == "ok" else remedy)


def check_backup(backups: Path) -> Finding:
    """How old the newest complete backup is, by its name; one under way, or left half made, is called otherwise."""
    again = "ansible-playbook -i inventories/SITE ansible/backup.yml"
    names = [match for path in backups.glob("*") if (match := BACKUP_NAME.fullmatch(path.name))]
    if not names:
        return Finding("backup", "warning", f"none in {backups}", again)
    last = max(datetime.strptime(name[1], "%Y%m%dT%H%M%S%z") for name in names)
    old = datetime.now(UTC) - last > BACKUP_AFTER
    return Finding("backup", "warning" if old else "ok", f"last {ago(last)}", again if old else "")


def check_disks(folders: Sequence[Path]) -> Iterator[Finding]:
    """Free space of each file system the folders lie on, once."""
    seen = set()
    for path in folders:
        if not path.exists() or path.stat().st_dev in seen:
            continue
        seen.add(path.stat().st_dev)
        space = os.statvfs(path)
        free, total = space.f_bavail * space.f_frsize, space.f_blocks * space.f_frsize
        verdict: Verdict = "fault" if free < MIN_FREE_BYTES else "warning" if free < total * MIN_FREE_SHARE else "ok"
        remedy = "" if verdict == "ok" else f"make room there, or give {path} a larger disk"
        yield Finding(f"disk of {path}", verdict, f"{free / 2**30:.1f} GiB of {total / 2**30:.1f} free", remedy)
