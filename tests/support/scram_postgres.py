"""A PostgreSQL that asks for passwords, and TLS in front of it."""

import asyncio
import contextlib
import shutil
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import asyncpg

from flip_hub.pgserver import new_server, package

_SSL_REQUEST = bytes.fromhex("0000000804d2162f")


class ScramPostgres:
    """On 127.0.0.1 at `port`; over TCP each role needs its password."""

    def __init__(self, port: int, socket_folder: Path) -> None:
        self.port = port
        self._admin = f"postgresql://postgres@/postgres?host={socket_folder}&port={port}"

    async def execute(self, statement: str) -> None:
        """Runs it as the superuser, who comes by the socket and needs none."""
        connection = await asyncpg.connect(self._admin)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


@contextlib.contextmanager
def scram_postgres() -> Iterator[ScramPostgres]:
    """One that runs until the block ends. Durability is off."""
    folder = Path(tempfile.mkdtemp(prefix="flip-scram-"))
    folder.chmod(0o711)
    data = folder / "data"
    data.mkdir(mode=0o700)
    server = new_server(data)
    server.ensure_pgdata_inited()
    (data / "pg_hba.conf").write_text("local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = f"-h 127.0.0.1 -p {port} -k {data} -F -c synchronous_commit=off"

    def control(*arguments: str) -> None:
        package().postgres_server.pgexec(
            "pg_ctl", ("-w", "-D", str(data), *arguments), bin_path=server.bin_path, user=server.system_user
        )

    control("-l", str(data / "log"), "-o", options, "start")
    try:
        yield ScramPostgres(port, data)
    finally:
        control("-m", "immediate", "stop")
        shutil.rmtree(folder)


@contextlib.asynccontextmanager
async def tls_in_front(port: int, context: ssl.SSLContext) -> AsyncIterator[int]:
    """Port of a PostgreSQL that wants TLS: the embedded one is built without, so it ends here and goes on to `port`."""

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(65536):
                writer.write(chunk)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.readexactly(8) == _SSL_REQUEST
        writer.write(b"S")
        try:
            await writer.start_tls(context)
        except OSError:  # who dialled does not trust the certificate
            writer.close()
            return
        inner: Any = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(copy(reader, inner[1]), copy(inner[0], writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
