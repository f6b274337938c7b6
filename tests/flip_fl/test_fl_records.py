"""What is kept of jobs and runs: store, rosters, run files, and the bookkeeping of rounds."""

import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
from pydantic import ValidationError

from flip_common.wire import JobSpec, JobStatus, SiteException
from flip_fl.flower.files import (
    Failed,
    Refused,
    Replied,
    Roster,
    Rosters,
    RunFiles,
    Sent,
    federation_of,
    runs_in,
)
from flip_fl.flower.rounds import Rounds
from flip_fl.processes import ProcessId
from flip_fl.store import JobRecord, JobStore, Verdict, utc_now


def test_the_store_outlives_its_process(tmp_path: Path, make_spec: Callable[..., JobSpec]) -> None:
    store = JobStore(tmp_path / "jobs.sqlite")
    record = JobRecord(spec=make_spec(b""), created_at=utc_now(), run_id=2**63 + 5, run_config={"a": 1, "b": 1.0})
    store.save(record)
    record.verdict = Verdict(status=JobStatus.FAILED, reason="why")
    store.save(record)
    store.close()

    store = JobStore(tmp_path / "jobs.sqlite")
    assert store.get(record.spec.job_id) == record
    assert store.active() == [record]
    assert type(store.active()[0].run_config["b"]) is float
    record.status = JobStatus.FAILED
    store.save(record)
    assert store.active() == []
    assert store.get(record.spec.job_id) == record
    assert store.get(uuid4()) is None
    store.close()


def test_rosters_are_found_by_federation(tmp_path: Path) -> None:
    roster = Roster(job_id=uuid4(), model_id=uuid4(), trusts=frozenset({"Trust_A"}), round_timeout_seconds=10)
    Rosters(tmp_path).write(roster)
    reader = Rosters(tmp_path)
    assert reader.get(federation_of(roster.job_id)) == roster
    assert reader.get(federation_of(uuid4())) is None
    for name in ("", "default", "../x", str(roster.job_id), federation_of(roster.job_id).upper(), "flip-job-x"):
        assert reader.get(name) is None
    mode = stat.S_IMODE(next(tmp_path.iterdir()).stat().st_mode)
    assert mode == 0o600


def test_events_are_read_in_pieces(tmp_path: Path) -> None:
    files = RunFiles(tmp_path, 7)
    assert files.read_events(0) == ([], 0)
    first = Sent(at=1.0, message="m", trust="Trust_A", round=1, task="train")
    files.append(first)
    events, offset = files.read_events(0)
    assert events == [first]
    files.append(Replied(at=2.0, message="m"))
    with files.events.open("ab") as file:
        file.write(b'{"kind":"re')
    events, following = files.read_events(offset)
    assert events == [Replied(at=2.0, message="m")]
    assert files.read_events(following) == ([], following)


def test_an_event_of_another_shape_is_an_error(tmp_path: Path) -> None:
    files = RunFiles(tmp_path, 7)
    files.events.write_bytes(b'{"kind":"sent","at":1}\n')
    with pytest.raises(ValidationError):
        files.read_events(0)


def test_processes_are_known_while_they_live(tmp_path: Path) -> None:
    files = RunFiles(tmp_path, 7)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        identity = ProcessId.of(child.pid)
        assert identity is not None
        files.add_process(identity)
        files.add_process(ProcessId(os.getpid(), 12.0))
        assert files.processes() == [identity]
        assert list(runs_in(tmp_path)) == [7]
        child.kill()
        child.wait()
        assert files.processes() == []
    files.forget_process(child.pid)
    files.forget_process(os.getpid())
    assert list(runs_in(tmp_path)) == []


def sent(message: str, trust: str, number: int = 1, task: str = "train", at: float = 0.0) -> Sent:
    """A message that went out."""
    return Sent(at=at, message=message, trust=trust, round=number, task=task)


def failed(message: str, trust: str) -> Failed:
    """A message answered with an error."""
    return Failed(at=1.0, message=message, error=SiteException(trust=trust, code="KeyError", digest="0" * 64))


def good(message: str) -> Replied:
    """A message answered."""
    return Replied(at=1.0, message=message)


def test_a_round_falls_short_when_it_is_over() -> None:
    rounds = Rounds()
    rounds.add([sent("a", "A"), sent("b", "B"), failed("b", "B")])
    assert rounds.short_of(2) is None  # A may still answer
    rounds.add([good("a")])
    short = rounds.short_of(2)
    assert short is not None
    assert short.describe() == "round 1 (train): 1 of 2 sites answered well (B: KeyError)"
    assert rounds.short_of(1) is None
    assert rounds.failures == {"B": 1}
    assert rounds.round == 1


def test_fewer_messages_than_sites_are_no_failure() -> None:
    rounds = Rounds()
    rounds.add([sent("a", "A"), good("a")])
    assert rounds.short_of(2) is None


def test_exchanges_are_told_apart() -> None:
    rounds = Rounds()
    rounds.add([sent("a", "A"), sent("b", "B"), good("a"), good("b")])
    rounds.add([sent("c", "A"), sent("d", "B"), failed("c", "A"), good("d")])  # the same round and task again
    rounds.add([sent("e", "A", task="evaluate"), sent("f", "B", task="evaluate"), good("e"), good("f")])
    short = rounds.short_of(2)
    assert short is not None
    assert (short.good, short.failed) == (1, {"A": "KeyError"})


def test_who_is_overdue() -> None:
    rounds = Rounds()
    rounds.add([sent("a", "A", at=10), sent("b", "B", at=20), Refused(at=21, detail="no")])
    assert set(rounds.overdue(15)) == {"A"}
    rounds.add([good("a"), good("a"), good("unknown")])
    assert rounds.overdue(15) == {}
    assert (rounds.last_at, rounds.refused) == (21, "no")


def test_time_goes_on() -> None:
    before = time.time()
    assert utc_now().timestamp() >= before
