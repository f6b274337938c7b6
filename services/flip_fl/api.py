"""The FL API: one job API over every backend (design 3.3)."""

import os
import tempfile
from pathlib import Path
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, File, Form, Query, Request, Response, UploadFile
from pydantic import TypeAdapter, ValidationError

from flip_common.web import Problem, not_found
from flip_common.wire import JobCreated, JobLogs, JobSpec, JobState, SiteKey, SiteState
from flip_common.wire.model import TrustName
from flip_fl.backend import Backend, JobConflictError, JobRefusedError, UnknownJobError

FL_API_KEY_HEADER = "X-Fl-Api-Key"
CHUNK_BYTES = 1_048_576

router = APIRouter()
_TRUST_NAME: TypeAdapter[str] = TypeAdapter(TrustName)


def _backend(request: Request) -> Backend:
    backend = request.app.state.backend
    assert isinstance(backend, Backend)  # noqa: S101 - set by create_app
    return backend


BackendDependency = Annotated[Backend, Depends(_backend)]


def _trust(trust: str) -> str:
    try:
        return _TRUST_NAME.validate_python(trust)
    except ValidationError:
        raise Problem(422, "invalid_request", f"{trust!r} is no name of a trust: letters, digits, _ . -") from None


Trust = Annotated[str, Depends(_trust)]


@router.post("/jobs", status_code=201, responses={200: {"model": JobCreated, "description": "The job was there"}})
async def create_job(
    request: Request,
    response: Response,
    backend: BackendDependency,
    spec: Annotated[str, Form(description="JobSpec as JSON", max_length=1_000_000)],
    app: Annotated[UploadFile, File(description="The app as a zip")],
) -> JobCreated:
    """Takes a job. The same job id again answers 200 with the job that is there."""
    try:
        wanted = JobSpec.model_validate_json(spec)
    except ValidationError as error:
        places = "; ".join(
            f"spec/{'/'.join(str(part) for part in item['loc'])}: {item['msg']}"
            for item in error.errors(include_input=False, include_url=False)[:5]
        )
        raise Problem(422, "invalid_request", places) from None
    path = await _receive(app, request.app.state.max_app_bytes)
    try:
        state, new = await backend.submit(wanted, path)
    except JobRefusedError as error:
        raise Problem(422, error.code, str(error)) from None
    except JobConflictError as error:
        raise Problem(409, "job_exists", str(error)) from None
    finally:
        path.unlink(missing_ok=True)
    response.status_code = 201 if new else 200
    return JobCreated(job_id=state.job_id, status=state.status)


async def _receive(upload: UploadFile, limit: int) -> Path:
    descriptor, name = tempfile.mkstemp(suffix=".zip")
    size = 0
    with os.fdopen(descriptor, "wb") as file:
        while size <= limit and (chunk := await upload.read(CHUNK_BYTES)):
            size += len(chunk)
            file.write(chunk)
    if size > limit:
        os.unlink(name)
        raise Problem(413, "too_large", f"the app is over the limit of {limit} bytes (FL_MAX_APP_BYTES)")
    return Path(name)


@router.get("/jobs/{job_id}")
async def read_job(job_id: UUID, backend: BackendDependency) -> JobState:
    """Where a job stands."""
    try:
        return await backend.state(job_id)
    except UnknownJobError:
        raise not_found("job", job_id) from None


@router.get("/jobs/{job_id}/logs")
async def read_logs(
    job_id: UUID, backend: BackendDependency, offset: Annotated[int, Query(ge=0, le=2**53)] = 0
) -> JobLogs:
    """Log lines of the FL server's side of the job, from `offset` (0, or an earlier answer's `next_offset`)."""
    try:
        return await backend.logs(job_id, offset)
    except UnknownJobError:
        raise not_found("job", job_id) from None


@router.delete("/jobs/{job_id}")
async def stop_job(job_id: UUID, backend: BackendDependency) -> JobState:
    """Stops a job. It has ended when this answers; one that ended before stays as it is."""
    try:
        state = await backend.stop(job_id)
    except UnknownJobError:
        raise not_found("job", job_id) from None
    if not state.status.terminal:
        raise Problem(503, "not_stopped", f"job {job_id} is being stopped, the FL server does not answer; ask again")
    return state


@router.get("/sites")
async def list_sites(backend: BackendDependency) -> list[SiteState]:
    """Registered sites and whether their clients are connected."""
    return await backend.sites()


@router.put("/sites/{trust}")
async def put_site(trust: Trust, key: SiteKey, backend: BackendDependency) -> SiteState:
    """Registers the public key of a site's FL client; an earlier key of the trust stops working."""
    try:
        return await backend.register_site(trust, key.public_key)
    except JobRefusedError as error:
        raise Problem(409 if error.code == "key_in_use" else 422, error.code, str(error)) from None


@router.delete("/sites/{trust}", status_code=204)
async def delete_site(trust: Trust, backend: BackendDependency) -> None:
    """Shuts a site out."""
    await backend.remove_site(trust)
