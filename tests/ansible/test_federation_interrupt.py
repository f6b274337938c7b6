"""`make federation --interrupt`: when a run is killed, that all of it is, and what tells one host from another."""

import json
import os
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from federation import evidence, host_state, interrupt, playbooks, trials
from federation.docker import FederationError
from federation.interrupt import Moment, differences, moments
from federation.plan import TRE

RECAP = "tre : ok=5    changed=2    unreachable=0    failed=0    skipped=3"
LINE = "Sunday 22 November 2026  10:08:45 +0000 (0:00:00.095)       0:0{:.0f}:{:06.3f} ******* "
OUTPUT = f"""
PLAY [Trust host] ****
{LINE.format(0, 0.015)}

TASK [flip_base : Packages are installed] ****
changed: [tre]
{LINE.format(0, 10.5)}
{LINE.format(1, 2.25)}

TASK [flip_base : Folder has its owner and mode] ****
ok: [tre]

PLAY RECAP ****
{RECAP}

TASKS RECAP ****
{LINE.format(1, 30)}
"""
# In ansible-playbook's place: tasks begin one after the other, and a child in a session of its own goes on for long.
PROGRAM = """#!/bin/sh
setsid sleep 300 &
echo $! >{folder}/child
for task in 1 2 3; do
  echo "Sunday 22 November 2026  10:08:45 +0000 (0:00:00.095)       0:00:0$task.000 ***** "
  sleep {pause}
done
echo "PLAY RECAP ****"
echo "{recap}"
kill $(cat {folder}/child)
exit {status}
"""
STATE: dict[str, Any] = {
    "path": {"/opt/flip": ["drwxr-x--x", 0, 0], "/opt/flip/kit": ["drwx------", 0, 0]},
    "firewall": ["table inet flip {", "policy drop"],
}


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(playbooks, "VENV", tmp_path)
    monkeypatch.setattr(playbooks, "FOLDER", tmp_path)

    def make(pause: float, status: int = 0) -> playbooks.Order:
        path = tmp_path / "bin" / "ansible-playbook"
        path.parent.mkdir()
        path.write_text(PROGRAM.format(folder=tmp_path, pause=pause, recap=RECAP, status=status), encoding="utf-8")
        path.chmod(0o755)
        return playbooks.Order("tre.killed.1", "site_local_trust")

    return make


def test_the_beginning_of_each_task_is_read_and_of_no_recap() -> None:
    assert playbooks.started(OUTPUT) == [0.015, 10.5, 62.25]


def test_moments_are_random_in_their_order_and_to_be_had_again() -> None:
    began = [0.5, 3.0, 60.0, 70.0]
    drawn = moments(began, 100.0, 200, seed=7)
    assert drawn == moments(began, 100.0, 200, seed=7)
    assert drawn != moments(began, 100.0, 200, seed=8)
    at = [began[moment.task - 1] + moment.seconds for moment in drawn]
    assert at == sorted(at)
    assert {moment.task for moment in drawn} == {1, 2, 3, 4}
    assert all(moment.seconds >= 0 for moment in drawn)
    ends = [3.0, 60.0, 70.0, 100.0]
    assert all(found <= ends[moment.task - 1] for found, moment in zip(at, drawn, strict=True))
    assert sum(moment.task == 2 for moment in drawn) > 80, "a task that takes long is met more often"


