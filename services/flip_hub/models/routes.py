"""Routes of models."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, BackgroundTasks, Header, Query, Request, Response, status
from fastapi.responses import FileResponse

from flip_common.web import Problem
from flip_common.wire.model import TrustName
from flip_hub.auth import CurrentUser
from flip_hub.db import Session
from flip_hub.jobs.routes import router as nets
from flip_hub.jobs.schemas import StartRequest
from flip_hub.jobs.start import start
from flip_hub.models import apps, service
from flip_hub.models.download import ResultFile
from flip_hub.models.files import FileName, Kind
from flip_hub.models.leftovers import remove_files
from flip_hub.models.schemas import (
    AppOut,
    EventOut,
    Filename,
    LogsOut,
    MetricSeries,
    ModelChange,
    ModelCreate,
    ModelOut,
    ResultOut,
)
from flip_hub.models.tables import Model
from flip_hub.projects.access import Access
from flip_hub.state import HubState

router = APIRouter(tags=["models"])
router.include_router(nets)

_ZIP_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}},
    }
}
Label = Annotated[str | None, Query(max_length=128, pattern=r"^[^\x00]*$")]


async def _one(session: Session, model: Model) -> ModelOut:
    return (await service.describe(session, [model]))[0]


@router.post("/projects/{project_id}/models", status_code=status.HTTP_201_CREATED)
async def create_model(session: Session, principal: CurrentUser, project_id: UUID, body: ModelCreate) -> ModelOut:
    """Makes a model in a project."""
    return await _one(session, await service.create(session, principal, project_id, body))


@router.get("/projects/{project_id}/models")
async def list_models(
    session: Session,
    principal: CurrentUser,
    project_id: UUID,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
) -> list[ModelOut]:
    """The project's models, newest first."""
    models = await service.list_models(session, principal, project_id, limit, offset)
    return await service.describe(session, models)


@router.get("/models/{model_id}")
async def get_model(session: Session, principal: CurrentUser, model_id: UUID) -> ModelOut:
    """One model and its run."""
    return await _one(session, await service.get_model(session, principal, model_id, Access.SEE))


@router.patch("/models/{model_id}")
async def change_model(session: Session, principal: CurrentUser, model_id: UUID, body: ModelChange) -> ModelOut:
    """Changes name or description."""
    return await _one(session, await service.change(session, principal, model_id, body))


@router.delete("/models/{model_id}", status_code=status.HTTP_204_NO_CONTENT)
async def delete_model(
    session: Session, hub: HubState, principal: CurrentUser, model_id: UUID, later: BackgroundTasks
) -> None:
    """Deletes the model and its files. The audit trail stays."""
    await service.delete(session, principal, model_id)
    later.add_task(remove_files, hub, model_id)


@router.put("/models/{model_id}/app", openapi_extra=_ZIP_BODY)
async def put_app(session: Session, hub: HubState, principal: CurrentUser, model_id: UUID, request: Request) -> AppOut:
    """The app as a zip; refused with findings, and the earlier one kept, unless `flipctl app check` accepts it."""
    return await apps.upload(session, hub, principal, model_id, request)


@router.get("/models/{model_id}/app")
async def get_app(session: Session, principal: CurrentUser, model_id: UUID) -> AppOut:
    """The app's digest and the report of its check."""
    return await apps.describe(session, principal, model_id)


@router.post("/models/{model_id}/start", status_code=status.HTTP_202_ACCEPTED)
async def start_model(
    session: Session, hub: HubState, principal: CurrentUser, model_id: UUID, body: StartRequest
) -> ModelOut:
    """Starts the model's run at the approved trusts."""
    return await _one(session, await start(session, hub, principal, model_id, body))


@router.post("/models/{model_id}/stop", status_code=status.HTTP_202_ACCEPTED)
async def stop_model(session: Session, principal: CurrentUser, model_id: UUID) -> ModelOut:
    """Stops the model's run; the model becomes STOPPED when no process of it is left."""
    return await _one(session, await service.stop(session, principal, model_id))


@router.get("/models/{model_id}/metrics")
async def get_metrics(
    *,
    session: Session,
    principal: CurrentUser,
    model_id: UUID,
    trust: Annotated[TrustName | None, Query()] = None,
    label: Label = None,
    from_round: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
) -> list[MetricSeries]:
    """Metrics as series of one trust and label over the rounds."""
    return await service.metrics(session, principal, model_id, trust=trust, label=label, from_round=from_round)


@router.get("/models/{model_id}/events")
async def get_events(
    session: Session,
    principal: CurrentUser,
    model_id: UUID,
    after: Annotated[int, Query(ge=0, lt=2**63)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 1000,
) -> list[EventOut]:
    """What happened to the model, oldest first: status changes, exceptions, failures per trust."""
    return await service.events(session, principal, model_id, after, limit)


@router.get("/models/{model_id}/logs")
async def get_logs(
    session: Session,
    principal: CurrentUser,
    model_id: UUID,
    offset: Annotated[int, Query(ge=0, lt=2**31)] = 0,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
) -> LogsOut:
    """Log lines of the FL server's side of the run."""
    return await service.logs(session, principal, model_id, offset, limit)


@router.get("/models/{model_id}/results")
async def list_results(session: Session, principal: CurrentUser, model_id: UUID) -> list[ResultOut]:
    """The result files."""
    return await service.results(session, principal, model_id)


@router.get(
    "/models/{model_id}/results/{filename:path}",
    response_class=FileResponse,
    responses={304: {"description": "the file is the one named by If-None-Match"}},
)
async def get_result(
    *,
    session: Session,
    hub: HubState,
    principal: CurrentUser,
    model_id: UUID,
    filename: Filename,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """One result file, whole or in ranges; its ETag is the SHA-256."""
    row = await service.result(session, principal, model_id, filename)
    etag = f'"{row.sha256}"'
    if if_none_match == etag:
        return Response(status_code=status.HTTP_304_NOT_MODIFIED, headers={"etag": etag})
    await session.commit()  # asking for the file may take a while, and needs no connection
    name = FileName(model_id, Kind.RESULT, row.sha256)
    kept = await hub.files.found(name)
    if kept is None:
        raise Problem(410, "result_gone", f"{filename} is gone from {hub.files.where}; restore it from a backup")
    return ResultFile(hub.files, name, kept, filename.rsplit("/", 1)[-1])
