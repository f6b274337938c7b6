"""XNAT is set up once, and looked at ever after; tried on XNAT's stand-in."""

from collections.abc import Iterator
from pathlib import Path
from threading import Timer
from typing import Any

import pytest
from ansible_tree import ROOT, python
from xnat_stand_in import StandIn

rest = python("flip_xnat", "module_utils/flip_xnat_rest.py")
SCRIPT = (ROOT / "ansible/roles/flip_xnat/files/anonymization.das").read_text(encoding="utf-8")


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    server = StandIn(tmp_path / "xnat")
    monkeypatch.setattr(server.dimse, "listen", lambda: None)
    server.start()
    yield server
    server.stop()


def wanted(server: StandIn, **changes: Any) -> dict[str, Any]:
    return {
        "url": server.url,
        "admin_password": "a-new-password-for-admin",
        "user": "flip-imaging",
        "user_password": "a-password-for-imaging",
        "site": {"initialized": True, "siteUrl": "http://xnat", "siteId": "FLIP", "sessionXmlRebuilderInterval": 1},
        "dqr": {"allowAllUsersToUseDqr": False, "allowAllProjectsToUseDqr": True, "dqrCallingAe": "XNAT"},
        "receiver": {"aeTitle": "XNAT", "port": 8104, "identifier": "dqrObjectIdentifier", "customProcessing": True},
        "pacs": {"aeTitle": "PACS", "host": "pacs", "queryRetrievePort": 104, "label": "PACS"},
        "anonymization": SCRIPT,
        "wait_seconds": 0,
        **changes,
    }


def set_up(server: StandIn, *, check: bool = False, **changes: Any) -> list[str]:
    found: list[str] = rest.Site(wanted(server, **changes), check_mode=check).set_up()
    return found


def test_what_is_set_up_is_left_alone(stand_in: StandIn) -> None:
    assert len(set_up(stand_in)) == 11
    stand_in.calls.clear()
    assert set_up(stand_in) == []
    assert {method for method, _ in stand_in.calls} == {"GET"}


def test_the_first_password_and_the_guest_are_gone(stand_in: StandIn) -> None:
    set_up(stand_in)
    users = stand_in.state.document["users"]
    assert users["admin"]["password"] == "a-new-password-for-admin"
    assert users["guest"]["enabled"] is False
    assert {"Administrator", "Dqr"} <= set(users["flip-imaging"]["roles"])
    assert users["flip-imaging"]["groups"] == ["ALL_DATA_ADMIN"]


def test_check_mode_changes_nothing(stand_in: StandIn) -> None:
    assert set_up(stand_in, check=True)[0] == "admin's first password"
    assert stand_in.state.document["users"]["admin"]["password"] == "admin"
    set_up(stand_in)
    stand_in.calls.clear()
    assert set_up(stand_in, check=True, user="flip-other", anonymization="") == [
        "user flip-other",
        "whether it is used",
    ]
    assert {method for method, _ in stand_in.calls} == {"GET"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"user_password": "another-password"}, ["password of flip-imaging"]),
        ({"pacs": {"aeTitle": "PACS", "host": "other", "label": "PACS"}}, ["PACS"]),
        ({"receiver": {"port": 8104, "aeTitle": "SITE"}}, ["receiver"]),
        ({"site": {"siteId": "Trust"}}, ["site: siteId"]),
        ({"dqr": {"allowAllUsersToUseDqr": True}}, ["plugin: allowAllUsersToUseDqr"]),
        ({"anonymization": 'version "6.3"\n- (0010,0030)\n'}, ["anonymisation"]),
        ({"anonymization": ""}, ["whether it is used"]),
    ],
)
def test_what_differs_is_changed_and_nothing_else(stand_in: StandIn, changes: dict[str, Any], said: list[str]) -> None:
    set_up(stand_in)
    assert set_up(stand_in, **changes) == said
    assert set_up(stand_in, **changes) == []


def test_what_is_the_operators_own_stays(stand_in: StandIn) -> None:
    with stand_in.state.change() as document:
        document["pacs"].append({"id": 77, "aeTitle": "ARCHIVE", "label": "archive", "host": "a"})
        document["receivers"].append({"id": 78, "aeTitle": "RESEARCH", "port": 8105, "enabled": True})
    set_up(stand_in)
    assert {item["aeTitle"] for item in stand_in.state.document["pacs"]} == {"ARCHIVE", "PACS"}
    assert {item["aeTitle"] for item in stand_in.state.document["receivers"]} == {"RESEARCH", "XNAT"}


def test_a_password_that_is_not_admins_is_tried_twice_and_not_told(stand_in: StandIn) -> None:
    set_up(stand_in)
    stand_in.calls.clear()
    with pytest.raises(rest.SiteError, match="secrets/xnat_admin") as raised:
        set_up(stand_in, admin_password="a-wrong-one-for-admin")
    assert "a-wrong-one" not in str(raised.value)
    assert [path for _, path in stand_in.calls] == ["/xapi/siteConfig"] * 2


def test_an_image_without_the_plugin_is_named(stand_in: StandIn) -> None:
    stand_in.faults.append(("GET", "/xapi/dqr/settings", 404))
    with pytest.raises(rest.SiteError, match="is it among the image's plugins"):
        set_up(stand_in)
    assert set_up(stand_in), "and the next run goes on"


def test_a_refused_change_is_an_error_that_says_which(stand_in: StandIn) -> None:
    with pytest.raises(rest.SiteError, match=r"400 to PUT /xapi/anonymize/site \(anonymisation\)"):
        set_up(stand_in, anonymization="nonsense")


def test_an_xnat_that_is_just_being_started_is_waited_for(tmp_path: Path) -> None:
    server = StandIn(tmp_path / "xnat")
    server.dimse.listen = lambda: None  # type: ignore[method-assign]
    port, server_listener = server.port, server._listener
    server_listener.close()
    late = Timer(1.5, lambda: started.append(_start(tmp_path, port)))
    started: list[StandIn] = []
    late.start()
    try:
        assert set_up(server, wait_seconds=30)
    finally:
        late.join()
        started[0].stop()


def _start(folder: Path, port: int) -> StandIn:
    server = StandIn(folder / "xnat", port=port)
    server.dimse.listen = lambda: None  # type: ignore[method-assign]
    server.start()
    return server


def test_an_xnat_that_is_away_is_another_error(stand_in: StandIn) -> None:
    with pytest.raises(rest.SiteAwayError, match="does not answer at http://127"):
        set_up(stand_in, url="http://127.0.0.1:9")
