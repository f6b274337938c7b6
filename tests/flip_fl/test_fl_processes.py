"""Processes: trees that are ended, children that are started again, what they inherit."""

import os
import sys
import time
from pathlib import Path

import psutil
import pytest
from fl_site_parts import SLEEP, child, until

from flip_fl.processes import ProcessId, Supervisor, child_environment, kill_tree

PARENT = (
    f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', '{SLEEP}']); print('up', flush=True); {SLEEP}"
)
DEAF = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); {SLEEP}"


def test_a_tree_is_ended() -> None:
    with child(PARENT) as (process, identity):
        family = psutil.Process(process.pid).children(recursive=True)
        assert len(family) == 1
        assert kill_tree(identity) == 2
        assert not family[0].is_running() or family[0].status() == psutil.STATUS_ZOMBIE
        assert process.wait(5) == -9
        assert kill_tree(identity) == 0


def test_who_does_not_hear_sigterm_gets_sigkill() -> None:
    with child(DEAF) as (process, identity):
        kill_tree(identity, grace=0.3)
        assert process.wait(5) == -9


def test_another_process_of_the_same_pid_is_left_alone() -> None:
    assert kill_tree(ProcessId(os.getpid(), 1.0)) == 0
    assert ProcessId.of(2**22 + 1) is None
    assert ProcessId(2**22 + 1, 1.0).find() is None
    me = ProcessId.of(os.getpid())
    assert me is not None
    assert ProcessId.from_json(me.to_json()) == me


def test_a_child_ends_with_its_parent() -> None:
    orphan = "from flip_fl.processes import end_with_parent; end_with_parent(); print('up', flush=True); "
    code = (
        "import subprocess, sys; "
        f"child = subprocess.Popen([sys.executable, '-c', {(orphan + SLEEP)!r}], stdout=subprocess.PIPE); "
        f"child.stdout.readline(); print('up', flush=True); {SLEEP}"
    )
    with child(code) as (process, _):
        below = psutil.Process(process.pid).children()[0]
        process.kill()
        process.wait()
        deadline = time.monotonic() + 10
        while below.is_running() and below.status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < deadline
            time.sleep(0.05)


async def test_a_child_that_dies_is_started_again(tmp_path: Path) -> None:
    code = f"print('hello', flush=True); {SLEEP}"
    supervisor = Supervisor("test", [sys.executable, "-c", code], {}, tmp_path / "log")
    await supervisor.start()
    try:
        first = supervisor.pid
        assert first is not None
        await until(lambda: (tmp_path / "log").read_text().count("hello") == 1)
        psutil.Process(first).kill()
        await until(lambda: supervisor.pid not in (None, first))
        assert supervisor.restarts == 1
        await until(lambda: (tmp_path / "log").read_text().count("hello") == 2)
    finally:
        await supervisor.stop()
    assert supervisor.pid is None


def test_children_inherit_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FL_API_KEY", "secret")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy")
    environment = child_environment({"A": "1"}, ("HTTPS_PROXY", "ABSENT"))
    assert environment["A"] == "1"
    assert environment["HTTPS_PROXY"] == "http://proxy"
    assert "FL_API_KEY" not in environment
    assert "PATH" in environment
