"""The stand-in as a server: sign-in, sessions, and the life of what runs behind the routes."""

import base64
import json
import re
import secrets
import socket
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from xnat_stand_in.archive import Archive
from xnat_stand_in.dimse import Dimse
from xnat_stand_in.state import FileStorage, PostgresStorage, State

LOCK_AFTER = 20
OPEN_BEFORE_SET_UP = ("/data/JSESSION", "/xapi/siteConfig", "/xapi/users")
Handler = Callable[["StandIn", "Call"], Response]


class Call:
    """A request as the routes see it: whose, with which body."""

    def __init__(self, request: Request, user: str, body: bytes) -> None:
        self.user, self.body, self.query = user, body, request.query_params
        self.path: dict[str, str] = dict(request.path_params)
        self.method, self.url = request.method, request.url.path

    def json(self) -> Any:
        return json.loads(self.body)


class StandIn:
    """XNAT's stand-in. `faults` are answers that tests put before the real ones: (method, pattern of path) -> list."""

    def __init__(
        self,
        root: Path,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        properties: Path | None = None,
        tls: tuple[Path, Path] | None = None,
    ) -> None:
        from xnat_stand_in import data, xapi

        root.mkdir(parents=True, exist_ok=True)
        self.state = State(PostgresStorage(properties) if properties else FileStorage(root / "state.json"))
        self.archive = Archive(root, self.state)
        self.dimse = Dimse(self.state, self.archive, host)
        self.sessions: dict[str, str] = {}
        self.failures: dict[str, int] = {}
        self.faults: list[tuple[str, str, int]] = []
        self.calls: list[tuple[str, str]] = []
        routes = [self._route(*item) for item in (*data.ROUTES, *xapi.ROUTES)]
        routes += [
            Route("/app/template/Login.vm", lambda _: HTMLResponse("<html>XNAT</html>")),
            Route("/setup", lambda _: HTMLResponse("<html>set XNAT up</html>")),
        ]
        self._listener = socket.create_server((host, port))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"https://localhost:{self.port}" if tls else f"http://127.0.0.1:{self.port}"
        config = uvicorn.Config(
            Starlette(routes=routes),
            log_level="warning",
            ws="none",
            ssl_certfile=tls[0] if tls else None,
            ssl_keyfile=tls[1] if tls else None,
        )
        self._server = uvicorn.Server(config)
        self._thread = Thread(target=self._server.run, kwargs={"sockets": [self._listener]}, daemon=True)

    def start(self) -> None:
        self.dimse.start()
        self._thread.start()
        deadline = time.monotonic() + 20
        while not self._server.started:
            assert time.monotonic() < deadline, "the stand-in does not start"
            time.sleep(0.01)

    def wait(self) -> None:
        """Until it is told to stop."""
        self._thread.join()

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._listener.close()
        self.dimse.stop()

    def _route(self, methods: str, path: str, handler: Handler) -> Route:
        return Route(path, partial(self._answer, handler), methods=methods.split())

    async def _answer(self, handler: Handler, request: Request) -> Response:
        body = await request.body()
        return await run_in_threadpool(self._work, handler, request, body)

    def _work(self, handler: Handler, request: Request, body: bytes) -> Response:
        self.calls.append((request.method, request.url.path))
        for fault in self.faults:
            if fault[0] == request.method and re.search(fault[1], request.url.path):
                self.faults.remove(fault)
                if fault[2] == 401:  # the session ended
                    self.sessions.clear()
                return HTMLResponse("<html>fault</html>", fault[2])
        user = self._who(request)
        if user is None:
            return HTMLResponse("<html>Status page: 401</html>", 401)
        if not self.state.document["site"]["initialized"] and not request.url.path.startswith(OPEN_BEFORE_SET_UP):
            return RedirectResponse("/setup", 302)
        writes = request.method in {"POST", "PUT", "DELETE"}
        if writes and "Mozilla" in request.headers.get("user-agent", "") and "XNAT_CSRF" not in request.query_params:
            return HTMLResponse("<html>INVALID CSRF</html>", 403)
        return handler(self, Call(request, user, body))

    def _who(self, request: Request) -> str | None:
        session = self.sessions.get(request.cookies.get("JSESSIONID", ""))
        if session is not None:
            return session
        kind, _, given = request.headers.get("authorization", "").partition(" ")
        if kind != "Basic":
            return None
        name, _, password = base64.b64decode(given).decode().partition(":")
        user = self.state.document["users"].get(name)
        if user is None or not user["enabled"] or self.failures.get(name, 0) >= LOCK_AFTER:
            return None
        if not password or user["password"] != password:
            self.failures[name] = self.failures.get(name, 0) + 1
            return None
        self.failures.pop(name, None)
        return name

    def sign_in(self, user: str) -> str:
        token = secrets.token_hex(16).upper()
        self.sessions[token] = user
        return token

    def has_role(self, user: str, *roles: str) -> bool:
        return bool(set(roles) & set(self.state.document["users"][user]["roles"]))


def listing(rows: list[dict[str, Any]]) -> Response:
    return JSONResponse({"ResultSet": {"Result": rows, "totalRecords": str(len(rows))}})


def missing(what: str = "") -> Response:
    return HTMLResponse(f"<html>{what} not found</html>", 404)


def done(text: str = "", status: int = 200) -> Response:
    return PlainTextResponse(text, status)
