"""Looks after jobs: starts them, follows them, and gives each a terminal status, whatever dies."""

import logging
import time
from collections.abc import Sequence
from uuid import UUID

from flip_common.wire import JobStatus
from flip_fl.flower import internals
from flip_fl.flower.files import RunFiles, federation_of
from flip_fl.flower.rounds import Rounds
from flip_fl.flower.server import FlowerServer
from flip_fl.processes import kill_tree
from flip_fl.settings import FlApiSettings
from flip_fl.store import JobRecord, JobStore, Verdict, utc_now

log = logging.getLogger(__name__)

# How long to wait for sites that are not there when enough others are.
LATECOMER_SECONDS = 15.0
# Beyond the round's time: the app's process notices first and says who is missing.
ROUND_SLACK_SECONDS = 15.0
# Between the SuperLink's word that a run runs and the record of its process.
PROCESS_SECONDS = 10.0
# A ServerApp's process ends by itself after its run; then it is ended.
EXIT_SECONDS = 5.0


class _Following:
    """What is known of a running job beside its record; made anew from files after a restart."""

    def __init__(self) -> None:
        self.rounds = Rounds()
        self.offset = 0
        self.no_process_since: float | None = None
        self.short_since: float | None = None


class Watch:
    """Takes jobs from one status to the next. Blocking; one call at a time for each job."""

    def __init__(self, settings: FlApiSettings, server: FlowerServer, store: JobStore) -> None:
        self._settings, self._server, self._store = settings, server, store
        self._following: dict[UUID, _Following] = {}
        self._since = utc_now()

    def advance(self, record: JobRecord, members: Sequence[internals.Member]) -> None:
        """One look at a job that has not ended. May raise httpx.HTTPError while the SuperLink is away."""
        if record.verdict is None and (utc_now() - record.created_at).total_seconds() > record.spec.job_timeout_seconds:
            self._decide(record, f"the job took longer than {record.spec.job_timeout_seconds} s")
        if record.verdict is not None:
            self.end(record)
        elif record.run_id is None:
            self._start(record, members)
        else:
            self._follow(record, members)

    def end(self, record: JobRecord) -> None:
        """Ends a job that has a verdict: stops the run, ends its processes, sets the terminal status."""
        assert record.verdict is not None  # noqa: S101 - callers decide first
        if record.run_id is None:
            # An earlier start may have been cut off between the SuperLink and our record.
            run = self._server.control.run_of(federation_of(record.spec.job_id))
            record.run_id = run.run_id if run else None
        if record.run_id is not None:
            self._server.control.stop_run(record.run_id)
            self._kill(record.run_id)
            self._read(record)
        self._finish(record, record.verdict.status, record.verdict.reason)

    def _start(self, record: JobRecord, members: Sequence[internals.Member]) -> None:
        spec = record.spec
        # Time in which this process was not there to let anyone in does not count.
        waited = (utc_now() - max(record.created_at, self._since)).total_seconds()
        online = {member.name for member in members if member.online} & set(spec.trusts)
        missing = ", ".join(sorted(set(spec.trusts) - online))
        enough = len(online) >= spec.min_sites
        if missing and not (enough and waited > LATECOMER_SECONDS):
            if waited > spec.round_timeout_seconds:
                self._decide(
                    record, f"{len(online)} sites were connected, {spec.min_sites} are needed; missing: {missing}"
                )
            return
        run = self._server.control.run_of(federation_of(spec.job_id))
        if run is not None:
            record.run_id = run.run_id
        else:
            fab = self._server.app_file(spec.job_id).read_bytes()
            try:
                record.run_id = self._server.control.start_run(fab, federation_of(spec.job_id), record.run_config)
            except internals.ControlRefusedError as error:
                log.error("job %s: the SuperLink refused: %s", spec.job_id, error)
                self._decide(record, "the SuperLink refused the app")
                return
        record.status, record.started_at = JobStatus.RUNNING, utc_now()
        self._store.save(record)
        log.info("job %s: runs as %d with %s", spec.job_id, record.run_id, ", ".join(sorted(online)))

    def _follow(self, record: JobRecord, members: Sequence[internals.Member]) -> None:
        assert record.run_id is not None  # noqa: S101 - see advance
        run = self._server.control.run(record.run_id)
        following = self._read(record)
        if record.status is JobStatus.PENDING:
            record.status, record.started_at = JobStatus.RUNNING, utc_now()
            self._store.save(record)
        reason = self._trouble(record, following, members, run)
        if reason is not None:
            self._decide(record, reason)
            self.end(record)
        elif run is not None and run.status == "finished":
            self._settle(record, run, following)

    def _trouble(  # noqa: PLR0911 - one reason after another reads best
        self,
        record: JobRecord,
        following: _Following,
        members: Sequence[internals.Member],
        run: internals.Run | None,
    ) -> str | None:
        """Why a job must not go on, or None."""
        spec, rounds, now = record.spec, following.rounds, time.time()
        if run is None:
            return "the SuperLink has lost the run"
        short = rounds.short_of(spec.min_sites)
        if short is not None:
            return f"{short.describe()}; {spec.min_sites} are needed"
        if rounds.refused is not None:
            return f"the hub did not take a report: {rounds.refused}"
        if run.status == "finished":
            return None
        overdue = rounds.overdue(now - spec.round_timeout_seconds - ROUND_SLACK_SECONDS)
        if overdue:
            return f"no reply within {spec.round_timeout_seconds} s from {', '.join(sorted(overdue))}"
        assert record.started_at is not None  # noqa: S101 - it runs
        last = max(rounds.last_at, record.started_at.timestamp())
        if now - last > spec.round_timeout_seconds + ROUND_SLACK_SECONDS:
            return f"no progress for {spec.round_timeout_seconds} s after round {rounds.round}"
        return self._too_few_sites(record, following, members) or self._process_gone(record, following, run)

    def _too_few_sites(
        self, record: JobRecord, following: _Following, members: Sequence[internals.Member]
    ) -> str | None:
        spec = record.spec
        online = {member.name for member in members if member.online} & set(spec.trusts)
        if len(online) >= spec.min_sites:
            following.short_since = None
            return None
        following.short_since = following.short_since or time.monotonic()
        if time.monotonic() - following.short_since < self._settings.fl_site_grace_seconds:
            return None
        gone = ", ".join(sorted(set(spec.trusts) - online))
        return f"{len(online)} sites are connected, {spec.min_sites} are needed; gone: {gone}"

    def _process_gone(self, record: JobRecord, following: _Following, run: internals.Run) -> str | None:
        assert record.run_id is not None  # noqa: S101 - see advance
        if run.status == "pending" or RunFiles(self._server.runs, record.run_id).processes():
            following.no_process_since = None
            return None
        following.no_process_since = following.no_process_since or time.monotonic()
        if time.monotonic() - following.no_process_since < PROCESS_SECONDS:
            return None
        return "the ServerApp's process ended without a result"

    def _settle(self, record: JobRecord, run: internals.Run, following: _Following) -> None:
        """The run ended by itself, and nothing in its course forbids to say so."""
        assert record.run_id is not None  # noqa: S101 - see advance
        if following.no_process_since is None:
            following.no_process_since = time.monotonic()
        alive = RunFiles(self._server.runs, record.run_id).processes()
        if alive and time.monotonic() - following.no_process_since < EXIT_SECONDS:
            return
        self._kill(record.run_id)
        self._read(record)
        late = self._trouble(record, following, [], run)
        if late is not None:
            self._finish(record, JobStatus.FAILED, late)
        elif run.sub_status == "completed":
            self._finish(record, JobStatus.FINISHED, "")
        elif run.sub_status == "stopped":
            self._finish(record, JobStatus.STOPPED, "the run was stopped at the SuperLink")
        else:
            self._finish(record, JobStatus.FAILED, "the ServerApp failed; the job's log says how")

    def _decide(self, record: JobRecord, reason: str) -> None:
        record.verdict = Verdict(status=JobStatus.FAILED, reason=reason)
        self._store.save(record)

    def _finish(self, record: JobRecord, status: JobStatus, reason: str) -> None:
        record.status, record.reason, record.ended_at = status, reason, utc_now()
        self._store.save(record)
        self._following.pop(record.spec.job_id, None)
        self._server.app_file(record.spec.job_id).unlink(missing_ok=True)
        log.info("job %s: %s %s", record.spec.job_id, status, reason)

    def _read(self, record: JobRecord) -> _Following:
        assert record.run_id is not None  # noqa: S101 - only runs have events
        following = self._following.setdefault(record.spec.job_id, _Following())
        events, following.offset = RunFiles(self._server.runs, record.run_id).read_events(following.offset)
        if events:
            following.rounds.add(events)
            record.round = following.rounds.round
            record.failures = dict(following.rounds.failures)
            self._store.save(record)
        return following

    def _kill(self, run_id: int) -> None:
        files = RunFiles(self._server.runs, run_id)
        for process in files.processes():
            kill_tree(process)
            files.forget_process(process.pid)
