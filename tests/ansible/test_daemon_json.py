"""daemon.json: ours goes in, theirs stays."""

import re
from typing import Any

import pytest
from ansible_tree import python

daemon_json = python("flip_docker", "module_utils/flip_daemon_json.py")
OURS = {"log-driver": "json-file", "log-opts": {"max-size": "10m"}, "live-restore": False}


def test_an_empty_file_gets_ours() -> None:
    assert daemon_json.merge({}, OURS, {}) == OURS


def test_what_the_operator_has_stays_in_its_order() -> None:
    theirs = {"labels": ["ward=7"], "log-opts": {"compress": "true"}, "debug": True}
    merged = daemon_json.merge(theirs, OURS, {})
    assert list(merged) == ["labels", "log-opts", "debug", "live-restore", "log-driver"]
    assert merged["log-opts"] == {"compress": "true", "max-size": "10m"}
    assert theirs["log-opts"] == {"compress": "true"}, "the argument is left alone"


def test_merging_twice_changes_nothing() -> None:
    once = daemon_json.merge({"debug": True}, OURS, {})
    assert daemon_json.merge(once, OURS, OURS) == once


@pytest.mark.parametrize(
    ("theirs", "named"),
    [
        ({"log-driver": "journald"}, "log-driver: daemon.json has 'journald', FLIP needs 'json-file'"),
        ({"log-opts": {"max-size": "1g"}}, "log-opts.max-size: daemon.json has '1g', FLIP needs '10m'"),
        ({"live-restore": True}, "live-restore: daemon.json has True, FLIP needs False"),
        ({"log-opts": "none"}, "log-opts.max-size: daemon.json has no object there to put '10m' into"),
    ],
)
def test_a_conflict_names_the_key_and_both_values(theirs: dict[str, Any], named: str) -> None:
    with pytest.raises(daemon_json.ConflictError, match=re.escape(named)):
        daemon_json.merge(theirs, OURS, {})


def test_every_conflict_is_named_at_once() -> None:
    with pytest.raises(daemon_json.ConflictError, match=r"live-restore.*log-driver"):
        daemon_json.merge({"log-driver": "journald", "live-restore": True}, OURS, {})


def test_what_we_wrote_is_ours_to_change_and_to_take_away() -> None:
    before = {**OURS, "registry-mirrors": ["https://old"], "default-ulimits": {"nofile": {"Hard": 1}}}
    ours = {**OURS, "log-driver": "local"}
    assert daemon_json.merge({**before, "debug": True}, ours, before) == {**ours, "debug": True}


def test_what_the_operator_changed_since_is_theirs() -> None:
    with pytest.raises(daemon_json.ConflictError, match=r"max-size: daemon\.json has '1g'"):
        daemon_json.merge({**OURS, "log-opts": {"max-size": "1g"}}, {**OURS, "log-opts": {"max-size": "20m"}}, OURS)
    assert daemon_json.merge({"debug": True}, {}, {"debug": False}) == {"debug": True}


def test_a_list_is_one_value() -> None:
    theirs, ours = ({"exec-opts": [f"native.cgroupdriver={driver}"]} for driver in ("cgroupfs", "systemd"))
    with pytest.raises(daemon_json.ConflictError, match="exec-opts"):
        daemon_json.merge(theirs, ours, {})
