"""Runs the hub's two applications in one process until a signal says stop."""

import asyncio
import logging
import resource
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import uvicorn
import uvloop

from flip_hub.app import create_app, create_internal_app, open_hub
from flip_hub.settings import HubSettings

GRACE_SECONDS = 10
"""What requests under way are given to finish; long polls end at once."""

log = logging.getLogger(__name__)


class ServeError(RuntimeError):
    """The hub cannot serve as asked; the text says why."""


@dataclass(frozen=True)
class Address:
    """Where to listen. Port 0 lets the system choose."""

    host: str
    port: int


@dataclass(frozen=True)
class Tls:
    """Certificate chain and key of the public API, PEM files."""

    certificate: Path
    key: Path


def serve(
    settings: HubSettings,
    public: Address,
    internal: Address,
    tls: Tls | None = None,
    trusted_proxies: str = "127.0.0.1",
) -> None:
    """Serves until SIGTERM or SIGINT.

    Raises:
        ServeError: an address cannot be had, or the TLS files cannot be used.
    """
    _allow_many_connections()
    with (
        _listening(public) as outer,
        _listening(internal) as inner,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(_serve(settings, outer, inner, tls, trusted_proxies))


async def _serve(
    settings: HubSettings, public: socket.socket, internal: socket.socket, tls: Tls | None, trusted_proxies: str
) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with open_hub(settings) as hub:
        outer = _Server(_config(create_app(hub), tls, trusted_proxies, settings.hub_keep_alive_seconds))
        inner = _Server(_config(create_internal_app(hub), None, ""))

        async def run(server: _Server, sock: socket.socket) -> None:
            try:
                await server.serve(sockets=[sock])
            finally:
                stop.set()

        async with asyncio.TaskGroup() as group:
            group.create_task(run(outer, public))
            group.create_task(run(inner, internal))
            for ready in (outer.ready, inner.ready):
                await _first(ready, stop)
            if not stop.is_set():
                log.info("public API on %s, internal API on %s", _name(public), _name(internal))
            await stop.wait()
            log.info("stopping")
            hub.bus.stop_waiting()
            outer.should_exit = inner.should_exit = True


class _Server(uvicorn.Server):  # type: ignore[misc] # uvicorn is skipped by mypy here, so its classes are Any
    """Says when it is ready, and leaves signals to the process: there are two servers in it."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()


async def _first(*events: asyncio.Event) -> None:
    waits = [asyncio.create_task(event.wait()) for event in events]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()


def _config(app: object, tls: Tls | None, trusted_proxies: str, keep_alive_seconds: int = 5) -> uvicorn.Config:
    config = uvicorn.Config(
        app,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(trusted_proxies),
        forwarded_allow_ips=trusted_proxies,
        timeout_graceful_shutdown=GRACE_SECONDS,
        timeout_keep_alive=keep_alive_seconds,
        ssl_certfile=tls.certificate if tls else None,
        ssl_keyfile=tls.key if tls else None,
    )
    try:
        config.load()
    except OSError as error:  # ssl.SSLError is one
        raise ServeError(f"TLS certificate or key cannot be used ({type(error).__name__}: {error})") from None
    return config


@contextmanager
def _listening(address: Address) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((address.host, address.port))
        except OSError as error:
            raise ServeError(f"cannot listen on {address.host}:{address.port}: {error.strerror}") from None
        yield sock


def _name(sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    return f"{host}:{port}"


def _allow_many_connections() -> None:
    """Every waiting trust is an open connection, and the usual soft limit is 1,024 files."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
