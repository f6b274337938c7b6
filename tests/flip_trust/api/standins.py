"""A hub and a site to test the poller against: small, real HTTP servers that keep the wire contract."""

import asyncio
import errno
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import uvicorn
from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse

from flip_common.envelope import Binding, open_sealed, seal
from flip_common.keys import PayloadKey, generate_api_key
from flip_common.web import Problem
from flip_common.wire import (
    RESULTS,
    DisclosedCount,
    HeartbeatRequest,
    LeaseRequest,
    RenewRequest,
    SiteKey,
    TaskResultRequest,
    TaskType,
    WireModel,
)

PATIENCE = 15.0


async def until(condition: Callable[[], Any], what: str) -> Any:
    """Waits for a condition; fails by name when it does not come true."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if value := condition():
            return value
        await asyncio.sleep(0.01)
    raise AssertionError(f"never came true: {what}")


class Server:
    """An app served from a thread on a port of its own, which it keeps when stopped and started again."""

    def __init__(self, app: FastAPI) -> None:
        self._app, self.port = app, 0
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def reserve(self) -> None:
        """Picks the port without answering on it."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]

    def start(self) -> None:
        listener = self._listen()
        self.port = listener.getsockname()[1]
        config = uvicorn.Config(
            self._app, log_config=None, access_log=False, lifespan="off", ws="none", timeout_graceful_shutdown=1
        )
        server = uvicorn.Server(config)
        server.capture_signals = nullcontext  # type: ignore[method-assign] # signals belong to the tests
        self._thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        self._thread.start()
        self._server = server

    def _listen(self) -> socket.socket:
        # While nobody listens, the system may lend the port to somebody's outgoing connection for a moment.
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return socket.create_server(("127.0.0.1", self.port))
            except OSError as error:
                if error.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def stop(self) -> None:
        if self._server and self._thread:
            self._server.should_exit = True
            self._thread.join(PATIENCE)
            self._server = self._thread = None


@dataclass
class StandInTask:
    task_id: UUID
    type: TaskType
    payload: str
    attempt: int = 0
    leased_until: float = 0.0
    accepted: TaskResultRequest | None = None
    raw: dict[str, Any] = field(default_factory=dict)


class Hub:
    """The trust's side of a hub: leases that expire, attempts, results, and failures on demand."""

    def __init__(self) -> None:
        self.trust_id, self.api_key, self.key = uuid4(), generate_api_key(), PayloadKey.generate()
        self.lease_seconds, self.clock_ahead = 30.0, timedelta(0)
        self.tasks: dict[UUID, StandInTask] = {}
        self.heartbeats: list[HeartbeatRequest] = []
        self.lease_requests: list[LeaseRequest] = []
        self.renewals: list[tuple[UUID, int]] = []
        self.posted: list[tuple[UUID, TaskResultRequest]] = []
        self.fl_keys: list[str] = []
        self.refuse: dict[str, list[int]] = {}
        """Path's last word to the statuses that its next calls get."""
        self.lose_answers = 0
        self.server = Server(self._app())

    def add(self, task_type: TaskType, payload: WireModel, /, **changed: Any) -> UUID:
        """Leaves a task; `changed` replaces parts of what is leased."""
        task_id = uuid4()
        sealed = seal(payload, self.key, Binding(self.trust_id, task_id, task_type, "to-trust"))
        self.tasks[task_id] = StandInTask(task_id, task_type, sealed, raw=changed)
        return task_id

    async def answer(self, task_id: UUID) -> TaskResultRequest:
        """The result that was accepted."""
        accepted = await until(lambda: self.tasks[task_id].accepted, f"a result of task {task_id}")
        assert isinstance(accepted, TaskResultRequest)
        return accepted

    async def opened(self, task_id: UUID) -> WireModel:
        """The content of an accepted success."""
        answer, task = await self.answer(task_id), self.tasks[task_id]
        assert answer.result, answer.error
        return open_sealed(
            answer.result, RESULTS[task.type], [self.key], Binding(self.trust_id, task_id, task.type, "to-hub")
        )

    def take_away(self, task_id: UUID) -> None:
        """Ends the current attempt, as if the lease had run out and the task had been offered again."""
        self.tasks[task_id].attempt += 1
        self.tasks[task_id].leased_until = time.monotonic() + 3600

    def _app(self) -> FastAPI:
        async def gate(request: Request) -> None:
            planned = self.refuse.get(request.url.path.rsplit("/", 1)[-1], [])
            if planned:
                raise Problem(planned.pop(0), "planned", "refused by the test")
            if request.headers.get("x-trust-api-key") != self.api_key:
                raise Problem(401, "unauthenticated", "no such key")

        app = FastAPI(dependencies=[Depends(gate)])
        app.add_exception_handler(Problem, lambda _, error: problem(error.status, error.code, error.detail))

        @app.post("/api/trust/heartbeat")
        async def heartbeat(beat: HeartbeatRequest) -> dict[str, Any]:
            self.heartbeats.append(beat)
            return {
                "trust_id": str(self.trust_id),
                "trust_name": "Trust_1",
                "hub_version": "0",
                "release": "0",
                "clock_skew_seconds": self.clock_ahead.total_seconds(),
            }

        @app.post("/api/trust/tasks/lease")
        async def lease(body: LeaseRequest, request: Request) -> dict[str, Any]:
            self.lease_requests.append(body)
            deadline = time.monotonic() + body.wait_seconds
            while not (tasks := self._due(body.max)) and time.monotonic() < deadline:
                if await request.is_disconnected():
                    return {"tasks": []}
                await asyncio.sleep(0.01)
            return {"tasks": tasks}

        @app.post("/api/trust/tasks/{task_id}/renew")
        async def renew(task_id: UUID, body: RenewRequest) -> Response:
            if refusal := self._stale(task_id, body.attempt):
                return refusal
            self.renewals.append((task_id, body.attempt))
            self.tasks[task_id].leased_until = time.monotonic() + self.lease_seconds
            return JSONResponse({"expires_at": self._expiry(), "lease_seconds": self.lease_seconds})

        @app.post("/api/trust/tasks/{task_id}/result")
        async def result(task_id: UUID, body: TaskResultRequest) -> Response:
            self.posted.append((task_id, body))
            if refusal := self._stale(task_id, body.attempt):
                return refusal
            task = self.tasks[task_id]
            if body.error and body.error.retryable:
                task.leased_until = 0.0
            elif task.accepted is None:
                task.accepted = body
            if self.lose_answers:
                self.lose_answers -= 1
                return problem(502, "lost", "accepted, but the answer is lost")
            return Response(status_code=204)

        @app.put("/api/trust/fl-key", status_code=204)
        async def fl_key(body: SiteKey) -> None:
            self.fl_keys.append(body.public_key)

        return app

    def _due(self, most: int) -> list[dict[str, Any]]:
        now, leased = time.monotonic(), []
        for task in self.tasks.values():
            if task.accepted is None and task.leased_until <= now and len(leased) < most:
                task.attempt += 1
                task.leased_until = now + self.lease_seconds
                body = {
                    "task_id": str(task.task_id),
                    "type": task.type,
                    "attempt": task.attempt,
                    "expires_at": self._expiry(),
                    "lease_seconds": self.lease_seconds,
                    "payload": task.payload,
                }
                leased.append(body | task.raw)
        return leased

    def _expiry(self) -> str:
        return (datetime.now(UTC) + self.clock_ahead + timedelta(seconds=self.lease_seconds)).isoformat()

    def _stale(self, task_id: UUID, attempt: int) -> Response | None:
        task = self.tasks.get(task_id)
        if task is None:
            return problem(403, "not_your_task", "another trust's task")
        if task.attempt != attempt:
            return problem(409, "stale_attempt", f"attempt {attempt} is over")
        return None


