"""What the federation shows: who reached whom, that nothing changed twice, that the results are at the hub."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from federation.interrupt import differences
from federation.plan import Site
from federation.playbooks import Played
from federation.router import PORTS, Count
from flipctl.demo.checks import Check
from flipctl.demo.report import machine

IDLE_BYTES = 1_500_000_000


@dataclass
class Evidence:
    """Everything found; times in seconds, sizes in bytes."""

    phases: Mapping[str, float]
    suites: Mapping[str, str] = field(default_factory=dict)
    """What each host was made from."""
    first: dict[str, Played] = field(default_factory=dict)
    """First playbook runs by their names."""
    second: dict[str, Played] = field(default_factory=dict)
    kills: list[str] = field(default_factory=list)
    """When a provisioning was killed."""
    counters: dict[str, Count] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    hosts: dict[str, dict[str, Count]] = field(default_factory=dict)
    """Counters of the hosts' own firewalls."""
    checks: list[Check] = field(default_factory=list)
    results: list[Path] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether everything held."""
        return bool(self.checks) and all(check.holds for check in self.checks)

    def as_dict(self) -> dict[str, Any]:
        """For the JSON file."""
        return {
            "passed": self.passed,
            "machine": machine(),
            "suites": dict(self.suites),
            "seconds": round(self.seconds, 1),
            "phases": {name: round(seconds, 1) for name, seconds in self.phases.items()},
            "first_runs": {name: _run(played) for name, played in self.first.items()},
            "second_runs": {name: _run(played) for name, played in self.second.items()},
            "kills": self.kills,
            "router": {name: asdict(count) for name, count in self.counters.items()},
            "refused": self.refused,
            "host_firewalls": {
                host: {name: asdict(count) for name, count in counters.items()} for host, counters in self.hosts.items()
            },
            "checks": [asdict(check) for check in self.checks],
            "results": {path.name: path.stat().st_size for path in self.results},
        }


def _run(played: Played) -> dict[str, Any]:
    return {
        "seconds": round(played.seconds, 1),
        "hosts": {host: asdict(recap) for host, recap in played.recaps.items()},
        "changed": dict(played.changes),
    }


def reached(counters: Mapping[str, Count], trusts: Sequence[Site], refused: Sequence[str]) -> list[Check]:
    """The router's part: both endpoints were used by every trust, nothing else was tried, nobody came in."""
    found = []
    for trust in trusts:
        flows = {name: counters[f"{trust.name}_{name}"] for name in PORTS}
        told = ", ".join(f"{count.packets} connections to port {PORTS[name]}" for name, count in flows.items())
        found.append(
            Check(f"{trust.trust} reached the hub's two endpoints", all(c.packets for c in flows.values()), told)
        )
    out = {trust.name: counters[f"{trust.name}_refused_out"].packets for trust in trusts}
    into = {trust.name: counters[f"{trust.name}_refused_in"].packets for trust in trusts}
    tried = f"; {', '.join(refused)}" if refused else ""
    found.append(Check("no trust tried to reach anything else", not any(out.values()), _told(out) + tried))
    found.append(Check("nothing tried to come in to a trust", not any(into.values()), _told(into) + tried))
    here = counters["refused_here"].packets
    found.append(Check("nothing was sent to the router itself", not here, f"{here} packets"))
    return found


def _told(packets: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count} packets" for name, count in packets.items())


def unchanged(second: Mapping[str, Played]) -> list[Check]:
    """Every host's second run changed nothing."""
    return [
        Check(
            f"second run changes nothing on {host}",
            recap.changed == 0,
            f"changed={recap.changed} of {recap.ok} tasks"
            + "".join(f"; {task}" for task in played.changes.get(host, [])),
        )
        for played in second.values()
        for host, recap in played.recaps.items()
    ]


def alike(site: Site, kills: int, wanted: Mapping[str, Any], found: Mapping[str, Any]) -> Check:
    """A host whose provisioning was killed is as one whose provisioning was not."""
    other = differences(wanted, found)
    told = (
        "; ".join(other) or f"the same on both: {', '.join(f'{len(things)} {kind}' for kind, things in wanted.items())}"
    )
    return Check(f"{site.name} after {kills} kills is as without", kills > 0 and not other, told)


def small(site: Site, used: int) -> Check:
    """A host without XNAT idles in the memory that was promised."""
    told = f"{used / 1e9:.2f} GB in all its processes, shared pages counted once"
    return Check(f"{site.name} idles in {IDLE_BYTES / 1e9:g} GB", used <= IDLE_BYTES, told)


def show(evidence: Evidence, console: Console) -> None:
    """Prints the evidence for people."""
    hosts = ", ".join(f"{site}: {suite}" for site, suite in evidence.suites.items())
    phases = Table(title=f"What ran ({machine()}; {hosts})", title_justify="left", show_edge=False)
    phases.add_column("phase")
    phases.add_column("seconds", justify="right")
    for name, seconds in evidence.phases.items():
        phases.add_row(name, f"{seconds:.1f}")
    phases.add_section()
    phases.add_row("everything", f"{evidence.seconds:.1f}")
    console.print(phases)
    flows = Table(title="What passed the router", title_justify="left", show_edge=False)
    for column in ("counter", "packets", "bytes"):
        flows.add_column(column, justify="left" if column == "counter" else "right")
    for name, count in evidence.counters.items():
        flows.add_row(name, f"{count.packets}", f"{count.bytes}")
    console.print(flows)
    table = Table(title="What was checked", title_justify="left", show_edge=False)
    for column in ("", "check", "found"):
        table.add_column(column)
    for check in evidence.checks:
        table.add_row("[green]✓[/green]" if check.holds else "[red]✗ failed[/red]", check.name, check.found)
    console.print(table)


def save(evidence: Evidence, path: Path) -> None:
    """Writes the evidence as JSON."""
    path.write_text(json.dumps(evidence.as_dict(), indent=1) + "\n", encoding="utf-8")
