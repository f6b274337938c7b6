"""A site's egress point: passes the FL client's connections through to the one FL server, and keeps a ledger of them.

The FL client, which runs researchers' code, has no way out of its own; this listens where it can reach. TLS goes
through untouched: the ledger says when, how long and how many bytes each way, not which job or what.
"""

import asyncio
import logging
import signal
import socket
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import typer

from flip_common.logs import configure_logging
from flip_common.proxy import tunnel
from flip_common.settings import SettingsError
from flip_fl.command import run_command
from flip_fl.ledger import Ledger
from flip_fl.settings import EgressSettings

log = logging.getLogger("flip_fl.egress")

CONFIGURATION_ERROR = 2
CHUNK_BYTES = 65_536
BACKLOG = 16

Stream = tuple[StreamReader, StreamWriter]
Moved = Callable[[], None]


class Count:
    """What a connection has passed, as its lines in the ledger say it."""

    def __init__(self, ledger: Ledger, seconds: float) -> None:
        self._ledger, self._seconds, self._id = ledger, seconds, str(uuid4())
        self._clock = asyncio.get_running_loop().time
        self._opened = self._noted = self._clock()
        self._bytes = {"bytes_out": 0, "bytes_in": 0}

    def add(self, direction: str, number: int) -> None:
        """Counts bytes that are about to go on; a connection that lasts gets a line now and then."""
        self._bytes[direction] += number
        if self._clock() - self._noted >= self._seconds:
            self.note("continues")

    def closed(self, reason: str) -> None:
        """The last line of the connection, on the disk."""
        self.note("closed", durable=True, reason=reason)

    def note(self, event: str, *, durable: bool = False, **values: object) -> None:
        """A line of this connection: what passed until now, and more values."""
        self._noted = self._clock()
        seconds = round(self._noted - self._opened, 3)
        passed: dict[str, object] = {"connection": self._id, **self._bytes, "seconds": seconds, **values}
        self._ledger.write(event, passed, durable=durable)


class Egress:
    """Listens, and passes each connection through; `run` until told to stop.

    Nothing passes that the ledger has not taken: where a line cannot be written, the connection is ended.
    """

    def __init__(self, settings: EgressSettings, ledger: Ledger) -> None:
        self._settings, self._ledger = settings, ledger
        self._slots = asyncio.Semaphore(settings.egress_max_connections)
        self._open: set[asyncio.Task[None]] = set()

    async def run(self, listener: socket.socket, stop: asyncio.Event) -> None:
        """Takes connections until `stop` is set; ends those that are open, each with its line."""
        self._ledger.write("started", {"server": self._settings.fl_server_address})
        taking = asyncio.create_task(self._take(listener))
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait((taking, stopping), return_when=asyncio.FIRST_COMPLETED)
        finally:
            ending = {taking, stopping, *self._open}
            for task in ending:
                task.cancel()
            await asyncio.gather(*ending, return_exceptions=True)
            self._ledger.write("stopped", durable=True)
        if not taking.cancelled():
            taking.result()

    async def _take(self, listener: socket.socket) -> None:
        # Beyond the limit connections wait in the system's backlog, where they cost nothing.
        loop = asyncio.get_running_loop()
        while True:
            if self._slots.locked():
                log.warning("%d connections are open; the next one waits", len(self._open))
            await self._slots.acquire()
            try:
                inside, address = await loop.sock_accept(listener)
            except ConnectionAbortedError:  # gone before it was taken
                self._slots.release()
                continue
            task = asyncio.create_task(self._connection(inside, address[0]))
            self._open.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._open.discard(task)
        self._slots.release()
        if not task.cancelled() and (error := task.exception()):
            log.error("a connection was ended: %s", error)

    async def _connection(self, accepted: socket.socket, client: str) -> None:
        inside = await asyncio.open_connection(sock=accepted, limit=CHUNK_BYTES)
        try:
            count = Count(self._ledger, self._settings.egress_ledger_seconds)
            try:
                outside = await self._reach_server()
            except OSError as error:
                count.note("unreachable", client=client, reason=_words(error))
                log.warning("FL server %s: %s", self._settings.fl_server_address, _words(error))
                return
            try:
                count.note("opened", client=client, server=outside[1].get_extra_info("peername")[0])
                await self._pass(inside, outside, count)
            finally:
                outside[1].transport.abort()
        finally:
            inside[1].transport.abort()

    async def _reach_server(self) -> Stream:
        # The name is looked up each time: a server that moved is found without a restart.
        host, port = self._settings.server
        async with asyncio.timeout(self._settings.egress_connect_seconds):
            if self._settings.egress_proxy:
                return await tunnel(self._settings.egress_proxy, host, port, limit=CHUNK_BYTES)
            return await asyncio.open_connection(host, port, limit=CHUNK_BYTES, happy_eyeballs_delay=0.25)

    async def _pass(self, inside: Stream, outside: Stream, count: Count) -> None:
        reason, loop, idle = "stopped", asyncio.get_running_loop(), self._settings.egress_idle_seconds
        try:
            async with asyncio.timeout(idle) as deadline:

                def moved() -> None:
                    deadline.reschedule(loop.time() + idle)

                reason = await _both_ways(
                    _pump(inside[0], outside[1], lambda number: count.add("bytes_out", number), moved),
                    _pump(outside[0], inside[1], lambda number: count.add("bytes_in", number), moved),
                )
        except TimeoutError:
            reason = "idle"
        finally:
            count.closed(reason)


async def _both_ways(out: Coroutine[None, None, None], into: Coroutine[None, None, None]) -> str:
    """Runs both until each has seen its end, or one fails; says which it was."""
    reason = "ended"
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(out)
            group.create_task(into)
    except* OSError as errors:
        reason = _words(errors.exceptions[0])
    return reason


async def _pump(reader: StreamReader, writer: StreamWriter, count: Callable[[int], None], moved: Moved) -> None:
    """Passes bytes on until their end, and the end too: the other way may still have something to say."""
    # Nothing is read ahead of what the other side takes.
    writer.transport.set_write_buffer_limits(high=0)
    while chunk := await reader.read(CHUNK_BYTES):
        count(len(chunk))
        writer.write(chunk)
        await writer.drain()
        moved()
    writer.write_eof()


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises OSError when the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    listener.setblocking(False)
    return listener


async def _run(settings: EgressSettings, ledger: Ledger, listener: socket.socket) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await Egress(settings, ledger).run(listener, stop)


def main(env_file: Annotated[Path | None, typer.Option(help="File with the settings")] = None) -> None:
    """Passes a site's FL client through to the FL server, and writes down what passed.

    Example: python -m flip_fl.egress --env-file /opt/flip/config/egress.env
    """
    configure_logging("flip-egress")
    try:
        settings = EgressSettings.load(env_file)
        listener = listen(settings.egress_host, settings.egress_port)
        ledger = Ledger(settings.egress_ledger_file, settings.egress_ledger_max_bytes)
    except (SettingsError, OSError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(CONFIGURATION_ERROR) from None
    log.info("listening on %s:%d for %s", *listener.getsockname()[:2], settings.fl_server_address)
    with listener:
        asyncio.run(_run(settings, ledger, listener))
    ledger.close()


if __name__ == "__main__":
    run_command(main)
