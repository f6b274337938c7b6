"""What every HTTP service here shares: request ids, RFC 9457 problem documents, body limits, service keys."""

import logging
import re
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any
from uuid import uuid4

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flip_common.keys import api_key_matches
from flip_common.logs import client_request_id, request_id

PROBLEM_JSON = "application/problem+json"
REQUEST_ID_HEADER = "x-request-id"
_CLIENT_REQUEST_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")

log = logging.getLogger(__name__)


class Problem(Exception):  # noqa: N818 - RFC 9457 calls it a problem
    """An error for the reader: what was wrong, with which value, what to do. Becomes a problem document.

    `code` is stable and machine-readable; `detail` is for people; `extra` adds members to the document.
    """

    def __init__(self, status: int, code: str, detail: str, **extra: Any) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail, self.extra = status, code, detail, extra


def not_found(what: str, name: object) -> Problem:
    """404: there is none, or the caller may not know that there is one."""
    return Problem(404, "not_found", f"{what} {name} does not exist, or you have no access to it")


def problem_response(status: int, code: str, detail: str, **extra: Any) -> JSONResponse:
    """A problem document (RFC 9457)."""
    body = {
        "type": f"urn:flip:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": detail,
        "request_id": request_id.get(),
        **extra,
    }
    return JSONResponse(body, status_code=status, media_type=PROBLEM_JSON)


async def _on_problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)  # noqa: S101 - registered for this type only
    return problem_response(error.status, error.code, error.detail, **error.extra)


async def _on_http_exception(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this type only
    code = HTTPStatus(error.status_code).phrase.lower().replace(" ", "_").replace("-", "_")
    response = problem_response(error.status_code, code, str(error.detail))
    response.headers.update(error.headers or {})
    return response


async def _on_invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this type only
    # Inputs are left out: a body may hold a password. The place and the reason name the value well enough.
    errors = [{"where": "/".join(str(part) for part in item["loc"]), "problem": item["msg"]} for item in error.errors()]
    detail = "; ".join(f"{item['where']}: {item['problem']}" for item in errors[:5])
    return problem_response(422, "invalid_request", detail, errors=errors)


def _crashed(scope: Scope, error: Exception) -> Response:
    log.error("unhandled %s in %s %s", type(error).__name__, scope["method"], scope["path"], exc_info=error)
    detail = f"The server failed. Its log says why under request id {request_id.get()}."
    return problem_response(500, "internal_error", detail)


class RequestContext:
    """ASGI middleware: gives every request an id, sends it back, refuses bodies over the limit, answers crashes.

    The id is always our own, since it goes into the audit trail. A plain one that the caller sends is logged beside it.
    Crashes are caught here and not by an exception handler: that one would run where the id is no longer known.
    """

    def __init__(self, app: ASGIApp, max_body_bytes: int, large_paths: tuple[re.Pattern[str], ...] = ()) -> None:
        self.app, self.max_body_bytes, self.large_paths = app, max_body_bytes, large_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        theirs = headers.get(REQUEST_ID_HEADER.encode(), b"").decode("latin-1")
        rid = uuid4().hex
        tokens = request_id.set(rid), client_request_id.set(theirs if _CLIENT_REQUEST_ID.fullmatch(theirs) else "")
        own = [(REQUEST_ID_HEADER.encode(), rid.encode()), (b"x-content-type-options", b"nosniff")]
        started = False

        async def send_marked(message: Message) -> None:
            nonlocal started
            started = True
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *own]
            await send(message)

        try:
            limited = not any(pattern.fullmatch(scope["path"]) for pattern in self.large_paths)
            inner = self._limited(receive) if limited else receive
            length = headers.get(b"content-length", b"0")
            if limited and length.isdigit() and int(length) > self.max_body_bytes:
                response = _too_large(self.max_body_bytes)
                await response(scope, receive, send_marked)
                return
            await self.app(scope, inner, send_marked)
        except Exception as error:
            response = _crashed(scope, error)
            if started:
                raise
            await response(scope, receive, send_marked)
        finally:
            request_id.reset(tokens[0])
            client_request_id.reset(tokens[1])

    def _limited(self, receive: Receive) -> Receive:
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            if message["type"] == "http.request":
                seen += len(message.get("body", b""))
                if seen > self.max_body_bytes:
                    raise Problem(413, "too_large", f"the body is over the limit of {self.max_body_bytes} bytes")
            return message

        return counted


def _too_large(limit: int) -> Response:
    return problem_response(413, "too_large", f"the body is over the limit of {limit} bytes")


def install(app: FastAPI, max_body_bytes: int = 16_000_000, large_paths: tuple[str, ...] = ()) -> None:
    """Adds request ids, problem documents and the body limit; `large_paths` (patterns) limit themselves."""
    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    patterns = tuple(re.compile(path) for path in large_paths)
    app.add_middleware(RequestContext, max_body_bytes=max_body_bytes, large_paths=patterns)


def require_key(header: str, hashes: tuple[str, ...]) -> Callable[[Request], Awaitable[None]]:
    """A dependency that lets a request pass only with the service key in `header`; constant time."""

    async def check(request: Request) -> None:
        if not api_key_matches(request.headers.get(header, ""), hashes):
            raise Problem(401, "unauthenticated", f"header {header} is missing or does not hold the service key")

    return check
