"""The FL API as an application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from fastapi import Depends, FastAPI, Request, Response

from flip_common.keys import hash_api_key
from flip_common.web import install, problem_response, require_key
from flip_fl.api import FL_API_KEY_HEADER, router
from flip_fl.backend import Backend


async def _server_away(_: Request, error: Exception) -> Response:
    return problem_response(503, "fl_server_away", f"the FL server does not answer ({type(error).__name__}); try again")


def create_app(backend: Backend, api_key: str, max_app_bytes: int) -> FastAPI:
    """The FL API over a backend, which is started and closed with the application."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        try:
            await backend.start()
            yield
        finally:
            await backend.close()

    app = FastAPI(title="FLIP FL API", lifespan=lifespan, openapi_url=None)
    app.state.backend, app.state.max_app_bytes = backend, max_app_bytes
    install(app, max_body_bytes=max_app_bytes + 1_100_000)
    app.add_exception_handler(httpx.HTTPError, _server_away)

    @app.get("/health")
    async def health() -> dict[str, str]:
        """The process answers."""
        return {"status": "ok"}

    app.include_router(router, dependencies=[Depends(require_key(FL_API_KEY_HEADER, (hash_api_key(api_key),)))])
    return app
