"""App processes come from a nursery: recorded, apart from each other, ended with it."""

import errno
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from flip_fl.flower.files import RunFiles
from flip_fl.flower.nursery import Launch, Nursery
from flip_fl.flower.superexec import MODULES, AppLauncher
from flip_fl.processes import ProcessId

AN_APP = """
import os, random, sys
import numpy
from pathlib import Path

def main(launch):
    print("token", launch.token, "arguments", launch.arguments, flush=True)
    print("chance", random.random(), numpy.random.random(), flush=True)
    print("own session", os.getsid(0) == os.getpid(), "stdin", repr(sys.stdin.read()), flush=True)
    while not (launch.folder / "go").exists():
        import time; time.sleep(0.05)
    sys.exit("the end")
"""


def wait_for(what: str, condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.05)


@pytest.fixture
def nursery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Nursery]:
    (tmp_path / "an_app.py").write_text(AN_APP)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setitem(MODULES, "kind", "an_app")
    nursery = Nursery(ahead=("numpy",))
    yield nursery
    nursery.close()


def test_app_processes_are_recorded_and_forgotten(tmp_path: Path, nursery: Nursery) -> None:
    launcher, runs = AppLauncher(tmp_path, nursery), [RunFiles(tmp_path, number) for number in (3, 4)]
    for files in runs:
        launcher.launch_app("kind", files.run_id, ["--x"], f"tok-en-{files.run_id}")
    for files in runs:
        wait_for("the app speaks", lambda files=files: files.log.is_file() and "stdin" in files.log.read_text())
        (process,) = files.processes()
        command = " ".join(psutil.Process(process.pid).cmdline()).strip()
        assert command == f"an_app {tmp_path} run {files.run_id}"
    launcher.reap()
    assert all(files.processes() for files in runs)
    (tmp_path / "go").touch()
    wait_for("they end", lambda: not any(files.processes() for files in runs))
    launcher.reap()
    assert not list(tmp_path.glob("*.process"))
    for files in runs:
        text = files.log.read_text()
        assert f"token tok-en-{files.run_id} arguments ('--x',)" in text
        assert "own session True stdin ''" in text
        assert text.endswith("the end\n")


def test_apps_do_not_share_their_random_numbers(tmp_path: Path, nursery: Nursery) -> None:
    (tmp_path / "go").touch()
    launcher, found = AppLauncher(tmp_path, nursery), []
    for number in (1, 2):
        files = RunFiles(tmp_path, number)
        launcher.launch_app("kind", number, [], "token")
        wait_for("the app ends", lambda files=files: files.log.is_file() and "the end" in files.log.read_text())
        found.append(files.log.read_text().splitlines()[1].split()[1:])
    assert not set(found[0]) & set(found[1])


def test_apps_end_with_the_nursery(tmp_path: Path, nursery: Nursery) -> None:
    launcher, files = AppLauncher(tmp_path, nursery), RunFiles(tmp_path, 3)
    launcher.launch_app("kind", 3, [], "token")
    (process,) = files.processes()
    nursery.close()
    wait_for("the app is gone", lambda: not process.alive)


def test_what_cannot_be_started_is_said(tmp_path: Path, nursery: Nursery) -> None:
    launcher = AppLauncher(tmp_path, nursery)
    with pytest.raises(KeyError):
        launcher.launch_app("flwr-simulation", 3, [], "token")
    launcher.launch_app("kind", 3, [], "token")
    nursery_pid = psutil.Process(RunFiles(tmp_path, 3).processes()[0].pid).ppid()
    os.kill(nursery_pid, 9)
    wait_for("the nursery is gone", lambda: psutil.Process(nursery_pid).status() == psutil.STATUS_ZOMBIE)
    with pytest.raises(RuntimeError, match="the nursery ended with status -9"):
        launcher.launch_app("kind", 3, [], "token")


