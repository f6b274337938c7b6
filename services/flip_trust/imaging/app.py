"""The ASGI application of imaging-api."""

import asyncio
import logging
import os
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Depends, FastAPI, Request, Response

from flip_common import __version__
from flip_common.web import install, problem_response, require_key
from flip_trust.imaging.convert import ConversionLimits
from flip_trust.imaging.engine import Engine, Limits, ProjectBusy
from flip_trust.imaging.intake import IntakeLimits
from flip_trust.imaging.ledger import Ledger
from flip_trust.imaging.library import Library
from flip_trust.imaging.room import Room, disk_reason, is_no_room
from flip_trust.imaging.routes import UPLOAD_PATHS, apps, router
from flip_trust.imaging.schemas import Health
from flip_trust.imaging.settings import ImagingSettings
from flip_trust.imaging.store import StoreError
from flip_trust.imaging.stores import make_store

log = logging.getLogger(__name__)


def create_app(settings: ImagingSettings) -> FastAPI:
    """The application. Its lifespan owns the data folder, the store and the import engine.

    Starting raises `StoreError` when the data folder is in use or the store cannot be opened.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        os.umask(0o077)  # what is written here is patients' images
        library = Library(settings.imaging_data_dir)
        await asyncio.to_thread(library.open)
        try:
            store = make_store(settings)
            ledger = await asyncio.to_thread(Ledger, settings.imaging_data_dir / "ledger.sqlite")
            room = Room(settings.imaging_data_dir, settings.disk_reserve_bytes)
            engine = Engine(store, library, ledger, room, _limits(settings))
            app.state.library, app.state.store, app.state.engine, app.state.room = library, store, engine, room
            try:
                await store.start()
                await engine.start()
                yield
            finally:
                await engine.stop()
                await store.stop()
                await asyncio.to_thread(ledger.close)
        finally:
            library.close()

    app = FastAPI(
        title="FLIP imaging-api",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )
    install(app, large_paths=UPLOAD_PATHS)
    app.state.settings = settings
    app.add_exception_handler(ProjectBusy, _on_busy)
    app.add_exception_handler(StoreError, _on_store_error)
    app.add_exception_handler(OSError, _on_disk_error)
    app.add_exception_handler(sqlite3.OperationalError, _on_disk_error)
    header = settings.trust_internal_service_key_header
    app.include_router(router, dependencies=[Depends(require_key(header, settings.internal_key_hashes))])
    app.include_router(apps, dependencies=[Depends(require_key(header, settings.app_key_hashes))])
    app.add_api_route("/health", _health, methods=["GET"])
    return app


async def _health() -> Health:
    """The process answers. Says nothing else, to anyone."""
    return Health()


def _limits(settings: ImagingSettings) -> Limits:
    return Limits(
        imports=settings.import_concurrency,
        attempts=settings.import_attempts,
        backoff_seconds=settings.import_backoff_seconds,
        conversions=settings.conversion_concurrency,
        intake=IntakeLimits(settings.instance_max_bytes, settings.study_max_bytes, settings.project_max_bytes),
        conversion=ConversionLimits(
            timeout_seconds=settings.conversion_timeout_seconds,
            unpacked_bytes=settings.conversion_max_bytes,
            memory_bytes=settings.conversion_memory_bytes,
        ),
    )


async def _on_busy(_: Request, error: Exception) -> Response:
    return problem_response(409, "project_busy", str(error))


async def _on_store_error(_: Request, error: Exception) -> Response:
    return problem_response(503, "store_unavailable", str(error))


async def _on_disk_error(_: Request, error: Exception) -> Response:
    log.error("the data folder cannot be written: %s", error)
    if isinstance(error, (OSError, sqlite3.OperationalError)) and is_no_room(error):
        return problem_response(507, "disk_full", disk_reason(error))
    return problem_response(500, "disk_error", "the data folder cannot be read or written; the log says more")
