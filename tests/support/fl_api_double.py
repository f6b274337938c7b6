"""A small FL API that honours the contract of `flip_common.wire.fl`, with faults a test can switch on."""

import hashlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated
from uuid import UUID

import uvicorn
from fastapi import FastAPI, Form, Request, Response, UploadFile
from fastapi.responses import JSONResponse
from starlette.middleware.base import RequestResponseEndpoint

from flip_common.wire import JobCreated, JobLogs, JobSpec, JobState, JobStatus, SiteKey, SiteState
from flip_hub.db import utcnow

KEY = "fl-api-key-of-the-tests"


@dataclass
class FlApi:
    """What the FL server knows, and the faults. `url` is where it answers."""

    url: str = ""
    jobs: dict[UUID, JobState] = field(default_factory=dict)
    specs: dict[UUID, JobSpec] = field(default_factory=dict)
    logs: dict[UUID, list[str]] = field(default_factory=dict)
    sites: dict[str, str] = field(default_factory=dict)
    submissions: list[UUID] = field(default_factory=list)
    stops: list[UUID] = field(default_factory=list)
    puts: list[str] = field(default_factory=list)
    down: bool = False
    """Every call answers 503."""
    lose_answer: bool = False
    """A submitted job is kept, but the answer is 503, as if the connection broke."""
    refuse: str = ""
    """Code with which POST /jobs and PUT /sites are refused."""
    garbled: bool = False

    def change(self, job_id: UUID, status: JobStatus, **changes: object) -> None:
        """Moves a job on, as the FL server would."""
        state = self.jobs[job_id]
        times = {"started_at": state.started_at or utcnow()}
        if status.terminal:
            times["ended_at"] = utcnow()
        self.jobs[job_id] = JobState.model_validate({**state.model_dump(), "status": status, **times, **changes})


def make_app(api: FlApi) -> FastAPI:
    app = FastAPI()

    @app.middleware("http")
    async def faults(request: Request, call_next: RequestResponseEndpoint) -> Response:
        if request.headers.get("x-fl-api-key") != KEY:
            return JSONResponse({"code": "unauthenticated", "detail": "wrong key"}, 401)
        if api.down:
            return JSONResponse({"code": "down", "detail": "out of order"}, 503)
        if api.garbled:
            return Response("<html>", 200)
        return await call_next(request)

    @app.post("/jobs", status_code=201, response_model=None)
    async def create(spec: Annotated[str, Form()], app: UploadFile, response: Response) -> JobCreated | Response:
        wanted = JobSpec.model_validate_json(spec)
        if api.refuse:
            return JSONResponse({"code": api.refuse, "detail": "not like this"}, 422)
        assert hashlib.sha256(await app.read()).hexdigest() == wanted.app_digest
        api.submissions.append(wanted.job_id)
        if wanted.job_id in api.jobs:
            response.status_code = 200
        else:
            state = JobState(job_id=wanted.job_id, status=JobStatus.PENDING, created_at=utcnow())
            api.jobs[wanted.job_id], api.specs[wanted.job_id] = state, wanted
        if api.lose_answer:
            return JSONResponse({"code": "lost", "detail": "the answer was lost"}, 503)
        return JobCreated(job_id=wanted.job_id, status=api.jobs[wanted.job_id].status)

    @app.get("/jobs/{job_id}", response_model=None)
    async def job(job_id: UUID) -> JobState | Response:
        return api.jobs.get(job_id) or _unknown()

    @app.get("/jobs/{job_id}/logs", response_model=None)
    async def logs(job_id: UUID, offset: int = 0) -> JobLogs | Response:
        if job_id not in api.jobs:
            return _unknown()
        lines = api.logs.get(job_id, [])[offset : offset + 3]
        return JobLogs(job_id=job_id, offset=offset, next_offset=offset + len(lines), lines=lines)

    @app.delete("/jobs/{job_id}", response_model=None)
    async def stop(job_id: UUID) -> JobState | Response:
        if job_id not in api.jobs:
            return _unknown()
        api.stops.append(job_id)
        if not api.jobs[job_id].status.terminal:
            api.change(job_id, JobStatus.STOPPED, reason="stopped by request")
        return api.jobs[job_id]

    @app.get("/sites")
    async def sites() -> list[SiteState]:
        return [SiteState(trust=trust, online=True, last_seen_at=utcnow()) for trust in api.sites]

    @app.put("/sites/{trust}", response_model=None)
    async def put_site(trust: str, body: SiteKey) -> SiteState | Response:
        if api.refuse:
            return JSONResponse({"code": api.refuse, "detail": "not like this"}, 422)
        api.sites[trust] = body.public_key
        api.puts.append(trust)
        return SiteState(trust=trust, online=False)

    @app.delete("/sites/{trust}", status_code=204)
    async def delete_site(trust: str) -> None:
        api.sites.pop(trust, None)

    return app


def _unknown() -> Response:
    return JSONResponse({"code": "not_found", "detail": "no such job"}, 404)


@contextmanager
def serving(api: FlApi) -> Iterator[FlApi]:
    """Serves the FL API on a free port until the block ends."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(make_app(api), log_config=None, lifespan="off", ws="none"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    # The socket listens already, so a call that comes before the server has started waits in its queue.
    api.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        yield api
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        listener.close()
        assert not thread.is_alive()