def test_a_module_that_does_not_import_is_logged(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    (tmp_path / "broken_module.py").write_text("raise RuntimeError('no such luck')")
    command = [
        sys.executable,
        "-m",
        "flip_fl.flower.nursery",
        f"--requests={theirs.fileno()}",
        "broken_module",
        "module_that_is_nowhere",
    ]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    ours.close()
    done = subprocess.run(
        command, env=environment, pass_fds=(theirs.fileno(),), capture_output=True, text=True, check=False
    )
    theirs.close()
    assert "broken_module cannot be imported ahead" in done.stderr
    assert "module_that_is_nowhere" not in done.stderr


def test_what_cannot_be_recorded_does_not_run(
    tmp_path: Path, nursery: Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []

    def full(files: RunFiles, process: ProcessId) -> None:
        started.append(process)
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(RunFiles, "add_process", full)
    with pytest.raises(OSError, match="no space"):
        AppLauncher(tmp_path, nursery).launch_app("kind", 3, [], "token")
    assert started
    assert not any(process.alive for process in started)


def test_a_launch_that_fails_is_one_apps_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "an_app.py").write_text(AN_APP)
    # A limit on processes counts for nothing with root, and everywhere else for all that the user runs.
    (tmp_path / "few_processes.py").write_text(
        "import errno, os\n"
        "fork, forks = os.fork, iter((True, False, True))\n"
        "def scarce():\n"
        "    if next(forks): return fork()\n"
        "    raise BlockingIOError(errno.EAGAIN, 'no more processes')\n"
        "os.fork = scarce\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    nursery = Nursery(ahead=("few_processes",))

    def start(number: int) -> int:
        launch = Launch(module="an_app", folder=tmp_path, run_id=number, arguments=(), token=f"t{number}")
        return nursery.start(launch)

    first = start(1)
    with pytest.raises(OSError, match="Resource temporarily unavailable"):
        start(2)
    third = start(3)
    for number, pid in ((1, first), (3, third)):
        files = RunFiles(tmp_path, number)
        wait_for("the app speaks", lambda files=files: files.log.is_file() and "stdin" in files.log.read_text())
        assert f"token t{number} " in files.log.read_text()
        assert psutil.Process(pid).is_running()
    nursery.close()


def test_an_app_inherits_no_way_to_the_nursery_and_no_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "curious.py").write_text(
        "import os, re, stat\n"
        "def main(launch):\n"
        "    held = [fd for fd in os.listdir('/proc/self/fd') if os.path.exists(f'/proc/self/fd/{fd}')]\n"
        "    kinds = {stat.S_ISSOCK(os.stat(f'/proc/self/fd/{fd}').st_mode) for fd in held}\n"
        "    try:\n"
        "        open(f'/proc/{os.getppid()}/fd/{launch.arguments[0]}', 'wb', 0)\n"
        "    except OSError as error:\n"
        "        print('closed', error.errno)\n"
        "    known = False\n"
        "    with open('/proc/self/maps') as maps, open('/proc/self/mem', 'rb', 0) as memory:\n"
        "        for line in maps:\n"
        "            found = re.match('([0-9a-f]+)-([0-9a-f]+) rw', line)\n"
        "            if found:\n"
        "                start, end = (int(part, 16) for part in found.groups())\n"
        "                memory.seek(start)\n"
        "                known |= re.search(b'firs[t]-token', memory.read(end - start)) is not None\n"
        "    print('sockets', True in kinds, 'tokens', known, 'the end', flush=True)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    nursery = Nursery(ahead=("curious",))
    command = psutil.Process(nursery._process.pid).cmdline()
    (number,) = [part.partition("=")[2] for part in command if part.startswith("--requests=")]
    for run_id, token in ((1, "first-token" * 20), (2, "another")):
        files = RunFiles(tmp_path, run_id)
        nursery.start(Launch(module="curious", folder=tmp_path, run_id=run_id, arguments=(number,), token=token))
        wait_for("the app ends", lambda files=files: files.log.is_file() and "the end" in files.log.read_text())
        assert "closed" in files.log.read_text()
    assert "sockets False tokens False the end" in RunFiles(tmp_path, 2).log.read_text()
    nursery.close()
