"""`flipctl hub quiesce`, at a real hub; jobs that run are played by answers."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from flipctl.api import Api
from flipctl.hub import quiesce

EMAIL, PASSWORD = "ada@example.org", "correct horse battery"


@pytest.fixture
def ask(flipctl: Any, real_hub: Any) -> Iterator[Any]:
    def run(*words: object, status: int = 0, password: str = PASSWORD) -> Any:
        verb = ("hub", "quiesce", *words, "--hub", real_hub.api, "--email", EMAIL)
        done = flipctl(*verb, env={"FLIP_PASSWORD": password})
        assert done.status == status, done.output
        return done

    yield run
    run("off")


def test_on_status_off(ask: Any, real_hub: Any) -> None:
    assert ask("status").stdout == "jobs start; 0 jobs run, 0 wait\n"
    done = ask("on", "--reason", "upgrade [1.4]", "--wait", "--json")
    state = json.loads(done.stdout)
    assert state == real_hub.get("/jobs/quiesce")
    assert (state["on"], state["by"], state["reason"], state["drained"]) == (True, EMAIL, "upgrade [1.4]", True)
    assert ask("status", "--wait").stdout == (
        f"no job starts, since {state['since']}, by {EMAIL} (upgrade [1.4]); 0 jobs run, 0 wait; drained\n"
    )
    assert ask("off").stdout == "jobs start; 0 jobs run, 0 wait\n"
    assert not real_hub.get("/jobs/quiesce")["on"]


def state(running: int, on: bool = True) -> dict[str, Any]:
    since = "2026-01-01T00:00:00Z" if on else None
    return {"on": on, "since": since, "by": EMAIL, "reason": "", "running": running, "waiting": 3} | {
        "drained": on and not running
    }


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The hub's answers from the first look on; the last one again and again."""
    monkeypatch.setattr(quiesce, "POLL_SECONDS", 0.01)

    def give(*told: dict[str, Any] | Exception) -> list[str]:
        rest, asked = list(told), list[str]()

        def get(_: Api, path: str) -> Any:
            asked.append(path)
            answer = rest.pop(0) if len(rest) > 1 else rest[0]
            if isinstance(answer, Exception):
                raise answer
            return answer

        monkeypatch.setattr(Api, "get", get)
        return asked

    return give


def test_waiting_ends_when_no_job_runs_and_bears_a_hub_that_restarts(ask: Any, answers: Any) -> None:
    asked = answers(state(2), state(1), httpx.ConnectError("gone"), state(1), state(0))
    done = ask("status", "--wait", "--json")
    assert json.loads(done.stdout)["drained"]
    assert len(asked) == 5


def test_waiting_gives_up_after_its_time(ask: Any, answers: Any) -> None:
    answers(state(2))
    done = ask("status", "--wait", "--minutes", "0.001", status=1)
    assert "2 jobs run, 3 wait" in done.stdout
    assert "2 jobs still run after 0.001 minutes" in done.output
    assert "drained" not in done.stdout
    answers(state(2))
    ask("status")  # without --wait this is no failure


def test_there_is_no_end_to_wait_for_when_somebody_turns_it_off(ask: Any, answers: Any) -> None:
    answers(state(2), state(2, on=False))
    assert "is not quiesced" in ask("status", "--wait", status=1).output


@pytest.mark.parametrize("words", [("off", "--wait"), ("off", "--reason", "x"), ("status", "--reason", "x"), ("up",)])
def test_what_makes_no_sense_is_refused_before_anybody_is_asked(ask: Any, words: tuple[str, ...]) -> None:
    ask(*words, status=2, password="")


def test_a_wrong_password_is_told(ask: Any) -> None:
    assert "wrong_credentials" in ask("on", status=1, password="wrong horse battery").output


def test_an_id_token_signs_in_at_a_hub_without_passwords(flipctl: Any, oidc_hub: Any) -> None:
    api, issuer = oidc_hub
    verb = ("hub", "quiesce", "status", "--hub", api, "--email")
    refused = flipctl(*verb, EMAIL, env={"FLIP_PASSWORD": PASSWORD})
    assert (refused.status, "local_passwords_off" in refused.output) == (1, True)
    done = flipctl(*verb, "Ada@example.org", env={"FLIP_ID_TOKEN": issuer.token(EMAIL)})
    assert (done.status, done.stdout) == (0, "jobs start; 0 jobs run, 0 wait\n")
    another = flipctl(*verb, "eve@example.org", env={"FLIP_ID_TOKEN": issuer.token(EMAIL)})
    assert another.status == 1
    assert f"the ID token is {EMAIL}'s, and --email says eve@example.org" in another.output
    token = issuer.token(EMAIL, aud="another")
    bad = flipctl(*verb, EMAIL, env={"FLIP_ID_TOKEN": token})
    assert (bad.status, "wrong_credentials" in bad.output, token in bad.output) == (1, True, False)
