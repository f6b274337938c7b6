"""`flipctl status`: on a host, or with --hub from the hub."""

import os
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from flipctl.api import HubCaFile
from flipctl.doctor import Finding
from flipctl.kit import KitError
from flipctl.kit.folder import installed
from flipctl.output import JsonFlag, console, fail, print_json, print_table
from flipctl.sign_in import HUB_ERRORS, sign_in, told
from flipctl.status import hub as federation
from flipctl.status.engine import Container, Engine, EngineError
from flipctl.status.host import check_backup, check_disks, check_kit, check_link, check_published
from flipctl.status.report import Report, Running, ago
from flipctl.status.services import UnitsError, check_containers, check_units, read_units, wanted

EXAMPLE = "Example: flipctl status   |   flipctl status --hub https://hub.example.org/api --email admin@example.org"
HUB_PROJECT = "flip-hub"


def status(
    hub: Annotated[str | None, typer.Option(help="Ask this hub (its API URL) for all trusts instead.")] = None,
    email: Annotated[str | None, typer.Option(help="An administrator's sign-in, with --hub.")] = None,
    folder: Annotated[Path, typer.Option(help="Where FLIP is installed on this host.")] = Path("/opt/flip"),
    docker: Annotated[Path, typer.Option(help="Docker's socket.")] = Path("/var/run/docker.sock"),
    units: Annotated[
        Path | None,
        typer.Option(help="Units as `systemctl list-units --all --output=json 'flip-*'` prints them; - reads them."),
    ] = None,
    backups: Annotated[Path | None, typer.Option(help="Where backups lie, if not in FOLDER/backup.")] = None,
    ca: HubCaFile = None,
    as_json: JsonFlag = False,
) -> None:
    """How this trust's or hub's host is now; with --hub how all trusts, nets and models are. Exit status 1 on a fault.

    With --hub it signs in by FLIP_TOKEN (see flipctl sign-in) or FLIP_PASSWORD, or asks.
    """
    if hub is not None:
        if email is None:
            fail("--hub needs --email", 2)
        _from_the_hub(hub, email, ca, as_json)
    if os.geteuid() != 0:
        fail(
            "only root may look at this host: run it with sudo; from the hub: flipctl status --hub URL --email ADDRESS"
        )
    try:
        report = look(folder, docker, units, backups or folder / "backup")
    except UnitsError as error:
        fail(str(error))
    if as_json:
        print_json(report.document())
    else:
        _show(report)
    raise typer.Exit(1 if report.faults else 0)


def look(folder: Path, docker: Path, units: Path | None, backups: Path) -> Report:
    """Looks at a host: containers, units, kit, ways to the hub, disks, backups.

    Raises:
        UnitsError: the list of units cannot be had.
    """
    projects, kit = wanted(folder / "config"), folder / "kit"
    kind = "hub" if HUB_PROJECT in projects else "trust" if projects or (kit / "kit.json").exists() else ""
    findings: list[Finding] = []
    containers: list[Container] = []
    rows: list[Running] = []
    docker_root = Path("/")
    if not kind:
        remedy = "run the playbook: docs/trust-hosts.md"
        findings.append(Finding("installation", "fault", f"no service of FLIP in {folder}", remedy))
    try:
        with Engine(docker) as engine:
            containers, docker_root = engine.containers(), engine.root()
        rows = list(check_containers(containers, projects))
    except EngineError as error:
        findings.append(Finding("Docker", "fault", str(error), "systemctl restart docker"))
    listed = read_units(units)
    if listed is None:
        findings.append(Finding("units", "warning", "not looked at: no systemd here", "run it on the host itself"))
    else:
        findings += check_units(listed, projects)
    if kind == "trust":
        findings += check_kit(kit)
        findings += check_link(folder, containers)
    elif kind == "hub":
        findings += check_published(containers)
    # In a container Docker's folder is not to be seen, but the container's own root lies on the same disk.
    findings += check_disks(
        [folder, folder / "data", folder / "backup", docker_root if docker_root.is_dir() else Path("/")]
    )
    if kind:
        findings.append(check_backup(backups))
    return Report(kind, _name(kit), rows, findings)


def _name(kit: Path) -> str:
    try:
        found = installed(kit)
    except KitError:
        return ""  # said as a finding
    return found.header.trust_name if found else ""


def _show(report: Report) -> None:
    if report.containers:
        print_table("Containers", [_container_row(row) for row in report.containers])
        console.print()
    print_table(f"{report.kind or 'Host'} {report.name}".rstrip(), [asdict(row) for row in report.findings])
    _count(report.faults)


def _container_row(row: Running) -> dict[str, Any]:
    return {
        "container": row.check,
        "verdict": row.verdict,
        "found": row.found,
        "release": row.release or "-",
        "image": row.image or "-",
        "since": ago(row.since) if row.since else "-",
        "remedy": row.remedy,
    }


def _count(faults: int) -> None:
    console.print(f"\n{faults} fault{'' if faults == 1 else 's'} found")


def _from_the_hub(hub: str, email: str, ca: Path | None, as_json: bool) -> NoReturn:
    try:
        with sign_in(hub, email, ca) as api:
            seen = federation.look(api)
    except HUB_ERRORS as error:
        fail(told(error, hub))
    if as_json:
        print_json({"hub": hub, "at": datetime.now(UTC), "faults": seen.faults, **asdict(seen)})
    else:
        _show_federation(seen)
    raise typer.Exit(1 if seen.faults else 0)


def _show_federation(seen: federation.Federation) -> None:
    print_table("Trusts", [_trust_row(trust) for trust in seen.trusts])
    console.print()
    print_table("Nets", [_net_row(net) for net in seen.nets])
    console.print()
    if seen.models:
        print_table("Models that run", seen.models)
    else:
        console.print("No model runs.")
    console.print()
    if seen.findings:
        print_table("What to do", [asdict(row) for row in seen.findings])
    _count(seen.faults)


def _trust_row(trust: dict[str, Any]) -> dict[str, Any]:
    last, live = trust["last_heartbeat_at"], [key for key in trust["keys"] if key["retired_at"] is None]
    return {
        "trust": trust["name"],
        "online": "yes" if trust["online"] else "no",
        "last heard": ago(datetime.fromisoformat(last)) if last else "never",
        "release": trust["release"] or "-",
        "tasks": trust["tasks_running"],
        "FL key": "yes" if trust["fl_key_registered"] else "no",
        "live keys": ", ".join(f"made {key['created_at'][:10]}" for key in live) or "none",
    }


def _net_row(net: dict[str, Any]) -> dict[str, Any]:
    online = [site["trust"] for site in net["sites"] if site["online"]]
    return {
        "net": net["name"],
        "backend": net["backend"],
        "reachable": "yes" if net["reachable"] else "no",
        "sites online": f"{len(online)} of {len(net['sites'])}: {', '.join(online) or 'none'}",
    }
