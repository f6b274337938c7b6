"""`flipctl sign-in` at real hubs; the browser is played by calls over HTTP."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from flipctl import browser
from flipctl.api import Api

EMAIL, PASSWORD = "ada@example.org", "correct horse battery"


@pytest.fixture
def issuer(oidc_hub: Any) -> Iterator[Any]:
    issuer = oidc_hub[1]
    yield issuer
    issuer.refusal, issuer.claims_changes, issuer.documents = "", {}, {}


@pytest.fixture
def sign_in(flipctl: Any, oidc_hub: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs the verb; `visit` is what the browser does with the address it is given."""
    monkeypatch.setattr(browser, "WAIT_SECONDS", 20.0)

    def run(*options: str, visit: Any = None, email: str = EMAIL) -> Any:
        def follow(url: str) -> None:
            # Others call first, and a browser holds a connection on which it says nothing.
            with socket.create_connection(("127.0.0.1", browser.PORT)), httpx.Client(trust_env=False, timeout=60) as b:
                assert b.get(f"http://localhost:{browser.PORT}/favicon.ico").status_code == 404
                b.get(f"{browser.CALLBACK}?code=forged&state=guessed")
                answer = b.get(url, follow_redirects=True)
            assert (answer.status_code, "Go back to the command line" in answer.text) == (200, True)

        seen: list[threading.Thread] = []

        def opened(url: str) -> bool:
            seen.append(threading.Thread(target=visit or follow, args=(url,), daemon=True))
            seen[-1].start()
            return True

        monkeypatch.setattr("webbrowser.open", opened)
        done = flipctl("sign-in", "--hub", oidc_hub[0], "--email", email, *options)
        for thread in seen:
            thread.join(60)
        return done

    return run


def who(api: str, token: str) -> Any:
    with Api(api, token) as caller:
        return caller.get("/auth/me")["email"]


def test_the_browser_signs_in_and_other_verbs_use_the_session(
    sign_in: Any, issuer: Any, oidc_hub: Any, flipctl: Any
) -> None:
    done = sign_in()
    assert done.status == 0, done.output
    token = done.stdout.strip()
    assert who(oidc_hub[0], token) == EMAIL
    assert f"ssh -L {browser.PORT}:localhost:{browser.PORT}" in done.output
    assert "code=" not in done.output
    verb = ("hub", "quiesce", "status", "--hub", oidc_hub[0], "--email")
    assert flipctl(*verb, EMAIL, env={"FLIP_TOKEN": token}).stdout == "jobs start; 0 jobs run, 0 wait\n"
    other = flipctl(*verb, "eve@example.org", env={"FLIP_TOKEN": token})
    assert (other.status, f"FLIP_TOKEN is {EMAIL}'s, and --email says eve@" in other.output) == (1, True)
    ended = flipctl(*verb, EMAIL, env={"FLIP_TOKEN": "flip_ended"})
    assert (ended.status, "for a new FLIP_TOKEN: flipctl sign-in" in ended.output) == (1, True)


def test_a_verb_signs_in_by_itself_and_with_json_the_token_is_in_a_document(sign_in: Any, oidc_hub: Any) -> None:
    token = json.loads(sign_in("--json").stdout)["token"]
    assert who(oidc_hub[0], token) == EMAIL


def test_at_a_hub_with_passwords_one_is_asked_for(flipctl: Any, real_hub: Any) -> None:
    asked = flipctl("sign-in", "--hub", real_hub.api, "--email", EMAIL, input=f"{PASSWORD}\n")
    assert who(real_hub.api, asked.stdout.split()[-1]) == EMAIL
    given = flipctl("sign-in", "--hub", real_hub.api, "--email", EMAIL, env={"FLIP_PASSWORD": PASSWORD})
    assert who(real_hub.api, given.stdout.strip()) == EMAIL
    wrong = flipctl("sign-in", "--hub", real_hub.api, "--email", EMAIL, env={"FLIP_PASSWORD": "wrong horse battery"})
    assert (wrong.status, wrong.stdout, "wrong_credentials" in wrong.output) == (1, "", True)


def test_what_the_identity_provider_refuses_is_told(sign_in: Any, issuer: Any) -> None:
    issuer.refusal = "access_denied"
    refused = sign_in()
    assert (refused.status, refused.stdout, "access_denied" in refused.output) == (1, "", True)
    issuer.refusal, issuer.claims_changes = "", {"nonce": "of-another-sign-in"}
    assert "no ID token of this sign-in" in sign_in().output
    issuer.claims_changes = {"email_verified": False}
    assert "wrong_credentials" in sign_in().output


def test_nobody_signs_in(sign_in: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browser, "WAIT_SECONDS", 0.3)
    begun = time.monotonic()
    assert "nobody signed in within" in sign_in(visit=lambda _: None).output
    assert time.monotonic() - begun < 10


def test_a_port_that_is_taken_is_named(sign_in: Any) -> None:
    with socket.create_server(("127.0.0.1", browser.PORT)):
        assert f"port {browser.PORT} of this machine cannot be had" in sign_in().output


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"issuer": "https://another.example.org"}, "is no discovery document of"),
        ({"token_endpoint": "ftp://example.org/token"}, "token_endpoint is 'ftp://example.org/token', not https"),
        ({"authorization_endpoint": None}, "authorization_endpoint is None, not https"),
    ],
)
def test_a_discovery_document_that_will_not_do(sign_in: Any, issuer: Any, changes: dict[str, Any], told: str) -> None:
    path = "/pool/.well-known/openid-configuration"
    issuer.documents = {path: {**issuer.answer(path), **changes}}
    assert told in sign_in().output
    issuer.documents = {path: b"<html>"}
    assert "is no discovery document of" in sign_in().output


def test_a_hub_over_tls_has_an_identity_provider_over_tls() -> None:
    with pytest.raises(browser.ApiError, match=r"is http://127\.0\.0\.1:1/pool, not https"):
        browser.new_id_token("http://127.0.0.1:1/pool", "client", EMAIL, print)
