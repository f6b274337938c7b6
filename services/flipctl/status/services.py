"""Containers and systemd units: what is meant to run, and what does."""

import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from flipctl.doctor import Finding, Verdict
from flipctl.status.engine import Container
from flipctl.status.report import Running

LIST_UNITS = ("systemctl", "list-units", "--all", "--output=json", "flip-*")
OURS = "flip/"
BOOTED = Path("/run/systemd/system")


class Unit(BaseModel):
    """One unit as `systemctl list-units --output=json` gives it."""

    model_config = ConfigDict(frozen=True)

    unit: str
    load: str
    active: str
    sub: str


class UnitsError(Exception):
    """The list of units cannot be had; the text says why."""


def read_units(source: Path | None) -> list[Unit] | None:
    """Units from a file (`-`: standard input), else from systemd itself; None where there is no systemctl.

    Raises:
        UnitsError: no such list there.
    """
    try:
        if source is not None:
            text = sys.stdin.read() if str(source) == "-" else source.read_text(encoding="utf-8")
        elif not BOOTED.is_dir():
            return None
        else:
            text = subprocess.run(LIST_UNITS, capture_output=True, text=True, check=True).stdout
        return TypeAdapter(list[Unit]).validate_json(text)
    except (OSError, subprocess.CalledProcessError, ValidationError) as error:
        what = " ".join(LIST_UNITS)
        raise UnitsError(
            f"no list of units from {source or 'systemd'} ({error}); it is the output of: {what}"
        ) from None


def wanted(config: Path) -> dict[str, set[str]]:
    """Services of each project by what its Compose file in the configuration says."""
    found = {}
    for file in sorted(config.glob("*/compose.yml")):
        found[f"flip-{file.parent.name}"] = set(yaml.safe_load(file.read_text(encoding="utf-8"))["services"])
    return found


def check_containers(containers: Sequence[Container], projects: Mapping[str, set[str]]) -> Iterator[Running]:
    """Each container, then those that should be there and are not."""
    releases = {one.release for one in containers if one.image.startswith(OURS)}
    for one in containers:
        verdict, remedy = _judged(one)
        found = f"{one.state}, {one.health}" if one.health else one.state
        if one.state == "exited":
            found += f" with status {one.exit_code}"
        if one.restarts:
            found += f", restarted {one.restarts} times"
        if verdict == "ok" and one.image.startswith(OURS) and len(releases) > 1:
            verdict, remedy = "warning", "releases are mixed; run the site's playbook again"
        yield Running(f"{one.project}/{one.service}", verdict, found, remedy, one.release, one.image, one.since)
    present = {(one.project, one.service) for one in containers}
    for project, services in projects.items():
        for service in sorted(services):
            if (project, service) not in present:
                yield Running(f"{project}/{service}", "fault", "missing", f"systemctl restart {project}")


def _judged(one: Container) -> tuple[Verdict, str]:
    if one.state == "running" and one.health in ("", "healthy"):
        return "ok", ""
    if one.state == "running" and one.health == "starting":
        return "warning", "it starts; look again in a minute"
    if one.state == "exited" and one.exit_code == 0 and not one.lasting:
        return "ok", ""
    again = (
        f"docker service update --force {one.project}_{one.service}"
        if one.swarm
        else f"systemctl restart {one.project}"
    )
    return "fault", f"docker logs --tail 50 {one.name}; then {again}"


def check_units(units: Sequence[Unit], projects: Mapping[str, set[str]]) -> Iterator[Finding]:
    """Each unit of FLIP that systemd knows, then those of projects that have none."""
    there = [unit for unit in units if unit.load != "not-found"]
    # A timer or a socket starts such a unit, which is then no service that has to run.
    starters = dict(unit.unit.rsplit(".", 1) for unit in there if unit.unit.endswith((".timer", ".socket")))
    for unit in there:
        starter = starters.get(unit.unit.removesuffix(".service"))
        if starter and unit.active in ("inactive", "activating", "deactivating"):
            found = f"waits for its {starter}" if unit.active == "inactive" else f"its {starter} has started it"
            yield Finding(unit.unit, "ok", found)
            continue
        verdict, remedy = _judged_unit(unit)
        yield Finding(unit.unit, verdict, f"{unit.active} ({unit.sub})", remedy)
    names = {unit.unit for unit in there}
    for project in projects:
        if f"{project}.service" not in names:
            yield Finding(f"{project}.service", "fault", "missing", "run the site's playbook again")


def _judged_unit(unit: Unit) -> tuple[Verdict, str]:
    if unit.load == "masked":
        return "fault", f"systemctl unmask {unit.unit}; systemctl enable --now {unit.unit}"
    if unit.active in ("active", "reloading"):
        return "ok", ""
    if unit.active == "activating":
        return "warning", "it starts; look again in a minute"
    return "fault", f"journalctl --unit {unit.unit} --lines 50; then systemctl restart {unit.unit}"
