"""How much a source may bring in: an instance, a study and a project have an end, and the disk keeps a reserve."""

from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Self

from typing_extensions import Buffer

from flip_trust.imaging.room import Room
from flip_trust.imaging.store import StoreError


class TooLarge(StoreError):  # noqa: N818 - the name says what is so
    """A study is over a limit. The text names the setting; trying again would bring as much."""

    def __init__(self, what: str, setting: str, limit: int) -> None:
        super().__init__(f"{what} over {setting}={limit} bytes: raise it in imaging-api if that is wanted, then retry")


@dataclass(frozen=True)
class IntakeLimits:
    """Most bytes of DICOM: in one instance, of one accession number, of one project."""

    instance: int
    study: int
    project: int


class ProjectMeter:
    """DICOM bytes of one project: those it holds, and those on their way in. Safe to use from several threads.

    `users` is the owner's: how many imports count with it.
    """

    def __init__(self, held: int, limit: int) -> None:
        self.users = 0
        self._total, self._limit, self._lock = held, limit, Lock()

    def take(self, count: int) -> None:
        """Counts bytes in.

        Raises:
            TooLarge: the project would be over its limit.
        """
        with self._lock:
            if self._total + count > self._limit:
                raise TooLarge("the study would bring the project", "PROJECT_MAX_BYTES", self._limit)
            self._total += count

    def give_back(self, count: int) -> None:
        """Bytes that were counted in are gone again."""
        with self._lock:
            self._total -= count


class Intake:
    """The way of one study into `folder`: every instance passes through `open`, by several threads if need be."""

    def __init__(self, folder: Path, limits: IntakeLimits, meter: ProjectMeter, room: Room) -> None:
        self.folder, self.limits = folder, limits
        self._meter, self._room, self._lock, self._taken = meter, room, Lock(), 0

    def open(self, name: str) -> "InstanceFile":
        """A new file of this name in `folder`, for one instance; an older one is replaced.

        Raises:
            NoRoom: the disk has no room but its reserve.
            OSError: the file cannot be made.
        """
        self._room.check()
        return InstanceFile(self.folder / name, self)

    def too_large(self) -> TooLarge:
        """The error of an instance over its limit, for sources that meet it before `open`."""
        return TooLarge("an instance is", "INSTANCE_MAX_BYTES", self.limits.instance)

    def take(self, count: int) -> None:
        """Counts bytes that are about to be written.

        Raises:
            TooLarge: the study or the project would be over its limit.
            NoRoom: the disk has no room for them but its reserve.
        """
        self._room.check(count)
        with self._lock:
            if self._taken + count > self.limits.study:
                raise TooLarge("the study is", "STUDY_MAX_BYTES", self.limits.study)
            self._meter.take(count)
            self._taken += count

    def give_back(self) -> None:
        """What came in is thrown away: the project no longer holds it."""
        with self._lock:
            self._meter.give_back(self._taken)
            self._taken = 0


class InstanceFile:
    """A file that takes one instance and not a byte more than allowed."""

    def __init__(self, path: Path, intake: Intake) -> None:
        self._file, self._intake, self._size = path.open("wb"), intake, 0

    def write(self, data: Buffer) -> int:
        """Appends `data`.

        Raises:
            TooLarge: the instance, the study or the project would be over its limit; nothing of `data` is written.
            OSError: the disk is full.
        """
        count = memoryview(data).nbytes
        if self._size + count > self._intake.limits.instance:
            raise self._intake.too_large()
        self._intake.take(count)
        self._size += count
        return self._file.write(data)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
