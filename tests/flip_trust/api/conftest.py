"""A hub, a site, and trust-api between them, in this process or in one of its own."""

import asyncio
import importlib.util
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from flip_common.wire import SiteKey
from flip_trust.api.__main__ import serve
from flip_trust.api.settings import TrustApiSettings


def _load_standins() -> ModuleType:
    # Test folders are no packages (import mode importlib): the helper module is loaded by its place.
    name = "trust_api_standins"
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name("standins.py"))
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


standins: Any = _load_standins()


@pytest.fixture
def hub() -> Iterator[Any]:
    hub = standins.Hub()
    hub.server.start()
    yield hub
    hub.server.stop()


@pytest.fixture
def site() -> Iterator[Any]:
    site = standins.Site()
    site.server.start()
    yield site
    site.hold = False
    site.server.stop()


@dataclass
class Running:
    """trust-api in this process."""

    task: "asyncio.Task[None]"
    stop: asyncio.Event
    url: str

    async def stopped(self) -> None:
        self.stop.set()
        await asyncio.wait_for(self.task, standins.PATIENCE)


Start = Callable[..., Awaitable[Running]]


@pytest.fixture
async def start(hub: Any, site: Any, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Start]:
    """Starts trust-api in this process; settings by name change the usual ones."""
    async with AsyncExitStack() as stack:

        async def start_one(fl_key: SiteKey | None = None, **changed: str) -> Running:
            for name, value in standins.environment(hub, site, **changed).items():
                monkeypatch.setenv(name, value)
            listener = socket.create_server(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            stop = asyncio.Event()
            task = asyncio.create_task(serve(TrustApiSettings.load(), fl_key, listener, stop))
            await stack.enter_async_context(standins.cancelled_at_end(task))
            return Running(task, stop, url)

        yield start_one


class Process:
    """trust-api in a process of its own, its log in a file."""

    def __init__(self, environment: dict[str, str], log: Path, port: int) -> None:
        self.log_path = log
        inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        with log.open("ab") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-W", "error", "-m", "flip_trust.api", "--port", str(port)],
                env=inherited | environment,
                stdout=file,
                stderr=file,
            )

    @property
    def log(self) -> str:
        return self.log_path.read_text()

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def status(self) -> int:
        return await asyncio.to_thread(self._process.wait, standins.PATIENCE)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture
def spawn(hub: Any, site: Any, tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Starts trust-api as a process; settings by name change the usual ones."""
    processes: list[Process] = []

    def spawn_one(port: int = 0, **changed: str) -> Process:
        process = Process(standins.environment(hub, site, **changed), tmp_path / f"log{len(processes)}", port)
        processes.append(process)
        return process

    yield spawn_one
    for process in processes:
        process.kill()
