"""A site's egress point between a real client and a real server: what passes, what is written down, what ends it."""

import asyncio
import contextlib
import json
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from fl_site_parts import env_file, until
from http_proxy import http_proxy

from flip_fl import egress
from flip_fl.egress import Egress, listen
from flip_fl.ledger import Ledger
from flip_fl.settings import EgressSettings

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers with what it gets, until the end of it."""
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def after_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers once the client has said all it has to say."""
    data = await reader.read()
    writer.write(f"{len(data)} bytes".encode())
    writer.close()


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Says nothing and reads nothing until the connection is gone."""
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.Event().wait()


class Site:
    """An egress point at work."""

    def __init__(self, port: int, ledger: Path, server: asyncio.Server) -> None:
        self.port, self._ledger, self.server = port, ledger, server
        self.writers: list[asyncio.StreamWriter] = []

    def lines(self, event: str = "") -> list[dict[str, Any]]:
        """The ledger, or its lines of one event."""
        found = [json.loads(line) for line in self._ledger.read_text().splitlines()]
        return [line for line in found if not event or line["event"] == event]

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        stream = await asyncio.open_connection("127.0.0.1", self.port)
        self.writers.append(stream[1])
        return stream

    async def closed(self, number: int = 1) -> dict[str, Any]:
        """The line of the last connection that was closed."""
        await until(lambda: len(self.lines("closed")) >= number)
        return self.lines("closed")[-1]


@asynccontextmanager
async def running(tmp_path: Path, handler: Handler = echo, **more: Any) -> AsyncIterator[Site]:
    """An egress point before a server that handles connections so."""
    far: list[asyncio.StreamWriter] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far.append(writer)
        await handler(reader, writer)

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    where = server.sockets[0].getsockname()
    path = tmp_path / "ledger.jsonl"
    settings = EgressSettings(
        **{"fl_server_address": f"localhost:{where[1]}", "egress_port": 0, "egress_ledger_file": path} | more
    )
    ledger, stop = Ledger(path, settings.egress_ledger_max_bytes), asyncio.Event()
    with listen("127.0.0.1", 0) as listener:
        task = asyncio.create_task(Egress(settings, ledger).run(listener, stop))
        site = Site(listener.getsockname()[1], path, server)
        try:
            yield site
        finally:
            stop.set()
            await task
            server.close()
            ledger.close()
            for writer in (*site.writers, *far):
                writer.transport.abort()
                with contextlib.suppress(ConnectionError):
                    await writer.wait_closed()


async def test_bytes_pass_both_ways_and_are_counted(tmp_path: Path) -> None:
    async with running(tmp_path) as site:
        reader, writer = await site.connect()
        sent = bytes(range(256)) * 20_000
        writer.write(sent)
        writer.write_eof()
        assert await reader.read() == sent
        line = await site.closed()
        assert (line["bytes_out"], line["bytes_in"], line["reason"]) == (len(sent), len(sent), "ended")
        assert 0 <= line["seconds"] < 20
        (opened,) = site.lines("opened")
        assert opened["connection"] == line["connection"]
        assert (opened["client"], opened["server"]) == ("127.0.0.1", "127.0.0.1")
        writer.close()
    assert [line["event"] for line in site.lines()] == ["started", "opened", "closed", "stopped"]


async def test_the_server_may_answer_after_the_client_s_end(tmp_path: Path) -> None:
    async with running(tmp_path, after_the_end) as site:
        reader, writer = await site.connect()
        writer.write(b"x" * 1000)
        writer.write_eof()
        assert await reader.read() == b"1000 bytes"
        assert (await site.closed())["bytes_in"] == 10
        writer.close()


async def test_no_more_is_taken_than_the_server_takes(tmp_path: Path) -> None:
    async with running(tmp_path, silent, egress_idle_seconds=2) as site:
        _, writer = await site.connect()
        writer.transport.set_write_buffer_limits(high=0)
        taken = 0
        with contextlib.suppress(TimeoutError):
            while taken < 100_000_000:
                writer.write(b"x" * 1_000_000)
                await asyncio.wait_for(writer.drain(), 1)
                taken += 1_000_000
        # What is under way lies in the system's buffers.
        assert taken < 50_000_000
        writer.transport.abort()
        line = await site.closed()
        assert line["bytes_out"] < 50_000_000
        assert line["reason"] == "idle", "a stalled connection is one without a byte"


async def test_a_connection_without_a_byte_is_closed(tmp_path: Path) -> None:
    async with running(tmp_path, silent, egress_idle_seconds=0.3) as site:
        reader, writer = await site.connect()
        assert await reader.read() == b""
        assert (await site.closed())["reason"] == "idle"
        writer.close()


async def test_a_connection_with_traffic_is_not_idle(tmp_path: Path) -> None:
    async with running(tmp_path, egress_idle_seconds=0.5, egress_ledger_seconds=0.4) as site:
        reader, writer = await site.connect()
        for _ in range(10):
            writer.write(b"12345")
            assert await reader.readexactly(5) == b"12345"
            await asyncio.sleep(0.1)
        assert not site.lines("closed")
        # A long connection is written down before it ends.
        assert site.lines("continues")[0]["bytes_out"] >= 5
        writer.close()
        assert (await site.closed())["bytes_out"] == 50


async def test_a_proxy_passes_it_on(tmp_path: Path) -> None:
    with http_proxy(tmp_path / "proxy", sign_in="site:p@s/s") as proxy:
        async with running(tmp_path, egress_proxy=proxy.url) as site:
            reader, writer = await site.connect()
            sent = bytes(range(256)) * 2000
            writer.write(sent)
            assert await reader.readexactly(len(sent)) == sent
            writer.close()
            assert (await site.closed())["bytes_out"] == len(sent)
        await until(lambda: proxy.passed("CONNECT localhost:"))


@pytest.mark.parametrize(
    ("sign_in", "given", "reason"),
    [
        ("site:word", "http://127.0.0.1:", "answered 407 Proxy Authentication Required"),
        ("site:word", "http://site:drow@127.0.0.1:", "answered 407 Proxy Authentication Required"),
        ("", "http://127.0.0.1:", "answered 502 Bad Gateway"),
    ],
    ids=["no password", "another password", "no server"],
)
async def test_a_proxy_s_refusal_is_written_down(tmp_path: Path, sign_in: str, given: str, reason: str) -> None:
    with http_proxy(tmp_path / "proxy", sign_in) as proxy:
        async with running(tmp_path, egress_proxy=given + proxy.url.rpartition(":")[2]) as site:
            site.server.close()
            reader, writer = await site.connect()
            assert await reader.read() == b""
            await until(lambda: site.lines("unreachable"))
            said = site.lines("unreachable")[0]["reason"]
            assert reason in said
            assert "drow" not in said
            writer.close()


async def test_what_is_no_proxy_is_written_down(tmp_path: Path) -> None:
    async def odd(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"SSH-2.0-OpenSSH\r\n\r\n")
        writer.close()

    (tmp_path / "far").mkdir()
    async with running(tmp_path / "far", odd) as far:
        port = far.server.sockets[0].getsockname()[1]
        (tmp_path / "own").mkdir()
        async with running(tmp_path / "own", egress_proxy=f"http://127.0.0.1:{port}") as site:
            reader, writer = await site.connect()
            assert await reader.read() == b""
            await until(lambda: site.lines("unreachable"))
            assert "answered with something that is no HTTP" in site.lines("unreachable")[0]["reason"]
            writer.close()


async def test_beyond_the_limit_a_connection_waits_its_turn(tmp_path: Path) -> None:
    async with running(tmp_path, egress_max_connections=1) as site:
        _, first = await site.connect()
        first.write(b"1")
        await until(lambda: site.lines("opened"))
        reader, second = await site.connect()
        second.write(b"2")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.3)
        assert len(site.lines("opened")) == 1
        first.close()
        assert await asyncio.wait_for(reader.read(1), 5) == b"2"
        second.close()


async def test_a_server_that_is_away_is_written_down(tmp_path: Path) -> None:
    async with running(tmp_path) as site:
        site.server.close()
        reader, writer = await site.connect()
        assert await reader.read() == b""
        await until(lambda: site.lines("unreachable"))
        assert "Connect call failed" in site.lines("unreachable")[0]["reason"]
        writer.close()


async def test_a_server_that_does_not_answer_is_given_up(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, contextlib.ExitStack() as others:
        for _ in range(4):  # nobody accepts, and the backlog is full
            waiting = others.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        address = f"127.0.0.1:{full.getsockname()[1]}"
        async with running(tmp_path, fl_server_address=address, egress_connect_seconds=0.3) as site:
            reader, writer = await site.connect()
            assert await reader.read() == b""
            await until(lambda: site.lines("unreachable"))
            assert site.lines("unreachable")[0]["reason"] == "TimeoutError"
            writer.close()


async def test_the_name_is_looked_up_for_each_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loop, asked = asyncio.get_running_loop(), []
    real = loop.getaddrinfo

    async def lookup(host: str, *arguments: Any, **named: Any) -> Any:
        asked.append(host)
        return await real("127.0.0.1", *arguments, **named)

    async with running(tmp_path) as site:
        monkeypatch.setattr(loop, "getaddrinfo", lookup)
        for number in range(1, 3):
            reader, writer = await asyncio.open_connection(sock=socket.create_connection(("127.0.0.1", site.port)))
            site.writers.append(writer)
            writer.write_eof()
            await reader.read()
            await site.closed(number)
            writer.close()
    assert asked == ["localhost", "localhost"]


async def test_a_server_that_breaks_off_ends_the_connection(tmp_path: Path) -> None:
    async def breaks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        linger = (1).to_bytes(4, sys.byteorder) + (0).to_bytes(4, sys.byteorder)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()

    async with running(tmp_path, breaks) as site:
        reader, writer = await site.connect()
        writer.write(b"x")
        assert await reader.read() == b""
        line = await site.closed()
        assert "Connection reset" in line["reason"]
        assert line["bytes_out"] == 1
        writer.close()


async def test_nothing_passes_that_the_ledger_does_not_take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    got: list[bytes] = []

    async def record(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.append(await reader.read())
        writer.close()

    async with running(tmp_path, record) as site:
        await until(lambda: site.lines("started"))

        def full(*_: Any, **__: Any) -> None:
            raise OSError("No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(Ledger, "write", full)
            reader, writer = await site.connect()
            writer.write(b"patient")
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""
            writer.close()
            await until(lambda: got)
        assert got == [b""]


async def test_stopping_ends_open_connections_with_their_line(tmp_path: Path) -> None:
    async with running(tmp_path) as site:
        reader, writer = await site.connect()
        writer.write(b"abc")
        assert await reader.readexactly(3) == b"abc"
    assert (site.lines("closed")[0]["reason"], site.lines("closed")[0]["bytes_out"]) == ("stopped", 3)


def test_the_command_serves_until_sigterm(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    with socket.create_server(("127.0.0.1", 0)) as server, egress.listen("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
        free.close()
        settings = {
            "FL_SERVER_ADDRESS": f"localhost:{server.getsockname()[1]}",
            "EGRESS_PORT": str(port),
            "EGRESS_LEDGER_FILE": str(ledger),
        }
        command = [sys.executable, "-m", "flip_fl.egress", "--env-file", str(env_file(tmp_path / "env", settings))]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            assert f"listening on 127.0.0.1:{port}" in process.stderr.readline()
            with socket.create_connection(("127.0.0.1", port)) as client, server.accept()[0] as far:
                client.sendall(b"hello")
                assert far.recv(5) == b"hello"
                process.send_signal(signal.SIGTERM)
                assert process.wait(10) == 0
    assert [json.loads(line)["event"] for line in ledger.read_text().splitlines()] == [
        "started",
        "opened",
        "closed",
        "stopped",
    ]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("FL_SERVER_ADDRESS", "fl.example.org", "FL_SERVER_ADDRESS"),
        ("EGRESS_MAX_CONNECTIONS", "0", "EGRESS_MAX_CONNECTIONS"),
        ("EGRESS_TYPO", "1", "EGRESS_TYPO: unknown setting"),
        ("EGRESS_LEDGER_FILE", "/nowhere/ledger", "/nowhere/ledger"),
        ("EGRESS_HOST", "192.0.2.1", "192.0.2.1"),
    ],
)
def test_what_cannot_work_is_named(tmp_path: Path, name: str, value: str, said: str) -> None:
    good = {
        "FL_SERVER_ADDRESS": "localhost:1",
        "EGRESS_PORT": "0",
        "EGRESS_LEDGER_FILE": str(tmp_path / "ledger.jsonl"),
    }
    command = [
        sys.executable,
        "-m",
        "flip_fl.egress",
        "--env-file",
        str(env_file(tmp_path / "env", good | {name: value})),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