def test_no_part_of_a_run_is_left_out() -> None:
    for seed in range(50):
        drawn = moments([0.0], 100.0, 10, seed)
        assert [int(moment.seconds // 10) for moment in drawn] == list(range(10)), seed


def test_a_run_is_killed_in_its_task_with_all_it_started(program: Any, tmp_path: Path) -> None:
    began = time.monotonic()
    assert interrupt.interrupted(program(pause=2), Moment(task=2, seconds=0.5))
    assert 2.4 < time.monotonic() - began < 4
    child = int((tmp_path / "child").read_text(encoding="utf-8"))
    while psutil.pid_exists(child) and psutil.Process(child).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() - began < 20, "it goes on"
        time.sleep(0.05)


def test_a_run_that_ends_before_its_moment_is_not_killed(program: Any) -> None:
    assert not interrupt.interrupted(program(pause=0.1), Moment(task=3, seconds=30))


@pytest.mark.parametrize("task", [2, 9])
def test_a_run_that_fails_before_its_moment_is_told(program: Any, task: int) -> None:
    with pytest.raises(FederationError, match="did not succeed"):
        interrupt.interrupted(program(pause=0.1, status=2), Moment(task=task, seconds=30))


def test_runs_go_on_at_the_same_time_and_are_ended_with_whoever_wanted_them(program: Any, tmp_path: Path) -> None:
    order = program(pause=0.5)
    began = time.monotonic()
    done = playbooks.play(order, playbooks.Order("other", "site_hub"))
    assert time.monotonic() - began < 3
    assert {name: played.recaps["tre"].changed for name, played in done.items()} == {"tre.killed.1": 2, "other": 2}
    with pytest.raises(KeyboardInterrupt), playbooks.running(order) as process:
        raise KeyboardInterrupt
    assert process.returncode == -9


def test_hosts_that_are_alike_differ_in_nothing() -> None:
    assert differences(STATE, json.loads(json.dumps(STATE))) == []
    assert evidence.alike(TRE, 10, STATE, STATE).holds
    assert not evidence.alike(TRE, 0, STATE, STATE).holds, "a run that was never killed shows nothing"


@pytest.mark.parametrize(
    ("kind", "things", "told"),
    [
        ("path", {**STATE["path"], "/opt/flip/x.part": ["-rw-------", 0, 0]}, "path /opt/flip/x.part is too much"),
        ("path", {"/opt/flip": ["drwxr-x--x", 0, 0]}, "path /opt/flip/kit is missing"),
        (
            "path",
            {**STATE["path"], "/opt/flip": ["drwxr-xr-x", 0, 0]},
            "path /opt/flip is ['drwxr-xr-x', 0, 0], not ['drwxr-x--x', 0, 0]",
        ),
        ("firewall", ["table inet flip {", "policy drop", "accept"], "firewall accept is too much"),
    ],
)
def test_what_differs_is_told(kind: str, things: object, told: str) -> None:
    assert differences(STATE, {**STATE, kind: things}) == [told]
    check = evidence.alike(TRE, 10, STATE, {**STATE, kind: things})
    assert (check.holds, check.found) == (False, told)


def test_a_hosts_own_secrets_and_numbers_are_told_by_name() -> None:
    text = "postgresql://flip_owner:aGVsbG8=@omop-db container " + "ab12" * 16 + " br-0123456789ab"
    assert host_state.common(text, {"aGVsbG8=": "<omop_owner>"}) == (
        "postgresql://flip_owner:<omop_owner>@omop-db container <number> br-<number>"
    )


def test_a_table_has_the_same_records_in_whatever_order_they_lie() -> None:
    dump = ["SET x;", "COPY omop.a (id) FROM stdin;", "2", "1", "\\.", "COPY omop.b (id) FROM stdin;", "3", "\\."]
    other = [*dump[:2], "1", "2", *dump[4:]]
    assert list(host_state.in_order(dump)) == list(host_state.in_order(other)) == other
    moved = [*dump[:2], "1", *dump[4:6], "2", "3", "\\."]
    assert list(host_state.in_order(moved)) != other


def test_a_path_is_told_by_type_mode_owner_and_content(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("secret=x1", encoding="utf-8")
    file.chmod(0o640)
    (tmp_path / "link").symlink_to("file")
    told = host_state.entry(file, {"x1": "<secret>"})
    assert told[:3] == ["-rw-r-----", os.getuid(), os.getgid()]
    file.write_text("secret=y2", encoding="utf-8")
    assert host_state.entry(file, {"y2": "<secret>"}) == told
    assert host_state.entry(file, {}) != told
    assert host_state.entry(tmp_path / "link", {})[3] == "file"


def test_what_services_write_is_not_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("data/omop/base", "config/omop", "systemd-private-1"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.setattr(host_state, "TREES", (str(tmp_path),))
    monkeypatch.setattr(host_state, "CLOSED", (f"{tmp_path}/data/",))
    found = {path.removeprefix(str(tmp_path)) for path in host_state.paths({})}
    assert found == {"", "/data", "/data/omop", "/config", "/config/omop"}


def test_a_host_is_well_as_soon_as_nothing_is_wrong_and_else_told() -> None:
    answers = iter(["flip-trust is failed", ""])
    assert trials.well(TRE, "a restart", lambda _: next(answers), seconds=30).holds
    check = trials.well(TRE, "a restart", lambda _: "flip-trust is failed", seconds=0)
    assert (check.holds, check.found) == (False, "flip-trust is failed")
