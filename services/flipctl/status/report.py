"""What the looks at containers, units, kit, hub and the host itself come to."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from flipctl.doctor import Finding


@dataclass(frozen=True)
class Running(Finding):
    """A container: how it is, and what it was made from."""

    release: str = ""
    image: str = ""
    since: datetime | None = None


@dataclass(frozen=True)
class Report:
    """Everything found on a host. `kind` is trust, hub, or empty where FLIP is not installed."""

    kind: str
    name: str
    containers: list[Running]
    findings: list[Finding]

    @property
    def faults(self) -> int:
        """How many rows are faults."""
        return sum(row.verdict == "fault" for row in [*self.containers, *self.findings])

    def document(self) -> dict[str, Any]:
        """The report as one JSON document."""
        return {
            "kind": self.kind,
            "name": self.name,
            "at": datetime.now(UTC),
            "faults": self.faults,
            "containers": [asdict(row) for row in self.containers],
            "findings": [asdict(row) for row in self.findings],
        }


def ago(moment: datetime) -> str:
    """How long ago that was, in the largest fitting unit."""
    seconds = max(0, int((datetime.now(UTC) - moment).total_seconds()))
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"
