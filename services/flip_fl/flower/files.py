"""Files by which the processes of a net speak about a run: who may take part, what runs, what happened."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from flip_common.wire import SiteException
from flip_common.wire.model import TrustName
from flip_fl.certs import write_private
from flip_fl.processes import ProcessId

FEDERATION_PREFIX = "flip-job-"


def federation_of(job_id: UUID) -> str:
    """Flower's federation id of a job: each job is a federation of its own."""
    return f"{FEDERATION_PREFIX}{job_id}"


class Roster(BaseModel):
    """Who takes part in a job and within which limits. Written before the run starts, never changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    job_id: UUID
    model_id: UUID
    trusts: frozenset[TrustName]
    round_timeout_seconds: int


class Rosters:
    """The rosters of all jobs: a folder with one file a job."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        self._read: dict[str, Roster] = {}

    def write(self, roster: Roster) -> None:
        """Stores a roster in one step."""
        path = self._folder / f"{federation_of(roster.job_id)}.json"
        write_private(path, roster.model_dump_json().encode())

    def get(self, federation_id: str) -> Roster | None:
        """The roster of a federation, or None when no job has this federation."""
        if federation_id not in self._read:
            name = federation_id.removeprefix(FEDERATION_PREFIX)
            try:
                path = self._folder / f"{federation_of(UUID(name))}.json"
            except ValueError:
                return None
            if path.name != f"{federation_id}.json" or not path.is_file():
                return None
            self._read[federation_id] = Roster.model_validate_json(path.read_bytes())
        return self._read[federation_id]


class _Event(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    at: float = Field(description="seconds since the epoch")


class Sent(_Event):
    """A message went out to a trust."""

    kind: Literal["sent"] = "sent"
    message: str
    trust: TrustName
    round: int
    task: str


class Replied(_Event):
    """A good reply came."""

    kind: Literal["replied"] = "replied"
    message: str


class Failed(_Event):
    """A message was answered with an error, or not at all."""

    kind: Literal["failed"] = "failed"
    message: str
    error: SiteException


class Refused(_Event):
    """The hub refused, or did not take, what the hook had to forward."""

    kind: Literal["refused"] = "refused"
    detail: str


Event = Annotated[Sent | Replied | Failed | Refused, Field(discriminator="kind")]
_EVENT: TypeAdapter[Sent | Replied | Failed | Refused] = TypeAdapter(Event)


class RunFiles:
    """The files of one run in a folder of launches: its processes, its output, its events."""

    def __init__(self, folder: Path, run_id: int) -> None:
        self.folder, self.run_id = folder, run_id

    @property
    def log(self) -> Path:
        """Output of the run's processes."""
        return self.folder / f"{self.run_id}.log"

    @property
    def events(self) -> Path:
        """One event a line."""
        return self.folder / f"{self.run_id}.events"

    def add_process(self, process_id: ProcessId) -> None:
        """Records a process of this run."""
        write_private(self._process_file(process_id.pid), process_id.to_json().encode())

    def forget_process(self, pid: int) -> None:
        """The process ended."""
        self._process_file(pid).unlink(missing_ok=True)

    def processes(self) -> list[ProcessId]:
        """Processes of this run that live."""
        found = []
        for path in self.folder.glob(f"{self.run_id}-*.process"):
            try:
                process_id = ProcessId.from_json(path.read_text())
            except FileNotFoundError:
                continue
            if process_id.alive:
                found.append(process_id)
        return found

    def append(self, event: Sent | Replied | Failed | Refused) -> None:
        """Adds an event, on disk before this returns."""
        with self.events.open("ab") as file:
            file.write(event.model_dump_json().encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def read_events(self, offset: int) -> tuple[list[Sent | Replied | Failed | Refused], int]:
        """Events from a byte offset on, and the offset after them. A line half written is left for later."""
        if not self.events.is_file():
            return [], offset
        with self.events.open("rb") as file:
            file.seek(offset)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        return [_EVENT.validate_json(line) for line in whole.splitlines()], offset + len(whole)

    def _process_file(self, pid: int) -> Path:
        return self.folder / f"{self.run_id}-{pid}.process"


def runs_in(folder: Path) -> Iterator[int]:
    """Runs that have a recorded process in this folder."""
    seen = {int(path.name.split("-")[0]) for path in folder.glob("*-*.process")}
    return iter(sorted(seen))


def to_sorted_json(value: object) -> str:
    """JSON with sorted keys, for comparing."""
    return json.dumps(value, sort_keys=True, default=str)
