"""What a check finds, and the limits it holds an app to."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Severity(StrEnum):
    """An error is refused at upload; a warning is shown."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True)
class Finding:
    """One thing to change. `code` is stable; `message` says what is wrong and what to write instead."""

    code: str
    severity: Severity
    message: str
    file: str | None = None
    line: int | None = None

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line) if part is not None)
        return f"{place + ': ' if place else ''}{self.severity}: {self.message} [{self.code}]"


@dataclass(frozen=True)
class Report:
    """Result of a check, errors first."""

    findings: tuple[Finding, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether submit would accept the app; warnings do not stop it."""
        return all(finding.severity is not Severity.ERROR for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """`{"ok", "findings": [{"code", "severity", "message", "file", "line"}]}`, ready for JSON."""
        return {"ok": self.ok, "findings": [asdict(finding) for finding in self.findings]}


class Collector:
    """Gathers findings while the parts of the check run."""

    def __init__(self) -> None:
        self._findings: list[Finding] = []

    def error(self, code: str, message: str, file: str | None = None, line: int | None = None) -> None:
        """Adds an error."""
        self._findings.append(Finding(code, Severity.ERROR, message, file, line))

    def warn(self, code: str, message: str, file: str | None = None, line: int | None = None) -> None:
        """Adds a warning."""
        self._findings.append(Finding(code, Severity.WARNING, message, file, line))

    def report(self) -> Report:
        """Everything found, each once, errors first, then by place."""
        found = dict.fromkeys(self._findings)
        return Report(tuple(sorted(found, key=lambda f: (f.severity is Severity.WARNING, f.file or "", f.line or 0))))


@dataclass(frozen=True)
class Limits:
    """What an app may be at most. Sizes in bytes."""

    archive_bytes: int = 100_000_000
    total_bytes: int = 200_000_000
    file_bytes: int = 100_000_000
    files: int = 1000
    ratio: int = 200
    path_chars: int = 200
    depth: int = 12
    source_bytes: int = 1_000_000


DEFAULT_LIMITS = Limits()
RATIO_FROM_BYTES = 1_000_000
"""Below this a high compression ratio harms nobody: a file of zeros is small anyway."""
