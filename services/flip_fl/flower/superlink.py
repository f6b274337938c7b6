"""Runs the SuperLink with two listeners: one on loopback for the hub, and the front for the trusts.

The SuperLink's Control API knows no credential, so a trust must never reach it. The front answers the paths a
SuperNode needs and nothing else; the loopback listener asks for a key on every Control call, since the app of a
researcher runs on this machine too. Both end in the same ASGI application: nothing is copied or buffered between.

Started by the FL API; settings by environment because the command line is public: FLIP_CONTROL_KEY.
"""

import asyncio
import hmac
import os
import signal
import ssl
from pathlib import Path
from typing import Annotated, Literal

import typer
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from flip_fl.command import run_command
from flip_fl.flower import internals
from flip_fl.flower.files import Rosters
from flip_fl.processes import end_with_parent

CONTROL_KEY_HEADER = "x-flip-control-key"
CONTROL_KEY_VARIABLE = "FLIP_CONTROL_KEY"


class FleetOnly:
    """ASGI middleware: passes POSTs to exactly the given paths; everything else is 404, whatever it is called.

    The path is compared as it came over the wire, before any decoding or normalising, so there is no second
    spelling of a path that could mean another one further in.
    """

    def __init__(self, app: ASGIApp, paths: frozenset[str]) -> None:
        self._app, self._paths = app, frozenset(path.encode() for path in paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raw = scope.get("raw_path") or b""
        allowed = scope["type"] == "http" and scope["method"] == "POST" and raw in self._paths
        if allowed and scope["path"].encode() == raw:
            await self._app(scope, receive, send)
        else:
            await _not_found(scope, send)


class HubOnly:
    """ASGI middleware of the loopback listener: Control with the key, Runtime (which has tokens of its own)."""

    def __init__(self, app: ASGIApp, key: str) -> None:
        self._app, self._key = app, key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        path = scope.get("path", "")
        given = dict(scope.get("headers", ())).get(CONTROL_KEY_HEADER.encode(), b"")
        control = path.startswith("/v1/control/") and hmac.compare_digest(given, self._key)
        if scope["type"] == "http" and (control or path.startswith("/v1/runtime/")):
            await self._app(scope, receive, send)
        else:
            await _not_found(scope, send)


async def _not_found(scope: Scope, send: Send) -> None:
    if scope["type"] != "http":
        return
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"9")]
    await send({"type": "http.response.start", "status": 404, "headers": headers})
    await send({"type": "http.response.body", "body": b"Not found"})


def _listener(
    app: ASGIApp, host: str, port: int, *, cert: Path, key: Path, lifespan: Literal["on", "off"]
) -> uvicorn.Server:
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        ssl_certfile=str(cert),
        ssl_keyfile=str(key),
        lifespan=lifespan,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=3,
    )
    config.load()
    if config.ssl is not None:
        config.ssl.minimum_version = ssl.TLSVersion.TLSv1_2
    return uvicorn.Server(config)


async def _serve(servers: list[uvicorn.Server]) -> None:
    loop = asyncio.get_running_loop()

    def stop() -> None:
        for server in servers:
            server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    # `_serve` is `serve` without its own signal handlers: there are two servers and one process.
    # The front opens when the SuperLink's own start-up is done, and closes with it.
    first = asyncio.create_task(servers[0]._serve())
    while not servers[0].started and not first.done():  # noqa: ASYNC110 - uvicorn has a flag here, no event
        await asyncio.sleep(0.05)
    rest = [asyncio.create_task(server._serve()) for server in servers[1:]]
    await asyncio.wait([first, *rest], return_when=asyncio.FIRST_COMPLETED)
    stop()
    await asyncio.gather(first, *rest)


def main(
    host: Annotated[str, typer.Option(help="Address of the front, reachable by trusts")],
    port: Annotated[int, typer.Option(help="Port of the front")],
    cert: Annotated[Path, typer.Option(help="Certificate chain of the front, PEM")],
    key: Annotated[Path, typer.Option(help="Key of the front, PEM")],
    internal_port: Annotated[int, typer.Option(help="Port on 127.0.0.1 for the hub")],
    internal_certificates: Annotated[Path, typer.Option(help="Folder with ca.crt, server.crt, server.key")],
    database: Annotated[Path, typer.Option(help="SQLite file with the SuperLink's state")],
    rosters: Annotated[Path, typer.Option(help="Folder with the rosters of jobs")],
    superexec_secret: Annotated[Path, typer.Option(help="Secret file shared with the SuperExec")],
) -> None:
    """Runs the SuperLink. Started by `python -m flip_fl`, not by hand."""
    end_with_parent()
    internals.configure_flower("flip-superlink")
    jobs = Rosters(rosters)

    def trusts_of(federation_id: str) -> frozenset[str] | None:
        roster = jobs.get(federation_id)
        return roster.trusts if roster else None

    folder = internal_certificates
    arguments = [
        f"--ssl-ca-certfile={folder / 'ca.crt'}",
        f"--ssl-certfile={folder / 'server.crt'}",
        f"--ssl-keyfile={folder / 'server.key'}",
        "--host=127.0.0.1",
        f"--port={internal_port}",
        "--enable-supernode-auth",
        f"--database={database}",
        "--isolation=process",
        "--disable-runtime-dependency-installation",
        f"--superexec-auth-secret-file={superexec_secret}",
    ]
    control_key = os.environ.pop(CONTROL_KEY_VARIABLE)
    app = internals.superlink_app(arguments, internals.make_federation_manager(trusts_of))
    inside = _listener(
        HubOnly(app, control_key),
        "127.0.0.1",
        internal_port,
        cert=folder / "server.crt",
        key=folder / "server.key",
        lifespan="on",
    )
    front = _listener(FleetOnly(app, internals.fleet_paths()), host, port, cert=cert, key=key, lifespan="off")
    asyncio.run(_serve([inside, front]))


if __name__ == "__main__":
    run_command(main)
