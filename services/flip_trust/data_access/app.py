"""The HTTP door of data-access-api. Every route but /health needs a key: apps have one that opens dataframes only."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import APIRouter, Depends, FastAPI, Request, Response

from flip_common import __version__
from flip_common.web import Problem, install, require_key
from flip_common.wire import CohortQueryPayload, CohortQueryResult, FreezeCohortPayload, FreezeCohortResult
from flip_trust.data_access.budget import QueryBudget
from flip_trust.data_access.database import Database, load_catalogue
from flip_trust.data_access.dataframe import read_dataframe
from flip_trust.data_access.freezing import freeze, frozen_accessions, frozen_members
from flip_trust.data_access.guard import Guard, GuardedQuery
from flip_trust.data_access.refusal import QueryRefused
from flip_trust.data_access.schemas import Accessions, AccessionsRequest, Dataframe, DataframeRequest
from flip_trust.data_access.settings import DataAccessSettings
from flip_trust.data_access.statistics import cohort_statistics

MAX_BODY_BYTES = 200_000
OWNER_CONNECTIONS = 4


class DataAccess:
    """What the routes share: settings, the two roles' connections, and the guard."""

    def __init__(self, settings: DataAccessSettings) -> None:
        timeout = settings.data_access_statement_timeout_seconds
        self.disclosure = settings.disclosure
        self.row_cap = settings.data_access_row_cap
        self.bins_per_person = settings.cohort_query_bins_per_person
        self.smallest_cohort = settings.smallest_cohort
        self._columns = settings.columns
        reader_url, connections = (
            settings.data_access_database_url.get_secret_value(),
            settings.data_access_max_connections,
        )
        self.reader = Database(reader_url, connections, timeout)
        # Their own: apps that read for long must not keep the cohort queries of other projects waiting.
        self._statistics = Database(reader_url, connections, timeout)
        self.owner = Database(settings.data_access_owner_database_url.get_secret_value(), OWNER_CONNECTIONS, timeout)
        self.budget = QueryBudget(
            self._statistics, self.owner, settings.cohort_query_seconds, settings.cohort_query_failures_per_day
        )
        self._guard: Guard | None = None

    async def open(self) -> None:
        """Makes the pools; connects when first needed."""
        await self.reader.open()
        await self._statistics.open()
        await self.owner.open()

    async def close(self) -> None:
        """Ends running queries and closes the connections."""
        await self.reader.close()
        await self._statistics.close()
        await self.owner.close()

    async def guarded(self, sql: str) -> GuardedQuery:
        """The query, checked against the database's own catalogue.

        Raises:
            Problem: 422 `query_refused` with reason, place and remedy; 503 when the database is down.
        """
        if self._guard is None:
            self._guard = Guard(await load_catalogue(self.reader, self._columns))
        try:
            return await asyncio.to_thread(self._guard, sql)
        except QueryRefused as refused:
            raise Problem(
                422,
                "query_refused",
                str(refused),
                reason=refused.reason,
                what=refused.what,
                where=refused.where,
                remedy=refused.remedy,
            ) from None


def _service(request: Request) -> DataAccess:
    service = request.app.state.service
    assert isinstance(service, DataAccess)  # noqa: S101 - set by create_app
    return service


Service = Annotated[DataAccess, Depends(_service)]
router = APIRouter(prefix="/cohort", tags=["cohort"])
apps = APIRouter(prefix="/cohort", tags=["cohort"])
health = APIRouter(tags=["health"])


@health.get("/health")
async def get_health() -> dict[str, str]:
    """Says that the process answers, and nothing else."""
    return {"status": "ok"}


@router.post("/statistics")
async def post_statistics(body: CohortQueryPayload, service: Service) -> CohortQueryResult:
    """Distinct subjects and distributions of a query, disclosure-controlled."""
    query = await service.guarded(body.query)
    result = await service.budget.run(
        body.project_id,
        lambda connection: cohort_statistics(connection, query, service.disclosure, service.bins_per_person),
    )
    return CohortQueryResult(query_id=body.query_id, subjects=result.subjects, columns=result.columns)


@router.post("/freeze")
async def post_freeze(body: FreezeCohortPayload, service: Service) -> FreezeCohortResult:
    """Fixes a project's cohort; freezing again may only shrink it."""
    query = await service.guarded(body.query)
    frozen = await freeze(service.reader, service.owner, body.project_id, query, service.smallest_cohort)
    return FreezeCohortResult(
        project_id=body.project_id,
        subjects=service.disclosure.count(frozen.subjects),
        accessions=service.disclosure.count(frozen.accessions),
        cohort_digest=frozen.digest,
    )


@router.post("/accessions")
async def post_accessions(body: AccessionsRequest, service: Service) -> Accessions:
    """Accessions of a project's frozen cohort, for imaging."""
    accessions = await frozen_accessions(service.owner, body.project_id, service.smallest_cohort)
    return Accessions(project_id=body.project_id, accessions=accessions)


@apps.post("/dataframe", response_model=Dataframe)
async def post_dataframe(body: DataframeRequest, service: Service) -> Response:
    """Rows of a project's frozen cohort, for an app that runs at this site."""
    query = await service.guarded(body.query)
    members = await frozen_members(service.owner, body.project_id, service.smallest_cohort)
    frame = await read_dataframe(service.reader, members, query, service.row_cap)
    content = await asyncio.to_thread(frame.model_dump_json)
    return Response(content, media_type="application/json")


def create_app(settings: DataAccessSettings) -> FastAPI:
    """data-access-api with these settings."""
    service = DataAccess(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await service.open()
        try:
            yield
        finally:
            await service.close()

    app = FastAPI(
        title="FLIP data-access-api",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )
    app.state.service = service
    install(app, max_body_bytes=MAX_BODY_BYTES)
    header = settings.trust_internal_service_key_header
    app.include_router(health)
    app.include_router(router, dependencies=[Depends(require_key(header, settings.internal_key_hashes))])
    app.include_router(apps, dependencies=[Depends(require_key(header, settings.app_key_hashes))])
    return app
