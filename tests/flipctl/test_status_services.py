"""`flipctl status`: what is said of containers and units, and what to do about each."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from status_containers import well

from flipctl.status import services
from flipctl.status.engine import Container, Engine, EngineError
from flipctl.status.report import ago
from flipctl.status.services import UnitsError, check_containers, check_units, read_units, wanted

RUNNING = well("flip-omop", "db", "flip/omop-db:0.1.0")


def container(**changes: Any) -> Container:
    return Container(**(vars(RUNNING) | changes))


@pytest.mark.parametrize(
    ("changes", "verdict", "remedy"),
    [
        ({}, "ok", ""),
        ({"health": ""}, "ok", ""),
        ({"health": "starting"}, "warning", "look again"),
        ({"health": "unhealthy"}, "fault", "docker logs --tail 50 flip-omop-db-1; then systemctl restart flip-omop"),
        ({"state": "restarting", "health": ""}, "fault", "docker logs"),
        ({"state": "exited", "health": "", "exit_code": 3}, "fault", "docker logs"),
        ({"state": "exited", "health": "", "lasting": True}, "fault", "docker logs"),
        ({"state": "exited", "health": "", "lasting": False}, "ok", ""),
        ({"state": "exited", "health": "", "swarm": True}, "fault", "docker service update --force flip-omop_db"),
    ],
)
def test_each_container_is_judged(changes: dict[str, Any], verdict: str, remedy: str) -> None:
    (row,) = check_containers([container(**changes)], {})
    assert row.verdict == verdict
    assert remedy in row.remedy
    assert bool(row.remedy) == (verdict != "ok")


def test_what_compose_files_name_and_is_not_there_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "omop").mkdir()
    (tmp_path / "omop" / "compose.yml").write_text("services: {db: {image: a}, other: {image: b}}\n")
    rows = list(check_containers([container()], wanted(tmp_path)))
    assert [(row.check, row.verdict) for row in rows] == [("flip-omop/db", "ok"), ("flip-omop/other", "fault")]


def test_mixed_releases_are_told_and_others_images_are_not_compared() -> None:
    theirs = container(image="postgres@sha256:0", release="9")
    assert {row.verdict for row in check_containers([container(), theirs], {})} == {"ok"}
    newer = container(service="new", release="0.2.0")
    assert [row.verdict for row in check_containers([container(), newer], {})] == ["warning", "warning"]


def test_a_container_that_was_started_again_says_so() -> None:
    (row,) = check_containers([container(restarts=7)], {})
    assert "restarted 7 times" in row.found


def units(*given: tuple[str, str, str]) -> str:
    return json.dumps(
        [{"unit": name, "load": load, "active": active, "sub": "x", "description": "y"} for name, load, active in given]
    )


def test_units_are_judged(tmp_path: Path) -> None:
    file = tmp_path / "units.json"
    file.write_text(
        units(
            ("flip-omop.service", "loaded", "active"),
            ("flip-trust.service", "loaded", "failed"),
            ("flip-firewall-names.service", "loaded", "inactive"),
            ("flip-firewall-names.timer", "loaded", "active"),
            ("flip-status.service", "loaded", "activating"),
            ("flip-status.timer", "loaded", "active"),
            ("flip-grafana.service", "loaded", "inactive"),
            ("flip-grafana.socket", "loaded", "active"),
            ("flip-backup.service", "loaded", "failed"),
            ("flip-backup.timer", "loaded", "active"),
            ("flip-xnat.service", "not-found", "inactive"),
            ("flip-orthanc.service", "loaded", "inactive"),
            ("flip-kept.service", "masked", "inactive"),
        )
    )
    rows = {row.check: row for row in check_units(read_units(file) or [], {"flip-omop": set(), "flip-hub": set()})}
    assert {name: row.verdict for name, row in rows.items()} == {
        "flip-omop.service": "ok",
        "flip-trust.service": "fault",
        "flip-firewall-names.service": "ok",
        "flip-firewall-names.timer": "ok",
        "flip-status.service": "ok",
        "flip-status.timer": "ok",
        "flip-grafana.service": "ok",
        "flip-grafana.socket": "ok",
        "flip-backup.service": "fault",
        "flip-backup.timer": "ok",
        "flip-orthanc.service": "fault",
        "flip-kept.service": "fault",
        "flip-hub.service": "fault",
    }
    assert "systemctl restart flip-trust.service" in rows["flip-trust.service"].remedy
    assert rows["flip-firewall-names.service"].found == "waits for its timer"
    assert rows["flip-status.service"].found == "its timer has started it"
    assert rows["flip-grafana.service"].found == "waits for its socket"
    assert "unmask" in rows["flip-kept.service"].remedy
    assert rows["flip-hub.service"].found == "missing"


def test_a_list_of_units_that_is_none_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "units.json"
    file.write_text("UNIT LOAD ACTIVE\n")
    with pytest.raises(UnitsError, match="systemctl list-units"):
        read_units(file)


def test_without_systemd_no_unit_is_judged(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(services, "BOOTED", tmp_path / "none")
    assert read_units(None) is None


def test_an_engine_that_is_not_there_is_named(tmp_path: Path) -> None:
    with Engine(tmp_path / "docker.sock") as engine, pytest.raises(EngineError, match=r"docker\.sock is no socket"):
        engine.containers()


@pytest.mark.parametrize(("seconds", "text"), [(5, "5 s"), (150, "2 min"), (3 * 3600, "3 h"), (86400 * 2, "2 d")])
def test_times_are_said_in_the_largest_fitting_unit(seconds: int, text: str) -> None:
    assert ago(datetime.now(UTC) - timedelta(seconds=seconds)) == f"{text} ago"
