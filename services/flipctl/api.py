"""A caller of the hub's public API; verbs and the demo's people have nothing else."""

import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import httpx
import typer

HubCaFile = Annotated[
    Path | None,
    typer.Option("--ca", help="The only CA (PEM) trusted for the hub, if not the system's.", envvar="HUB_CA_FILE"),
]

POLL_SECONDS = 0.25
T = TypeVar("T")


class ApiError(RuntimeError):
    """The hub refused; the text holds its problem document's detail."""


def hub_tls(ca: Path | None) -> ssl.SSLContext:
    """How the hub's certificate is checked: against `ca` alone, or the system's authorities.

    Raises:
        ApiError: the file cannot be used.
    """
    try:
        return ssl.create_default_context(cafile=ca)
    except OSError as error:  # ssl.SSLError is one
        raise ApiError(f"--ca {ca}: cannot be used ({error}); name a PEM file with the hub's CA") from None


class Api:
    """One signed-in user of the hub; close it, or use it as a context manager.

    Every method raises ApiError when the hub answers with a problem, with its code and detail.
    """

    def __init__(self, base_url: str, token: str | None = None, ca: Path | None = None) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.http = httpx.Client(base_url=base_url, headers=headers, verify=hub_tls(ca), timeout=120, trust_env=False)

    @classmethod
    def sign_in(cls, base_url: str, email: str, password: str, ca: Path | None = None) -> "Api":
        """Signs in with a local account. `ca`: a PEM file with the only authority trusted for the hub."""
        with cls(base_url, ca=ca) as stranger:
            answer = stranger.post("/auth/sign-in", {"email": email, "password": password})
        return cls(base_url, answer["token"], ca)

    @classmethod
    def sign_in_by_token(cls, base_url: str, email: str, id_token: str, ca: Path | None = None) -> "Api":
        """Signs in with an ID token of the hub's identity provider, which must be the user's with this address."""
        with cls(base_url, ca=ca) as stranger:
            answer = stranger.post("/auth/oidc", {"id_token": id_token})
        return cls(base_url, answer["token"], ca).of(email, "the ID token")

    def of(self, email: str, what: str) -> "Api":
        """This session, which `what` opened, if it is the user's with this address; else it is closed."""
        try:
            who = self.get("/auth/me")["email"]
            if who != email.lower():
                raise ApiError(f"{what} is {who}'s, and --email says {email}; name the same user in both")
        except BaseException:
            self.close()
            raise
        return self

    def __enter__(self) -> "Api":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        self.http.close()

    def get(self, path: str, **params: Any) -> Any:
        """GET, parsed."""
        return _parsed(self.http.get(path, params=params))

    def post(self, path: str, body: Any = None) -> Any:
        """POST of a JSON body, parsed."""
        return _parsed(self.http.post(path, json=body))

    def put(self, path: str, body: Any) -> Any:
        """PUT of a JSON body, parsed."""
        return _parsed(self.http.put(path, json=body))

    def delete(self, path: str) -> Any:
        """DELETE, parsed."""
        return _parsed(self.http.delete(path))

    def put_file(self, path: str, content: bytes) -> Any:
        """PUT of raw bytes, parsed."""
        return _parsed(self.http.put(path, content=content, headers={"Content-Type": "application/zip"}))

    def download(self, path: str, to: Path) -> Path:
        """GET of a file, streamed to disk."""
        to.parent.mkdir(parents=True, exist_ok=True)
        with self.http.stream("GET", path) as answer:
            if answer.is_error:
                answer.read()
                _parsed(answer)
            with to.open("wb") as file:
                for chunk in answer.iter_bytes():
                    file.write(chunk)
        return to


def _parsed(answer: httpx.Response) -> Any:
    if answer.is_error:
        where = f"{answer.request.method} {answer.request.url.path}"
        try:
            problem = answer.json()
        except ValueError:
            raise ApiError(f"{where}: HTTP {answer.status_code}") from None
        raise ApiError(f"{where}: {problem.get('code')}: {problem.get('detail')}")
    return answer.json() if answer.content else None


def wait_for(what: str, look: Callable[[], T | None], seconds: float, pause: float = POLL_SECONDS) -> T:
    """Looks again and again, `pause` seconds apart, until there is something to see.

    Raises:
        TimeoutError: nothing within `seconds`.
    """
    deadline = time.monotonic() + seconds
    while True:
        seen = look()
        if seen is not None:
            return seen
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds:.0f} s")
        time.sleep(pause)
