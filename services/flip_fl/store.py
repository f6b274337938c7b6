"""Records of jobs that survive a restart: one SQLite file, one row a job."""

import sqlite3
import threading
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from flip_common.wire import JobSpec, JobState, JobStatus
from flip_common.wire.model import MAX_ROUND, TrustName


class Verdict(BaseModel):
    """How a job that is being ended will end."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    status: JobStatus
    reason: str


class JobRecord(BaseModel):
    """Everything that must be known of a job to go on with it after a restart."""

    model_config = ConfigDict(extra="forbid")

    spec: JobSpec
    status: JobStatus = JobStatus.PENDING
    reason: str = ""
    created_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    run_id: int | None = None
    run_config: dict[str, bool | int | float | str] = Field(default_factory=dict)
    verdict: Verdict | None = None
    round: int = 0
    failures: dict[TrustName, int] = Field(default_factory=dict)

    @property
    def state(self) -> JobState:
        """The record as others see it."""
        return JobState(
            job_id=self.spec.job_id,
            status=self.status,
            reason=self.reason,
            created_at=self.created_at,
            started_at=self.started_at,
            ended_at=self.ended_at,
            round=min(self.round, MAX_ROUND),  # an app says which round it is in
            failures=self.failures,
        )


def utc_now() -> datetime:
    """Now, with its time zone."""
    return datetime.now(UTC)


class JobStore:
    """Job records by id. Thread-safe; what `save` was given is on disk when it returns."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=FULL")
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS jobs (job_id TEXT PRIMARY KEY, active INTEGER NOT NULL, record TEXT NOT NULL)"
        )

    def get(self, job_id: UUID) -> JobRecord | None:
        """A job's record."""
        with self._lock:
            row = self._connection.execute("SELECT record FROM jobs WHERE job_id = ?", (str(job_id),)).fetchone()
        return JobRecord.model_validate_json(row[0]) if row else None

    def save(self, record: JobRecord) -> None:
        """Stores a record, replacing an older one."""
        row = (str(record.spec.job_id), int(not record.status.terminal), record.model_dump_json())
        with self._lock:
            self._connection.execute(
                "INSERT INTO jobs VALUES (?, ?, ?) ON CONFLICT (job_id) DO UPDATE SET active = excluded.active, "
                "record = excluded.record",
                row,
            )

    def active(self) -> list[JobRecord]:
        """Jobs that have not ended."""
        with self._lock:
            rows = self._connection.execute("SELECT record FROM jobs WHERE active = 1 ORDER BY rowid").fetchall()
        return [JobRecord.model_validate_json(row[0]) for row in rows]

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            self._connection.close()
