"""The import engine: every study asked for ends IMPORTED, MISSING or FAILED with the reason, whatever dies."""

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import ParamSpec, TypeVar
from uuid import UUID
from weakref import WeakValueDictionary

from tenacity import (
    AsyncRetrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_exponential,
)

from flip_common.wire import StudyState
from flip_trust.imaging.accession import check_accession
from flip_trust.imaging.convert import ConversionLimits, convert_study
from flip_trust.imaging.intake import Intake, IntakeLimits, ProjectMeter
from flip_trust.imaging.ledger import Ledger
from flip_trust.imaging.library import Library, Nifti, Study
from flip_trust.imaging.room import Room, disk_reason
from flip_trust.imaging.schemas import ProjectImports, StudyImport
from flip_trust.imaging.store import ImagingStore, StoreError, StoreUnavailable, StudyMissing

MAX_BACKOFF_SECONDS = 60
MAX_LEDGER_PAUSE_SECONDS = 30
_SPARE_THREADS = 8
_FILES_GONE = "its files are no longer whole on this machine; retry the import"

P = ParamSpec("P")
T = TypeVar("T")
log = logging.getLogger(__name__)


class ProjectBusy(Exception):  # noqa: N818 - it says what is the matter
    """The project is being deleted; nothing can be added or retried until that is done."""


@dataclass(frozen=True)
class Limits:
    """How much at a time, how often, how long, how large."""

    imports: int
    attempts: int
    backoff_seconds: float
    conversions: int
    intake: IntakeLimits
    conversion: ConversionLimits


