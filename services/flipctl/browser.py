"""An ID token by the browser: authorization code with PKCE for programs on one's own machine (RFC 8252, RFC 7636)."""

import base64
import hashlib
import json
import queue
import secrets
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx

from flipctl.api import ApiError

PORT = 8765
"""Where the browser brings the answer. Identity providers want to know the address beforehand, so it is always this."""
CALLBACK = f"http://localhost:{PORT}/callback"
WAIT_SECONDS = 300.0
PAGE = "<!doctype html><title>FLIP</title><p>{}</p>"


def new_id_token(
    issuer: str, client_id: str, email: str, show: Callable[[str], None], *, plain_http: bool = False
) -> str:
    """Lets the issuer sign somebody in, in the browser; answers with the ID token, which nobody has checked yet.

    Args:
        issuer: OpenID Connect issuer, as the hub names it.
        client_id: The hub's client at the issuer, a public one; `CALLBACK` must be among its redirect addresses.
        email: Who is asked to sign in.
        show: Takes the address to open, for whoever has to open it by hand.
        plain_http: Whether an issuer without TLS will do: for a hub on this machine.

    Raises:
        ApiError: the issuer refused or does not answer, the port is taken, or nobody signed in within `WAIT_SECONDS`.
    """
    try:
        endpoints = _discover(issuer, {"https", "http"} if plain_http else {"https"})
        verifier, nonce, state = (secrets.token_urlsafe(48) for _ in range(3))
        asked = {
            "response_type": "code",
            "client_id": client_id,
            "redirect_uri": CALLBACK,
            "scope": "openid email",
            "state": state,
            "nonce": nonce,
            "code_challenge": _base64url(hashlib.sha256(verifier.encode()).digest()),
            "code_challenge_method": "S256",
            "login_hint": email,
        }
        with _callback() as answers:
            url = str(httpx.URL(endpoints["authorization_endpoint"]).copy_merge_params(asked))
            show(url)
            webbrowser.open(url)
            answer = _wait(answers, state)
        if "code" in answer:
            kept = {"client_id": client_id, "redirect_uri": CALLBACK, "code_verifier": verifier}
            sent = {"grant_type": "authorization_code", "code": answer["code"], **kept}
            answer = _object(httpx.post(endpoints["token_endpoint"], data=sent, timeout=30).content)
    except httpx.HTTPError as error:
        raise ApiError(f"{issuer} cannot be reached: {error}") from None
    if "error" in answer:
        raise ApiError(f"{issuer} refuses: {answer['error']} {answer.get('error_description', '')}".rstrip())
    id_token = answer.get("id_token")
    if not isinstance(id_token, str) or _claims(id_token).get("nonce") != nonce:
        raise ApiError(f"{issuer} answers with no ID token of this sign-in; try again")
    return id_token


def _discover(issuer: str, schemes: set[str]) -> dict[str, str]:
    address = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
    if urlsplit(issuer).scheme not in schemes:
        raise ApiError(f"the hub's identity provider is {issuer}, not https; ask the hub's engineer")
    document = _object(httpx.get(address, timeout=30).content)
    if document.get("issuer") != issuer:
        raise ApiError(f"{address} is no discovery document of {issuer}; ask the hub's engineer")
    found = {}
    for name in ("authorization_endpoint", "token_endpoint"):
        found[name] = str(document.get(name))
        if urlsplit(found[name]).scheme not in schemes:
            raise ApiError(f"{address}: {name} is {document.get(name)!r}, not https")
    return found


@contextmanager
def _callback() -> Iterator["queue.Queue[str]"]:
    """What browsers call on `CALLBACK` until the block ends."""
    answers: queue.Queue[str] = queue.Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            ours = urlsplit(self.path).path == urlsplit(CALLBACK).path
            page = PAGE.format("Go back to the command line; this page has done its work." if ours else "Nothing here.")
            self.send_response(200 if ours else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(page)))
            self.send_header("Referrer-Policy", "no-referrer")
            self.end_headers()
            self.wfile.write(page.encode())
            if ours:
                answers.put(f"http://localhost:{PORT}{self.path}")

        def log_message(self, *_: object) -> None:
            """Says nothing: the code is in the path."""

    try:
        server = ThreadingHTTPServer(("127.0.0.1", PORT), Handler)
    except OSError as error:
        raise ApiError(f"port {PORT} of this machine cannot be had for the browser's answer: {error}") from None
    server.daemon_threads = True  # browsers keep connections open that they never use
    with server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        thread.start()
        try:
            yield answers
        finally:
            server.shutdown()
            thread.join()


def _wait(answers: "queue.Queue[str]", state: str) -> dict[str, Any]:
    while True:
        try:
            answer = dict(parse_qsl(urlsplit(answers.get(timeout=WAIT_SECONDS)).query))
        except queue.Empty:
            raise ApiError(f"nobody signed in within {WAIT_SECONDS / 60:.0f} minutes") from None
        # Any page can send a browser here; only the issuer's answer knows the state.
        if answer.get("state") == state:
            return answer


def _claims(token: str) -> dict[str, Any]:
    """What the token says; it came over TLS from the issuer itself, and the hub checks its signature."""
    part = token.split(".")[1:2] or [""]
    try:
        return _object(base64.urlsafe_b64decode(part[0] + "=" * (-len(part[0]) % 4)))
    except ValueError:
        return {}


def _object(content: bytes) -> dict[str, Any]:
    """The JSON object in an answer, of an error, too; empty where there is none."""
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")
