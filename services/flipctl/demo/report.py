"""The demo's end: one table, the learning curve, what was checked, where everything lies."""

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import plotext
import psutil
from rich.console import Console
from rich.table import Table

from flipctl.demo.checks import Check

Series = Mapping[str, list[tuple[int, float]]]
PLOT_WIDTH, PLOT_HEIGHT = 72, 14


@dataclass(frozen=True)
class Report:
    """Everything the demo found out; times in seconds, memory in bytes."""

    seconds: float
    steps: Mapping[str, float]
    peak_memory: int
    peak_processes: int
    curve: Series
    checks: Sequence[Check]
    folder: Path
    results: Sequence[Path]

    @property
    def passed(self) -> bool:
        """Whether everything held."""
        return all(check.holds for check in self.checks)

    def as_dict(self) -> dict[str, Any]:
        """For --json."""
        return {**asdict(self), "passed": self.passed, "machine": machine()}


def machine() -> str:
    """What this ran on."""
    cores = len(os.sched_getaffinity(0))
    memory = psutil.virtual_memory().total / 2**30
    return (
        f"{platform.system()} {platform.machine()}, {cores} cores, {memory:.0f} GiB, Python {platform.python_version()}"
    )


def plot(curve: Series, label: str) -> str:
    """The learning curve as text: one line a trust, rounds to the right."""
    plotext.clear_figure()
    plotext.theme("clear")
    plotext.plotsize(PLOT_WIDTH, PLOT_HEIGHT)
    for trust, points in curve.items():
        rounds, values = zip(*sorted(points), strict=True)
        plotext.plot(rounds, values, label=trust, marker="braille")
    plotext.xticks(sorted({point[0] for points in curve.values() for point in points}))
    plotext.title(f"{label} by round")
    return str(plotext.build())


def show(report: Report, label: str, console: Console) -> None:
    """Prints the report for people."""
    table = Table(title=f"What ran ({machine()})", title_justify="left", show_edge=False)
    table.add_column("step")
    table.add_column("seconds", justify="right")
    for name, seconds in report.steps.items():
        table.add_row(name, f"{seconds:.1f}")
    table.add_section()
    table.add_row("everything", f"{report.seconds:.1f}")
    memory = f"{report.peak_memory / 2**30:.2f} GiB in {report.peak_processes} processes"
    table.add_row("memory at its peak", memory)
    console.print(table)
    console.print(plot(report.curve, label), markup=False)
    checks = Table(title="What was checked", title_justify="left", show_edge=False)
    for column in ("", "check", "found"):
        checks.add_column(column)
    for check in report.checks:
        checks.add_row("[green]✓[/green]" if check.holds else "[red]✗ failed[/red]", check.name, check.found)
    console.print(checks)
    console.print(
        f"\nResults: {report.folder / 'results'} ({len(report.results)} files). Logs: {report.folder / 'logs'}"
    )