class Site:
    """data-access-api and imaging-api in one: canned answers, a gate to hold calls, refusals on demand."""

    def __init__(self) -> None:
        self.key = generate_api_key()
        self.studies = ["IMPORTED"] * 23 + ["FAILED"] * 2
        self.started: list[str] = []
        self.finished: list[str] = []
        self.abandoned: list[str] = []
        self.bodies: list[Any] = []
        self.request_ids: list[str] = []
        self.hold = False
        self.reply: Response | None = None
        self.server = Server(self._app())

    def _app(self) -> FastAPI:
        app = FastAPI()

        @app.get("/health")
        async def health() -> dict[str, str]:
            return {"status": "ok"}

        @app.api_route("/{path:path}", methods=["GET", "POST", "PUT", "DELETE"])
        async def anything(path: str, request: Request) -> Response:
            if request.headers.get("x-trust-internal-service-key") != self.key:
                return problem(401, "unauthenticated", "no such key")
            call = f"{request.method} {request.scope['raw_path'].decode()}"
            body = await request.json() if await request.body() else None
            self.started.append(call)
            self.bodies.append(body)
            self.request_ids.append(request.headers["x-request-id"])
            while self.hold:
                if await request.is_disconnected():
                    self.abandoned.append(call)
                    return Response()
                await asyncio.sleep(0.01)
            self.finished.append(call)
            return self.reply or self._reply(request.method, path, body or {})

        return app

    def _reply(self, method: str, path: str, body: dict[str, Any]) -> Response:
        project = body.get("project_id") or path.split("/")[1:2] or None
        if path == "cohort/statistics":
            return JSONResponse({"query_id": body["query_id"], "subjects": count(30)})
        if path == "cohort/freeze":
            frozen = {"subjects": count(30), "accessions": count(20), "cohort_digest": "0" * 64}
            return JSONResponse({"project_id": project, **frozen})
        if path == "cohort/accessions":
            return JSONResponse({"project_id": project, "accessions": ["ACC1", "ACC2"]})
        if path.startswith("users/"):
            return JSONResponse({"applied": False, "reason": "this store has no users"})
        if method == "DELETE":
            return Response(status_code=204)
        studies = [{"accession": f"ACC{n}", "state": state} for n, state in enumerate(self.studies)]
        if isinstance(project, list):
            project = project[0]
        return JSONResponse({"project_id": project, "state": "DONE", "studies": studies})


def problem(status: int, code: str, detail: str) -> Response:
    body = {"type": f"urn:flip:problem:{code}", "status": status, "code": code, "detail": detail}
    return JSONResponse(body, status_code=status, media_type="application/problem+json")


def count(value: int) -> dict[str, Any]:
    return DisclosedCount(suppressed=False, value=value, threshold=10, rounding=10).model_dump()


def environment(hub: Hub, site: Site, **changed: str) -> dict[str, str]:
    """Settings of a trust-api between the two, quick enough for tests."""
    settings = {
        "CENTRAL_HUB_API_URL": f"{hub.server.url}/api",
        "TRUST_API_KEY": hub.api_key,
        "AES_KEY_BASE64": hub.key.to_base64(),
        "POLL_INTERVAL_SECONDS": "0.05",
        "LEASE_WAIT_SECONDS": "0.5",
        "HEARTBEAT_INTERVAL_SECONDS": "0.1",
        "DATA_ACCESS_API_URL": site.server.url,
        "IMAGING_API_URL": site.server.url,
        "TRUST_INTERNAL_SERVICE_KEY": site.key,
    }
    return settings | changed


@asynccontextmanager
async def cancelled_at_end(task: "asyncio.Task[None]") -> AsyncIterator[None]:
    """Cancels the task when the block ends, whatever happens."""
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
