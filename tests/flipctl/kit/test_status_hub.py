"""`flipctl status --hub`: the federation as a real hub tells it."""

import json
from typing import Any, cast

import pytest

from flipctl import envfile
from flipctl.api import Api
from flipctl.status.hub import look

EMAIL, PASSWORD = "ada@example.org", "correct horse battery"
TRUST = {
    "trust_id": "1",
    "name": "Trust_9",
    "enabled": True,
    "online": True,
    "last_heartbeat_at": "2026-01-01T00:00:00Z",
    "clock_skew_seconds": 0.1,
    "release": "1",
    "services": {"data-access-api": True},
    "tasks_running": 0,
    "fl_key_registered": True,
    "keys": [{"key_id": "k", "created_at": "2026-01-01T00:00:00Z", "first_used_at": "2026-01-02", "retired_at": None}],
}
NET = {"name": "net1", "reachable": True, "problem": "", "sites": [{"trust": "Trust_9", "online": True}]}
UNUSED = {"key_id": "u", "created_at": "2026-02-01T00:00:00Z", "first_used_at": None, "retired_at": None}


def ask(flipctl: Any, hub: str, *options: object) -> Any:
    return flipctl("status", "--hub", hub, "--email", EMAIL, *options, env={"FLIP_PASSWORD": PASSWORD})


def told(flipctl: Any, hub: str) -> list[tuple[str, str]]:
    """Verdict and finding of each row about Status_1."""
    done = ask(flipctl, hub, "--json")
    assert done.status == 1
    return [(row["verdict"], row["found"]) for row in json.loads(done.stdout)["findings"] if row["check"] == "Status_1"]


def test_a_trust_from_registered_to_online(real_hub: Any, flipctl: Any, tmp_path: Any) -> None:
    kit = tmp_path / "kit.env"
    register = ("trust", "register", "Status_1", "--hub", real_hub.api, "--email", EMAIL, "--kit", kit)
    assert flipctl(*register, env={"FLIP_PASSWORD": PASSWORD}).status == 0
    done = ask(flipctl, real_hub.api, "--json")
    assert done.status == 1
    assert [row["found"] for row in json.loads(done.stdout)["findings"] if row["check"] == "Status_1"] == [
        "never heard of"
    ]
    given = envfile.read(kit)
    assert real_hub.heartbeat(given["TRUST_API_KEY_HEADER"], given["TRUST_API_KEY"]).status_code == 200
    (row,) = [
        row for row in json.loads(ask(flipctl, real_hub.api, "--json").stdout)["findings"] if row["check"] == "Status_1"
    ]
    assert (row["verdict"], row["found"]) == ("fault", "it sent no FL key")
    shown = ask(flipctl, real_hub.api)
    assert "Status_1" in shown.output
    assert PASSWORD not in shown.output


def test_a_hub_behind_a_private_ca(tls_hub: tuple[str, Any], flipctl: Any) -> None:
    url, ca = tls_hub
    assert ask(flipctl, url).status == 1
    assert "certificate" in ask(flipctl, url).output.lower()
    assert ask(flipctl, url, "--ca", ca).status == 0


def test_the_hub_wants_a_name(flipctl: Any) -> None:
    done = flipctl("status", "--hub", "https://hub.example.org/api")
    assert (done.status, "--email" in done.output) == (2, True)


class Told:
    """A hub that answers what a test says; pages are empty from the second on."""

    def __init__(self, trust: dict[str, Any], net: dict[str, Any], models: list[dict[str, Any]]) -> None:
        self._answers = {
            "/trusts": [trust],
            "/trusts/1/keys": trust["keys"],
            "/nets": [net],
            "/projects": [{"id": "p", "name": "Brains"}],
            "/projects/p/models": models,
        }

    def get(self, path: str, limit: int = 0, offset: int = 0) -> Any:
        return [] if offset else self._answers[path]


def findings(trust: dict[str, Any] | None = None, net: dict[str, Any] | None = None) -> list[tuple[str, str]]:
    seen = look(cast(Api, Told(TRUST | (trust or {}), NET | (net or {}), [])))
    return [(row.verdict, row.found) for row in seen.findings]


@pytest.mark.parametrize(
    ("trust", "net", "expected"),
    [
        ({}, {}, []),
        ({"enabled": False, "online": False}, {}, [("warning", "disabled here: its calls are refused")]),
        ({"services": {"imaging-api": False}}, {}, [("fault", "imaging-api does not answer there")]),
        ({"clock_skew_seconds": -90.0}, {}, [("warning", "its clock is -90 s off")]),
        ({"fl_key_registered": False}, {}, [("fault", "it sent no FL key")]),
        ({}, {"sites": [{"trust": "Trust_9", "online": False}]}, [("fault", "its FL client is not in net net1")]),
        ({}, {"sites": []}, [("fault", "its FL client is not in net net1")]),
        ({}, {"reachable": False, "problem": "refused", "sites": []}, [("fault", "refused")]),
        ({"keys": [*cast(list[Any], TRUST["keys"]), TRUST["keys"][0]]}, {}, [("warning", "the older kit still works")]),  # type: ignore[index]
    ],
)
def test_what_is_wrong_is_said(trust: dict[str, Any], net: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    assert findings(trust, net) == expected


def test_a_kit_nobody_opened_is_told() -> None:
    ((verdict, found),) = findings({"keys": [*cast(list[Any], TRUST["keys"]), UNUSED]})
    assert verdict == "warning"
    assert "is not in use yet" in found


def test_models_that_run_are_listed_and_others_are_not() -> None:
    job = {"net": "net1", "round": 2, "trusts": ["Trust_9"], "created_at": "2026-01-01", "ended_at": None}
    models = [
        {"id": "a", "name": "runs", "status": "TRAINING_STARTED", "job": job},
        {"id": "b", "name": "ended", "status": "ERROR", "job": job | {"ended_at": "2026-01-02"}},
        {"id": "c", "name": "waits", "status": "PENDING", "job": None},
    ]
    (row,) = look(cast(Api, Told(TRUST, NET, models))).models
    assert (row["name"], row["project"], row["round"]) == ("runs", "Brains", 2)