class Engine:
    """Imports studies in the background. State lives in the ledger, files in the library: both outlive a kill."""

    def __init__(self, store: ImagingStore, library: Library, ledger: Ledger, room: Room, limits: Limits) -> None:
        self._store, self._library, self._ledger, self._room, self._limits = store, library, ledger, room, limits
        self._queue: asyncio.Queue[tuple[UUID, str]] = asyncio.Queue()
        self._runners: list[asyncio.Task[None]] = []
        self._running: dict[tuple[UUID, str], asyncio.Task[None]] = {}
        self._deleting: set[UUID] = set()
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._meters: dict[UUID, ProjectMeter] = {}
        self._metering = asyncio.Lock()
        self._threads = ThreadPoolExecutor(limits.imports + _SPARE_THREADS, thread_name_prefix="imaging")
        self._converters = ThreadPoolExecutor(limits.conversions, thread_name_prefix="convert")

    async def start(self) -> None:
        """Goes on with what an earlier process left unfinished."""
        for item in await self._thread(self._ledger.unfinished):
            self._queue.put_nowait(item)
        self._runners = [asyncio.create_task(self._run()) for _ in range(self._limits.imports)]

    async def stop(self) -> None:
        """Stops in the middle of whatever it does; the next start goes on."""
        tasks = [*self._runners, *self._running.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._converters.shutdown(cancel_futures=True)
        self._threads.shutdown()

    async def add(self, project_id: UUID, accessions: Iterable[str]) -> ProjectImports:
        """Queues the studies that the project does not have yet. A refused accession number is FAILED at once.

        Raises:
            ProjectBusy: the project is being deleted.
            sqlite3.OperationalError: the disk is full; nothing was added.
        """
        self._check_not_deleting(project_id)
        studies = []
        for accession in dict.fromkeys(accessions):
            try:
                check_accession(accession)
                studies.append((accession, StudyState.QUEUED, ""))
            except StoreError as error:
                studies.append((accession, StudyState.FAILED, str(error)))
        wanted = {accession for accession, state, _ in studies if state is StudyState.QUEUED}
        for accession in await self._thread(self._ledger.add, project_id, studies):
            if accession in wanted:
                self._queue.put_nowait((project_id, accession))
        return await self.status(project_id)

    async def status(self, project_id: UUID) -> ProjectImports:
        """Where every study of the project stands."""
        studies = await self._thread(self._ledger.studies, project_id)
        unfinished = any(study.state in {StudyState.QUEUED, StudyState.IMPORTING} for study in studies)
        state = "NONE" if not studies else "RUNNING" if unfinished else "DONE"
        return ProjectImports.model_validate({"project_id": project_id, "state": state, "studies": studies})

    async def retry(self, project_id: UUID) -> ProjectImports:
        """Queues again what is MISSING or FAILED, and fetches anew what was imported but could not be converted.

        Raises:
            ProjectBusy: the project is being deleted.
        """
        self._check_not_deleting(project_id)
        again = []
        for study in await self._thread(self._ledger.studies, project_id):
            if study.state is StudyState.IMPORTED and study.reason:
                nifti = await self._thread(self._library.nifti, project_id, study.accession)
                if nifti is None or not nifti.files:
                    async with self._lock(study.accession):
                        await self._thread(self._library.discard, project_id, study.accession)
                    again.append(study.accession)
            elif study.state in {StudyState.MISSING, StudyState.FAILED} and _acceptable(study.accession):
                again.append(study.accession)
        await self._thread(self._ledger.requeue, project_id, again)
        for accession in again:
            self._queue.put_nowait((project_id, accession))
        return await self.status(project_id)

    async def delete(self, project_id: UUID) -> None:
        """Removes the project's images from this machine and from the store. The PACS is not touched.

        Raises:
            ProjectBusy: it is being deleted already.
            StoreError: the store could not remove its copies; what it could is gone, and deleting can be repeated.
        """
        self._check_not_deleting(project_id)
        self._deleting.add(project_id)
        try:
            running = [task for (project, _), task in self._running.items() if project == project_id]
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            asked_for = [study for study in await self._thread(self._ledger.studies, project_id) if study.attempts]
            for study in asked_for:
                async with self._lock(study.accession):
                    await self._store.remove(project_id, study.accession)
            if asked_for:
                await self._store.remove_project(project_id)
            await self._thread(self._library.remove_project, project_id)
            await self._thread(self._ledger.remove, project_id)
        finally:
            self._deleting.discard(project_id)

    async def row(self, project_id: UUID, accession: str) -> StudyImport | None:
        """What the ledger says of the study; None when the project does not hold it."""
        return await self._thread(self._ledger.study, project_id, accession)

    async def study(self, project_id: UUID, accession: str) -> Study:
        """The files of an IMPORTED study. When they are not all there the study becomes FAILED.

        Raises:
            StoreError: they are not.
        """
        study = await self._thread(self._library.study, project_id, accession)
        if study is None:
            await self._mark(project_id, accession, StudyState.FAILED, reason=_FILES_GONE)
            raise StoreError(_FILES_GONE)
        return study

    async def nifti(self, project_id: UUID, accession: str, study: Study) -> Nifti:
        """The conversion of the study: from the cache, or made now.

        Raises:
            OSError: the disk is full.
        """
        nifti = await self._thread(self._library.nifti, project_id, accession)
        if nifti is None:
            async with self._lock(accession):
                nifti = await self._convert(project_id, accession, study)
        return nifti

    def _check_not_deleting(self, project_id: UUID) -> None:
        if project_id in self._deleting:
            raise ProjectBusy(f"project {project_id} is being deleted; try again when that is done")

    def _lock(self, accession: str) -> asyncio.Lock:
        return self._locks.setdefault(accession, asyncio.Lock())

    async def _run(self) -> None:
        while True:
            project_id, accession = key = await self._queue.get()
            if project_id in self._deleting or key in self._running:
                continue
            task = self._running[key] = asyncio.create_task(self._import(project_id, accession))
            try:
                # Not awaited itself: a deletion cancels the import, never its runner.
                await asyncio.wait([task])
            finally:
                if not task.done():
                    task.cancel()
                del self._running[key]

    async def _import(self, project_id: UUID, accession: str) -> None:
        async with self._lock(accession), self._meter(project_id) as meter:
            state, reason, images, held = StudyState.FAILED, "", 0, 0
            try:
                row = await self.row(project_id, accession)
                if row is None or row.state not in {StudyState.QUEUED, StudyState.IMPORTING}:
                    return
                study = await self._thread(self._library.study, project_id, accession)
                if study is None:
                    study = await self._fetch(project_id, accession, meter)
                images, held = len(study.instances), sum(instance.size for instance in study.instances)
                reason = (await self._convert(project_id, accession, study)).reason
                state = StudyState.IMPORTED
            except StudyMissing as error:
                state, reason = StudyState.MISSING, str(error)
            except StoreError as error:
                reason = str(error)
            except (OSError, sqlite3.OperationalError) as error:
                reason = disk_reason(error)
            except Exception as error:
                # One study's trouble, of whatever kind, is never the others'.
                log.exception("import of a study failed in an unforeseen way")
                reason = f"unforeseen {type(error).__name__}; the log of imaging-api says more"
            await self._release(project_id, accession)
            await self._mark(project_id, accession, state, reason=reason, images=images, held=held)

    @asynccontextmanager
    async def _meter(self, project_id: UUID) -> AsyncIterator[ProjectMeter]:
        # One for all imports of the project that run; the ledger has the bytes of each when it ends.
        async with self._metering:
            meter = self._meters.get(project_id)
            if meter is None:
                held = await self._thread(self._ledger.held, project_id)
                meter = self._meters[project_id] = ProjectMeter(held, self._limits.intake.project)
            meter.users += 1
        try:
            yield meter
        finally:
            meter.users -= 1
            if not meter.users:
                del self._meters[project_id]

    async def _fetch(self, project_id: UUID, accession: str, meter: ProjectMeter) -> Study:
        limits = self._limits
        async for attempt in AsyncRetrying(
            stop=stop_after_attempt(limits.attempts),
            wait=wait_exponential(multiplier=limits.backoff_seconds, max=MAX_BACKOFF_SECONDS),
            retry=retry_if_exception_type(StoreUnavailable),
            reraise=True,
        ):
            with attempt:
                await self._thread(self._ledger.count_attempt, project_id, accession)
                with self._library.incoming() as folder:
                    intake = Intake(folder, limits.intake, meter, self._room)
                    try:
                        await self._store.fetch(project_id, accession, intake)
                        return await self._thread(self._library.commit, project_id, accession, folder)
                    except BaseException:
                        intake.give_back()
                        raise
        raise AssertionError("tenacity returns or raises")

    async def _convert(self, project_id: UUID, accession: str, study: Study) -> Nifti:
        nifti = await self._thread(self._library.nifti, project_id, accession)
        if nifti is not None:
            return nifti
        await asyncio.get_running_loop().run_in_executor(
            self._converters, self._convert_now, project_id, accession, study
        )
        nifti = await self._thread(self._library.nifti, project_id, accession)
        if nifti is None:
            raise StoreError("the conversion vanished from the disk")
        return nifti

    def _convert_now(self, project_id: UUID, accession: str, study: Study) -> None:
        with self._library.incoming() as folder:
            converted = folder / "nifti"
            converted.mkdir()
            convert_study(study, converted, self._limits.conversion, self._room)
            self._library.publish_nifti(project_id, accession, converted)

    async def _release(self, project_id: UUID, accession: str) -> None:
        try:
            await self._store.release(project_id, accession)
        except StoreError as error:
            log.warning("a landing copy stays in the store until the project is deleted: %s", error)

    async def _mark(
        self, project_id: UUID, accession: str, state: StudyState, *, reason: str = "", images: int = 0, held: int = 0
    ) -> None:
        if state is StudyState.FAILED:
            log.warning("study of project %s is FAILED: %s", project_id, reason)
        # A full disk takes no state either: wait for room rather than leave a false one.
        async for attempt in AsyncRetrying(
            wait=wait_exponential(max=MAX_LEDGER_PAUSE_SECONDS),
            retry=retry_if_exception_type(sqlite3.OperationalError),
        ):
            with attempt:
                await self._thread(
                    self._ledger.update, project_id, accession, state, reason=reason, images=images, held=held
                )

    async def _thread(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, lambda: call(*args, **kwargs))


def _acceptable(accession: str) -> bool:
    try:
        check_accession(accession)
    except StoreError:
        return False
    return True
