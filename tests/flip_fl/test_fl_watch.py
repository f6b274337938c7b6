"""How the watch takes a job from one status to the next, with a SuperLink that says what a test wants."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flip_common.wire import JobSpec, JobStatus, SiteException
from flip_fl.flower import watch as module
from flip_fl.flower.files import Failed, Refused, Replied, RunFiles, Sent, federation_of
from flip_fl.flower.internals import ControlRefusedError, Member, Run
from flip_fl.flower.watch import Watch
from flip_fl.processes import ProcessId
from flip_fl.store import JobRecord, JobStore, Verdict, utc_now

RUN = 77


class Control:
    """A SuperLink's Control API."""

    def __init__(self) -> None:
        self.runs: dict[int, Run] = {}
        self.refuses = False

    def run(self, run_id: int) -> Run | None:
        """One run."""
        return self.runs.get(run_id)

    def run_of(self, federation: str) -> Run | None:
        """The run of a federation."""
        return next((run for run in self.runs.values() if run.federation == federation), None)

    def start_run(self, fab: bytes, federation: str, _: Any) -> int:
        """Starts a run."""
        if self.refuses:
            raise ControlRefusedError("no")
        assert fab == b"app"
        assert self.run_of(federation) is None
        self.runs[RUN] = Run(RUN, federation, "running", "")
        return RUN

    def stop_run(self, run_id: int) -> None:
        """Stops a run."""
        self.end("stopped", run_id)

    def end(self, how: str, run_id: int = RUN) -> None:
        """The run ends."""
        self.runs[run_id] = Run(run_id, self.runs[run_id].federation, "finished", how)


class Stage:
    """A job, its watch, and what it sees."""

    def __init__(self, root: Path, spec: JobSpec) -> None:
        self.control, self.files = Control(), RunFiles(root, RUN)
        self.app = root / "app.fab"
        self.app.write_bytes(b"app")
        self.store = JobStore(root / "jobs.sqlite")
        settings = SimpleNamespace(fl_site_grace_seconds=0.2)
        server = SimpleNamespace(control=self.control, runs=root, app_file=lambda _: self.app)
        self.watch = Watch(settings, server, self.store)
        self.record = JobRecord(spec=spec, created_at=utc_now())
        self.store.save(self.record)
        self.online = {"Trust_A", "Trust_B"}

    def look(self) -> JobStatus:
        """The watch looks once; the record is as the store has it."""
        members = [
            Member(number, name, b"", name in self.online, None)
            for number, name in enumerate(["Trust_A", "Trust_B", "Trust_C"])
        ]
        self.watch.advance(self.record, members)
        stored = self.store.get(self.record.spec.job_id)
        assert stored == self.record
        return stored.status

    def look_until_ended(self) -> JobStatus:
        """Looks until the job has ended."""
        deadline = time.monotonic() + 10
        while not (status := self.look()).terminal:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert not self.app.exists()
        return status

    def send(self, message: str, trust: str, number: int = 1, ago: float = 0.0) -> None:
        """A message went out."""
        self.files.append(Sent(at=time.time() - ago, message=message, trust=trust, round=number, task="train"))

    def reply(self, message: str) -> None:
        """A good answer came."""
        self.files.append(Replied(at=time.time(), message=message))

    def fail(self, message: str, trust: str) -> None:
        """An error came."""
        error = SiteException(trust=trust, code="KeyError", digest="0" * 64)
        self.files.append(Failed(at=time.time(), message=message, error=error))


