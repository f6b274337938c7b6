"""The hub's two applications: the public API and the internal one, which only the FL server may reach."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from fastapi import APIRouter, Depends, FastAPI

from flip_common import __version__
from flip_common.web import install, require_key
from flip_hub.audit.routes import router as audit
from flip_hub.cohorts.routes import router as cohorts
from flip_hub.jobs.watch import watch_jobs
from flip_hub.models.files.opening import opened_files
from flip_hub.models.internal import router as internal_models
from flip_hub.models.routes import router as models
from flip_hub.opening import open_database
from flip_hub.projects.routes import router as projects
from flip_hub.settings import HubSettings
from flip_hub.state import Hub
from flip_hub.tasks.bus import TaskBus
from flip_hub.tasks.routes import router as tasks
from flip_hub.tasks.sweeper import sweeping
from flip_hub.trusts.importing import import_trusts
from flip_hub.trusts.master_key import open_vault
from flip_hub.trusts.routes import router as trusts
from flip_hub.trusts.trust_routes import router as trust_side
from flip_hub.users.auth_routes import router as sign_in
from flip_hub.users.issuer import Issuer
from flip_hub.users.routes import router as users
from flip_hub.users.service import authenticate

# Routers are tried in turn, and most calls by far are those of trusts.
PUBLIC = (tasks, trust_side, sign_in, users, trusts, projects, cohorts, models, audit)


@asynccontextmanager
async def open_hub(settings: HubSettings) -> AsyncIterator[Hub]:
    """Opens files and database (embedded if none is set), migrates it, starts bus, task sweeper and job watcher.

    Raises:
        flip_common.settings.SettingsError: the database cannot be reached, or a trust or the bucket that the settings
            name cannot be used.
        flip_hub.trusts.vault.VaultError: the master key cannot be used.
        sqlalchemy.exc.SQLAlchemyError: the database cannot be migrated.
    """
    async with AsyncExitStack() as stack:
        files = await stack.enter_async_context(opened_files(settings))
        db = await stack.enter_async_context(open_database(settings))
        bus = await stack.enter_async_context(TaskBus.connected(db))
        vault, issuer = await open_vault(settings, db), Issuer.of(settings)
        hub = Hub(settings=settings, db=db, vault=vault, bus=bus, files=files, issuer=issuer)
        async with db.transaction() as session:
            await import_trusts(session, hub)
        await stack.enter_async_context(sweeping(hub))
        await stack.enter_async_context(watch_jobs(hub))
        yield hub


def create_app(hub: Hub) -> FastAPI:
    """The public API, all under `/api`."""
    app = FastAPI(
        title="FLIP hub", version=__version__, openapi_url="/api/openapi.json", docs_url="/api/docs", redoc_url=None
    )
    app.state.hub, app.state.authenticate = hub, authenticate
    install(app, large_paths=(r"/api/models/[^/]+/app",))
    api = APIRouter(prefix="/api")

    @api.get("/health", tags=["health"])
    async def health() -> dict[str, str]:
        """Whether the hub answers; reveals nothing else."""
        return {"status": "ok"}

    for router in PUBLIC:
        api.include_router(router)
    app.include_router(api)
    return app


def create_internal_app(hub: Hub) -> FastAPI:
    """What the FL server calls, under `/api/internal`; to be bound where only the FL server can reach it."""
    app = FastAPI(title="FLIP hub, internal", version=__version__, openapi_url=None, docs_url=None)
    app.state.hub = hub
    install(app, large_paths=(r"/api/internal/models/[^/]+/results/.+",))
    settings = hub.settings
    guard: list[Any] = [
        Depends(require_key(settings.internal_service_key_header, (settings.internal_service_key_hash,)))
    ]
    app.include_router(internal_models, prefix="/api/internal", dependencies=guard)
    return app
