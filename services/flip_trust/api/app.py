"""The one page trust-api serves: its health."""

from typing import Annotated, Any

from fastapi import Depends, FastAPI, Request

from flip_common.keys import hash_api_key
from flip_common.web import install, not_found, require_key
from flip_trust.api.poller import Poller
from flip_trust.api.settings import TrustApiSettings


def create_app(settings: TrustApiSettings, poller: Poller) -> FastAPI:
    """The app: `GET /health` for anyone, `GET /status` and all else with the internal key only."""
    app = FastAPI(title="FLIP trust-api", openapi_url=None)
    install(app, max_body_bytes=1_000)
    key = settings.trust_internal_service_key.get_secret_value()
    guard = require_key(settings.trust_internal_service_key_header, (hash_api_key(key),))

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/status", dependencies=[Depends(guard)])
    async def status() -> dict[str, Any]:
        known = poller.identity
        return {
            "trust_id": known and str(known.trust_id),
            "trust_name": known and known.trust_name,
            "hub_version": known and known.hub_version,
            "tasks_running": poller.tasks_running,
            "last_heartbeat_at": poller.last_heartbeat_at,
            "heartbeat_problem": poller.heartbeat_problem,
        }

    methods = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]

    @app.api_route("/{path:path}", methods=methods, include_in_schema=False)
    async def anything_else(request: Request, _: Annotated[None, Depends(guard)]) -> None:
        raise not_found("page", request.url.path)

    return app
