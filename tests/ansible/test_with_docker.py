"""What needs Docker gets an engine, keeps one that runs, and is left out only where that was allowed."""

import os
import signal
import sys
from pathlib import Path

import pytest
import with_docker

ENGINE = """#!/bin/sh
echo $$ >{folder}/pid
trap 'rm {folder}/pid; echo stopped >>{folder}/said; exit' TERM
while :; do sleep 0.05; done
"""
CLIENT = "#!/bin/sh\ntest -e {folder}/pid\n"
SAYS = "import os, sys; print('ran', os.path.exists(sys.argv[1])); sys.exit(7)"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a machine without systemd, with programs that stand for Docker and its engine."""
    for name, text in {"docker": CLIENT, "dockerd": ENGINE}.items():
        (tmp_path / name).write_text(text.format(folder=tmp_path))
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr(with_docker, "BOOTED", tmp_path / "none")
    monkeypatch.setattr(with_docker, "LOG", tmp_path / "log" / "dockerd.log")
    monkeypatch.setattr(with_docker, "SKIPPED", tmp_path / "notes" / "skipped")
    monkeypatch.setattr(with_docker, "installed", lambda: None)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # or these tests could not be interrupted any more
    return tmp_path


@pytest.fixture
def command(machine: Path) -> list[str]:
    """Says whether the engine runs, and ends with 7."""
    return [sys.executable, "-c", SAYS, str(machine / "pid")]


def test_an_engine_is_started_for_the_command_and_stopped_after_it(
    machine: Path, command: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert with_docker.main(command) == 7
    assert "ran True" in capfd.readouterr().out
    assert (machine / "said").read_text() == "stopped\n"
    assert not (machine / "pid").exists()


def test_one_that_runs_is_used_and_left(machine: Path, command: list[str]) -> None:
    (machine / "pid").touch()
    assert with_docker.main(command) == 7
    assert (machine / "pid").exists()
    assert not (machine / "said").exists()


def test_one_that_does_not_start_is_told_with_its_log(
    machine: Path, command: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    (machine / "dockerd").write_text("#!/bin/sh\nexit 1\n")
    assert with_docker.main(command) == 1
    said = capfd.readouterr()
    assert f"dockerd does not start, see {machine / 'log' / 'dockerd.log'}" in said.err
    assert "ran" not in said.out


def test_it_may_be_left_out_where_that_was_said_but_not_in_ci(
    machine: Path, command: list[str], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert with_docker.main(command) == 1
    assert with_docker.main(["--or-skip", *command]) == 0
    assert "does not answer this user" in capfd.readouterr().err
    (note,) = (machine / "notes" / "skipped").read_text().splitlines()
    assert note.startswith(f"SKIPPED: {sys.executable}")
    assert note.endswith("Docker does not answer this user: start it, or have yourself let in")
    monkeypatch.setenv("CI", "true")
    assert with_docker.main(["--or-skip", *command]) == 1


def test_a_command_that_fails_is_not_taken_for_one_left_out(machine: Path, command: list[str]) -> None:
    assert with_docker.main(["--or-skip", *command]) == 7
