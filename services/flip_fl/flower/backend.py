"""The Flower backend: one SuperLink, its SuperExec, and the jobs on them."""

import asyncio
import hashlib
import logging
import re
import secrets
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from uuid import UUID

import httpx

from flip_common.logs import redact
from flip_common.wire import FLBackend, JobLogs, JobSpec, JobState, JobStatus, SiteState
from flip_fl.apps import read_app, run_config
from flip_fl.backend import Backend, JobConflictError, JobRefusedError, UnknownJobError
from flip_fl.flower import internals
from flip_fl.flower.files import Roster, RunFiles, federation_of, runs_in
from flip_fl.flower.server import FlowerServer
from flip_fl.flower.watch import Watch
from flip_fl.processes import kill_tree
from flip_fl.settings import FlApiSettings
from flip_fl.store import JobRecord, JobStore, Verdict, utc_now

log = logging.getLogger(__name__)

MAX_LOG_BYTES = 262_144
STOP_SECONDS = 60.0
_TERMINAL_CODES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
RESTARTED = "the FL server was restarted while the job ran"


class FlowerBackend(Backend):
    """See `Backend`. Everything is kept under one folder; the SuperLink's processes are children of this one."""

    def __init__(self, settings: FlApiSettings) -> None:
        self._settings = settings
        self._server = FlowerServer(settings)
        self._store = JobStore(settings.fl_state_dir / "jobs.sqlite")
        self._watch = Watch(settings, self._server, self._store)
        self._locks: dict[UUID, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._sites_lock = asyncio.Lock()
        self._ticks: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """See `Backend.start`."""
        await asyncio.to_thread(self._end_leftovers)
        await self._server.start()
        await self._reconcile()
        self._ticks = asyncio.create_task(self._tick_forever(), name="job-watch")

    async def close(self) -> None:
        """See `Backend.close`."""
        if self._ticks is not None:
            self._ticks.cancel()
            with suppress(asyncio.CancelledError):
                await self._ticks
        await self._server.close()
        await asyncio.to_thread(self._end_leftovers)
        self._store.close()

    async def submit(self, spec: JobSpec, app: Path) -> tuple[JobState, bool]:
        """See `Backend.submit`."""
        async with self._locks[spec.job_id]:
            known = self._store.get(spec.job_id)
            if known is not None:
                if known.spec != spec:
                    raise JobConflictError(f"job {spec.job_id} exists with another specification or app")
                return known.state, False
            fab, config = await asyncio.to_thread(_prepare, spec, app)
            names = {member.name for member in await self._members()}
            unknown = sorted(set(spec.trusts) - names)
            if unknown:
                raise JobRefusedError(
                    "unknown_site", f"no FL key is registered for {', '.join(unknown)}: PUT /sites/<trust> first"
                )
            self._server.rosters.write(
                Roster(
                    job_id=spec.job_id,
                    model_id=spec.model_id,
                    trusts=frozenset(spec.trusts),
                    round_timeout_seconds=spec.round_timeout_seconds,
                )
            )
            await asyncio.to_thread(self._server.app_file(spec.job_id).write_bytes, fab)
            record = JobRecord(spec=spec, created_at=utc_now(), run_config=config)
            self._store.save(record)
            log.info("job %s: taken, for %s", spec.job_id, ", ".join(sorted(spec.trusts)))
            return record.state, True

    async def state(self, job_id: UUID) -> JobState:
        """See `Backend.state`."""
        return self._record(job_id).state

    async def logs(self, job_id: UUID, offset: int) -> JobLogs:
        """See `Backend.logs`. Offsets are bytes of the run's log."""
        record = self._record(job_id)
        if record.run_id is None:
            return JobLogs(job_id=job_id, offset=offset, next_offset=offset, lines=[])
        path = RunFiles(self._server.runs, record.run_id).log
        lines, following = await asyncio.to_thread(_read_lines, path, offset, record.status.terminal)
        return JobLogs(job_id=job_id, offset=offset, next_offset=following, lines=lines)

    async def stop(self, job_id: UUID) -> JobState:
        """See `Backend.stop`."""
        deadline = asyncio.get_running_loop().time() + STOP_SECONDS
        while True:
            async with self._locks[job_id]:
                record = self._record(job_id)
                if not record.status.terminal:
                    record.verdict = record.verdict or Verdict(status=JobStatus.STOPPED, reason="stopped on request")
                    self._store.save(record)
                    with suppress(httpx.HTTPError):
                        await asyncio.to_thread(self._watch.end, record)
                if record.status.terminal or asyncio.get_running_loop().time() > deadline:
                    return record.state
            await asyncio.sleep(self._settings.fl_watch_seconds)

    async def sites(self) -> list[SiteState]:
        """See `Backend.sites`."""
        members = await self._members()
        return [_site_state(member) for member in sorted(members, key=lambda member: member.name)]

    async def register_site(self, trust: str, public_key: str) -> SiteState:
        """See `Backend.register_site`. Keys are of a NIST curve (P-256, P-384, P-521), OpenSSH or PEM."""
        try:
            key = internals.normalise_public_key(public_key.strip().encode())
        except (ValueError, TypeError, AttributeError):
            raise JobRefusedError(
                "key_invalid", "the key is no public EC key in OpenSSH or PEM form: ecdsa-sha2-nistp384 AAAA..."
            ) from None
        async with self._sites_lock:
            members = await self._members()
            holder = next((member for member in members if member.public_key == key), None)
            if holder is not None and holder.name != trust:
                raise JobRefusedError(
                    "key_in_use", f"this key is registered for {holder.name}; make another for {trust}"
                )
            if holder is None:
                try:
                    await asyncio.to_thread(self._server.control.register, key, trust)
                except internals.ControlRefusedError:
                    raise JobRefusedError(
                        "key_invalid", "the key was withdrawn before, or is not of a NIST curve; make a new key"
                    ) from None
                log.info("site %s: key registered", trust)
            for member in members:
                if member.name == trust and member.public_key != key:
                    await asyncio.to_thread(self._server.control.unregister, member.node_id)
                    log.info("site %s: earlier key withdrawn", trust)
            members = await self._members()
        return _site_state(next(member for member in members if member.public_key == key))

    async def remove_site(self, trust: str) -> None:
        """See `Backend.remove_site`."""
        async with self._sites_lock:
            for member in await self._members():
                if member.name == trust:
                    await asyncio.to_thread(self._server.control.unregister, member.node_id)
                    log.info("site %s: key withdrawn", trust)

    async def _members(self) -> list[internals.Member]:
        return await asyncio.to_thread(self._server.control.members)

    def _record(self, job_id: UUID) -> JobRecord:
        record = self._store.get(job_id)
        if record is None:
            raise UnknownJobError(f"job {job_id} does not exist")
        return record

    async def _reconcile(self) -> None:
        members = await self._members()
        for record in self._store.active():
            if record.run_id is None:
                run = await asyncio.to_thread(self._server.control.run_of, federation_of(record.spec.job_id))
            else:
                run = await asyncio.to_thread(self._server.control.run, record.run_id)
            if run is not None:
                record.run_id = run.run_id
            # What waits goes on, what ended is read from the SuperLink; what ran lost its process with our end.
            if run is not None and run.status in ("starting", "running") and record.verdict is None:
                record.verdict = Verdict(status=JobStatus.FAILED, reason=RESTARTED)
            self._store.save(record)
            await asyncio.to_thread(self._watch.advance, record, members)
            log.info("job %s: %s after a restart", record.spec.job_id, record.status)

    async def _tick_forever(self) -> None:
        while True:
            await asyncio.sleep(self._settings.fl_watch_seconds)
            try:
                await self._tick()
            except httpx.HTTPError as error:
                log.warning("the SuperLink does not answer: %s", type(error).__name__)
            except Exception:
                # The watch must outlive any one job's trouble; the next tick tries again.
                log.exception("looking after jobs failed")

    async def _tick(self) -> None:
        active = self._store.active()
        if not active:
            return
        members = await self._members()
        for stale in active:
            async with self._locks[stale.spec.job_id]:
                record = self._record(stale.spec.job_id)
                if not record.status.terminal:
                    await asyncio.to_thread(self._watch.advance, record, members)

    def _end_leftovers(self) -> None:
        for run_id in runs_in(self._server.runs):
            for process in RunFiles(self._server.runs, run_id).processes():
                log.warning("ending process %d, left over from run %d", process.pid, run_id)
                kill_tree(process)
        for path in self._server.runs.glob("*.process"):
            path.unlink(missing_ok=True)


def _prepare(spec: JobSpec, app: Path) -> tuple[bytes, dict[str, bool | int | float | str]]:
    if spec.backend is not FLBackend.FLOWER:
        raise JobRefusedError("backend", f"this net runs {FLBackend.FLOWER} jobs; the job is for {spec.backend}")
    digest = hashlib.sha256(app.read_bytes()).hexdigest()
    if not secrets.compare_digest(digest, spec.app_digest):
        raise JobRefusedError("app_digest", f"the app's SHA-256 is {digest}, the specification says {spec.app_digest}")
    if spec.min_sites > len(set(spec.trusts)):
        raise JobRefusedError(
            "min_sites", f"min_sites is {spec.min_sites}, but {len(set(spec.trusts))} trusts are named"
        )
    files = read_app(app)
    config = run_config(files, spec)
    try:
        return internals.build_fab(files), config
    except (ValueError, KeyError) as error:
        raise JobRefusedError("app_invalid", f"Flower does not take the app: {error}") from None


def _read_lines(path: Path, offset: int, ended: bool) -> tuple[list[str], int]:
    if not path.is_file():
        return [], offset
    with path.open("rb") as file:
        file.seek(offset)
        data = file.read(MAX_LOG_BYTES)
    whole = data.rfind(b"\n") + 1
    if not whole and (ended or len(data) == MAX_LOG_BYTES):
        whole = len(data)
    text = _TERMINAL_CODES.sub("", redact(data[:whole].decode(errors="replace")))
    return text.splitlines(), offset + whole


def _site_state(member: internals.Member) -> SiteState:
    return SiteState(trust=member.name, online=member.online, last_seen_at=member.last_seen_at)
