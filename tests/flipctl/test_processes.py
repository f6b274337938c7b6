"""No process outlives its stack."""

import os
import signal
import subprocess
import sys
from multiprocessing import resource_tracker
from pathlib import Path

import psutil
import pytest

from flipctl.processes import Processes, ProcessFailedError, descendants

SLEEP = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)",
]
# Detaches a grandchild into a session of its own, as a database server does, and ends.
DETACHING = [
    sys.executable,
    "-c",
    "import subprocess, sys; "
    "print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True).pid, "
    "flush=True); import time; time.sleep(600)",
]


def wait_for_output(processes: Processes, name: str) -> str:
    processes.wait_until(f"{name} speaks", lambda: bool(processes.tail(name)), 20)
    return processes.tail(name)


def test_everything_ends_with_the_context(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        child = processes.start("child", SLEEP, os.environ)
        processes.start("parent", DETACHING, os.environ)
        grandchild = int(wait_for_output(processes, "parent"))
        assert psutil.pid_exists(grandchild)
        assert processes.memory_bytes() > 1_000_000
    assert child.poll() is not None
    assert not psutil.pid_exists(grandchild)


def test_what_ignores_sigterm_is_killed_and_named(tmp_path: Path) -> None:
    with Processes(tmp_path, stop_seconds=0.5) as processes:
        process = processes.start("stubborn", STUBBORN, os.environ)
        wait_for_output(processes, "stubborn")
        assert processes.stop() == ["stubborn"]
        assert process.poll() is not None


def test_a_process_that_ends_is_noticed_with_the_end_of_its_log(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes:
        processes.start("broken", [sys.executable, "-c", "raise SystemExit('no database')"], os.environ)
        with pytest.raises(ProcessFailedError, match=r"broken ended with status 1:\nno database"):
            processes.wait_until("never", lambda: False, 20)


def test_waiting_has_an_end(tmp_path: Path) -> None:
    with Processes(tmp_path) as processes, pytest.raises(ProcessFailedError, match="pigs fly: not within"):
        processes.wait_until("pigs fly", lambda: False, 0.2)


def test_an_exception_ends_everything_too(tmp_path: Path) -> None:
    started: list[subprocess.Popen[bytes]] = []

    def fail() -> None:
        with Processes(tmp_path) as processes:
            started.append(processes.start("child", SLEEP, os.environ))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert started[0].poll() is not None


def test_pythons_own_helper_is_no_leftover(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Processes(tmp_path) as processes:
        resource_tracker.ensure_running()
        helper = psutil.Process(resource_tracker._resource_tracker._pid)
        assert descendants(processes.others) == []
    assert helper.is_running()
    assert not caplog.records


def test_what_ran_before_is_left_alone(tmp_path: Path) -> None:
    before = subprocess.Popen(DETACHING, stdout=subprocess.PIPE, text=True)
    try:
        assert before.stdout is not None
        its_child = int(before.stdout.readline())
        with Processes(tmp_path) as processes:
            child = processes.start("child", SLEEP, os.environ)
            wait_for_output(processes, "child")
        assert child.poll() is not None
        assert before.poll() is None
        assert psutil.pid_exists(its_child)
        os.kill(its_child, signal.SIGKILL)
    finally:
        before.kill()
        before.communicate()