@pytest.fixture
def process(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The ServerApp's process."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        identity = ProcessId.of(child.pid)
        assert identity is not None
        RunFiles(tmp_path, RUN).add_process(identity)
        yield child
        child.kill()


@pytest.fixture
def stage(tmp_path: Path, make_spec: Callable[..., JobSpec], process: subprocess.Popen[bytes]) -> Iterator[Stage]:
    """A job of two sites whose run has started."""
    stage = Stage(tmp_path, make_spec(b"", round_timeout_seconds=30))
    assert stage.look() is JobStatus.RUNNING
    yield stage
    stage.store.close()


def test_a_job_that_goes_well(stage: Stage, process: subprocess.Popen[bytes]) -> None:
    for trust in ("Trust_A", "Trust_B"):
        stage.send(trust, trust)
        stage.reply(trust)
    assert stage.look() is JobStatus.RUNNING
    assert stage.record.round == 1
    stage.control.end("completed")
    assert stage.look() is JobStatus.RUNNING  # its process is given a moment to end
    process.kill()
    process.wait()
    assert stage.look_until_ended() is JobStatus.FINISHED
    assert stage.record.reason == ""


def test_a_process_that_does_not_end_is_ended(
    stage: Stage, process: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EXIT_SECONDS", 0.1)
    stage.control.end("completed")
    assert stage.look_until_ended() is JobStatus.FINISHED
    assert process.wait(5) == -9


@pytest.mark.parametrize(
    ("how", "status", "reason"),
    [
        ("failed", JobStatus.FAILED, "the ServerApp failed; the job's log says how"),
        ("stopped", JobStatus.STOPPED, "the run was stopped at the SuperLink"),
    ],
)
def test_other_ends(stage: Stage, monkeypatch: pytest.MonkeyPatch, how: str, status: JobStatus, reason: str) -> None:
    monkeypatch.setattr(module, "EXIT_SECONDS", 0.0)
    stage.control.end(how)
    assert (stage.look_until_ended(), stage.record.reason) == (status, reason)


def test_a_short_round_fails_a_job_that_flower_calls_completed(
    stage: Stage, process: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.control.end("completed")
    for trust in ("Trust_A", "Trust_B"):
        stage.send(trust, trust)
    stage.reply("Trust_A")
    stage.fail("Trust_B", "Trust_B")
    assert stage.look_until_ended() is JobStatus.FAILED
    assert stage.record.reason.startswith("round 1 (train): 1 of 2 sites answered well (Trust_B: KeyError)")
    assert stage.record.failures == {"Trust_B": 1}
    assert process.wait(5) == -9


def test_what_is_written_last_counts(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EXIT_SECONDS", 0.0)
    kill = stage.watch._kill

    def fail_and_end(run_id: int) -> None:
        stage.send("b", "Trust_B")
        stage.fail("b", "Trust_B")
        kill(run_id)

    monkeypatch.setattr(stage.watch, "_kill", fail_and_end)
    stage.control.end("completed")
    assert stage.look_until_ended() is JobStatus.FAILED
    assert "0 of 1 sites answered well" in stage.record.reason


def test_no_reply_and_no_progress(stage: Stage) -> None:
    stage.send("a", "Trust_A", ago=30 + module.ROUND_SLACK_SECONDS + 1)
    stage.send("b", "Trust_B")
    assert stage.look_until_ended() is JobStatus.FAILED
    assert stage.record.reason == "no reply within 30 s from Trust_A"


def test_no_progress(stage: Stage) -> None:
    stage.record.started_at = utc_now() - timedelta(seconds=30 + module.ROUND_SLACK_SECONDS + 1)
    assert stage.look_until_ended() is JobStatus.FAILED
    assert stage.record.reason == "no progress for 30 s after round 0"


def test_the_jobs_time_is_over(stage: Stage) -> None:
    stage.record.created_at -= timedelta(days=8)
    assert stage.look_until_ended() is JobStatus.FAILED
    assert stage.record.reason == "the job took longer than 604800 s"


def test_sites_may_be_away_for_a_moment(stage: Stage) -> None:
    stage.online = {"Trust_A", "Trust_C"}
    assert stage.look() is JobStatus.RUNNING
    stage.online = {"Trust_A", "Trust_B"}
    assert stage.look() is JobStatus.RUNNING
    stage.online = {"Trust_A", "Trust_C"}
    assert stage.look_until_ended() is JobStatus.FAILED
    assert stage.record.reason == "1 sites are connected, 2 are needed; gone: Trust_B"


def test_a_process_that_is_gone(
    stage: Stage, process: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PROCESS_SECONDS", 0.2)
    assert stage.look() is JobStatus.RUNNING
    process.kill()
    process.wait()
    assert stage.look_until_ended() is JobStatus.FAILED
    assert stage.record.reason == "the ServerApp's process ended without a result"


def test_a_run_that_is_lost(stage: Stage) -> None:
    found = stage.control.runs.pop(RUN)
    stage.control.stop_run = lambda _: None  # type: ignore[method-assign] # there is nothing to stop
    assert stage.look_until_ended() is JobStatus.FAILED
    assert stage.record.reason == "the SuperLink has lost the run"
    assert found.run_id == RUN


def test_a_report_that_was_refused(stage: Stage) -> None:
    stage.files.append(Refused(at=time.time(), detail="status 409"))
    assert stage.look_until_ended() is JobStatus.FAILED
    assert stage.record.reason == "the hub did not take a report: status 409"


def test_a_stop_in_progress_goes_on_after_a_restart(stage: Stage) -> None:
    stage.record.verdict = Verdict(status=JobStatus.STOPPED, reason="stopped on request")
    assert stage.look() is JobStatus.STOPPED
    assert stage.control.runs[RUN].sub_status == "stopped"


@pytest.fixture
def waiting(tmp_path: Path, make_spec: Callable[..., JobSpec]) -> Iterator[Stage]:
    """A job whose run has not started."""
    stage = Stage(tmp_path, make_spec(b"", min_sites=1, round_timeout_seconds=30))
    yield stage
    stage.store.close()


def test_a_job_waits_for_latecomers(waiting: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting.online = {"Trust_A"}
    assert waiting.look() is JobStatus.PENDING
    monkeypatch.setattr(module, "LATECOMER_SECONDS", 0.0)
    assert waiting.look() is JobStatus.RUNNING


def test_a_job_waits_no_longer_than_a_round(waiting: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting.online = set()
    waiting.record.created_at -= timedelta(seconds=31)
    waiting.store.save(waiting.record)
    assert waiting.look() is JobStatus.PENDING  # this process has not waited for so long
    monkeypatch.setattr(waiting.watch, "_since", waiting.record.created_at)
    assert waiting.look_until_ended() is JobStatus.FAILED
    assert waiting.record.reason == "0 sites were connected, 1 are needed; missing: Trust_A, Trust_B"


def test_an_app_that_the_superlink_refuses(waiting: Stage) -> None:
    waiting.control.refuses = True
    assert waiting.look_until_ended() is JobStatus.FAILED
    assert waiting.record.reason == "the SuperLink refused the app"


@pytest.mark.parametrize("stopped", [False, True])
def test_a_run_started_before_a_crash_is_found_again(waiting: Stage, stopped: bool) -> None:
    federation = federation_of(waiting.record.spec.job_id)
    waiting.control.runs[5] = Run(5, federation, "running", "")
    if stopped:
        waiting.record.verdict = Verdict(status=JobStatus.STOPPED, reason="stopped on request")
    assert waiting.look() is (JobStatus.STOPPED if stopped else JobStatus.RUNNING)
    assert waiting.record.run_id == 5
    assert list(waiting.control.runs) == [5]
