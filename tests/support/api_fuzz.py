"""Calls every operation of an HTTP API with requests nobody meant, and judges the answers.

Two sources: schemathesis makes requests that fit the OpenAPI document and such that do not; and from the ones that
fit, each value in turn is replaced by what breaks databases, parsers and clocks.
"""

import copy
import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import httpx
import requests
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.core.failures import Failure
from schemathesis.core.result import Ok
from schemathesis.core.transport import Response

from flip_common.web import PROBLEM_JSON

EXAMPLES = 6
"""Requests of each kind (fits the document, does not) an operation gets from schemathesis."""
MAX_SECONDS = 5.0
MAX_MEMBERS = 8
"""Of a body, the values that are replaced in turn."""

NASTY_TEXTS = (
    "a\0b",  # PostgreSQL keeps no NUL, neither in text nor in JSON
    "\ud800",  # half a character: no UTF-8
    "\u0663\u0664\uff15",  # digits to `isdigit` and `\d`, not to a parser of ASCII
    "1e400",
    "0001-01-01T00:00:00+14:00",  # before the first year in UTC
    "9999-12-31T23:59:59-14:00",
    "../../etc/passwd",
    "'\"; DROP TABLE users; --%s{0}",
    "x" * 70_000,
)
NASTY_VALUES: tuple[Any, ...] = (
    *NASTY_TEXTS,
    2**31,
    2**63,
    -(2**70),
    10**400,
    1e308,
    "",
    None,
    True,
    [],
    {},
    {"a\0b": True},
    {"\ud800": "\0"},
)
NASTY_BODIES = (
    b"",
    b"{",
    b"\xff\xfe\x00",
    b"[" * 100_000,
    b"9" * 5_000,
    b'{"a":' + b"9" * 5_000 + b"}",
    b"NaN",
    b'{"\\ud800": "\\u0000"}',
    b'{"\xed\xa0\x80": 1}',
    b"\xef\xbb\xbf{}",
)
NASTY_TYPES = ("application/json", "text/plain; charset=nope", "multipart/form-data", "application/json; charset=\xff")
NASTY_HEADERS = {
    "authorization": ("Bearer \xff\xfe", "Bearer", "Basic e", "\xff", "Bearer " + "x" * 20_000),
    "x-request-id": ("\xff", "a b", "x" * 9_000),
    "range": ("bytes=9-1", "bytes=-0", "bytes=99999999999999999999-", "bytes=a-b", "bytes=0-0,1-1,2-2", "\xff"),
    "if-none-match": ("\xff", '"'),
    "if-range": ("\xff", "Thu, 01 Jan 1970 00:00:00 GMT"),
    "content-encoding": ("gzip",),
    "forwarded": ("for=\xff",),
    "x-forwarded-for": ("\xff", "1.2.3.4, ::1%eth0"),
    "host": ("\xff", "a:99999"),
    "accept": ("\xff",),
}


@dataclass
class Api:
    """An API that listens at `url`. `headers` sign its caller in; `ids` are values of what really exists, by name."""

    app: FastAPI
    url: str
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    ids: dict[str, Any] = field(default_factory=dict)
    away: frozenset[int] = frozenset()
    """Statuses from 500 up that are right, because something the API needs is really away."""


@dataclass
class Findings:
    """What came of it."""

    operations: int = 0
    requests: int = 0
    by_status: dict[int, int] = field(default_factory=dict)
    slowest_seconds: float = 0
    defects: dict[str, str] = field(default_factory=dict)
    """The first request that shows it, by defect."""


@dataclass
class _Request:
    """A request that fits the document. `unused` are query parameters it leaves out."""

    method: str
    template: str
    path_parameters: dict[str, Any]
    query: dict[str, Any]
    unused: list[str]
    body: Any

    @classmethod
    def of(cls, case: Case[Any]) -> "_Request":
        query = dict(case.query or {})
        body = copy.deepcopy(case.body) if isinstance(case.body, (dict, list)) else None
        _cap_wait(body)
        return cls(
            method=case.method,
            template=case.operation.full_path,
            path_parameters=dict(case.path_parameters or {}),
            query=query,
            unused=[one.name for one in case.operation.query if one.name not in query],
            body=body,
        )

    def path(self, **changes: Any) -> str:
        path = self.template
        for name, value in {**self.path_parameters, **changes}.items():
            path = path.replace(f"{{{name}}}", _quoted(value))
        return path


def fuzz(api: Api, *, nasty: bool = True) -> Findings:
    """Fuzzes every operation. Blocking; what it sends is the same every time.

    Without `nasty` only what schemathesis makes is sent: enough for a second caller, who meets the same parsers.
    """
    schema = schemathesis.openapi.from_dict(_closed(api.app.openapi()))
    schema.config.generation.update(deterministic=True, database="none")
    found = Findings()
    with requests.Session() as session, httpx.Client(base_url=api.url, trust_env=False, timeout=30) as client:
        session.trust_env = False
        caller = _Caller(api, found, session, client)
        if nasty:
            paths = sorted(path for path, methods in api.app.openapi()["paths"].items() if "get" in methods)
            caller.fuzz_headers(paths[:2] + [path for path in paths if "file" in path])
        operations = [one.ok() for one in schema.get_all_operations() if isinstance(one, Ok)]
        assert len(operations) == sum(1 for _ in schema.get_all_operations()), "an operation cannot be read"
        for operation in sorted(operations, key=_ends_things):
            found.operations += 1
            caller.fuzz(operation, nasty)
    return found


def _closed(document: dict[str, Any]) -> dict[str, Any]:
    """The document without credentials, which schemathesis would make up, and with zips as bytes, which it can send."""
    document = copy.deepcopy(document)
    document.get("components", {}).pop("securitySchemes", None)
    for methods in document["paths"].values():
        for operation in methods.values():
            operation.pop("security", None)
            content = operation.get("requestBody", {}).get("content", {})
            if "application/zip" in content:
                content["application/octet-stream"] = content.pop("application/zip")
    return document


def _ends_things(operation: Any) -> tuple[bool, bool, str]:
    """Sorts what ends the session or removes things behind what needs them."""
    path = operation.path
    ends = path.endswith(("/stop", "/unstage", "/decision"))
    return path.endswith("/sign-out"), operation.method.lower() == "delete" or ends, path


class _Caller:
    def __init__(self, api: Api, found: Findings, session: requests.Session, client: httpx.Client) -> None:
        self._api, self._found, self._session, self._client = api, found, session, client

    def fuzz(self, operation: Any, nasty: bool) -> None:
        fitting: list[_Request] = []
        self._generated(operation, GenerationMode.POSITIVE, fitting.append)
        with suppress(Unsatisfiable):  # where any text fits, or nothing is asked for
            self._generated(operation, GenerationMode.NEGATIVE, lambda _: None)
        if fitting and nasty:
            richest = max(fitting, key=lambda one: len(list(_places(one.body))) + len(one.query))
            for path, query, body in _mutants(richest):
                options = {} if body is None else {"content": json.dumps(body).encode()}
                self._send(richest.method, path, query, options)
            self._raw_bodies(richest)

    def _generated(self, operation: Any, mode: GenerationMode, seen: Callable[[_Request], None]) -> None:
        @settings(
            max_examples=EXAMPLES,
            derandomize=True,
            database=None,
            deadline=None,  # answers are timed here, making a request is not
            phases=[Phase.generate],  # a defect is noted, not shrunk
            suppress_health_check=list(HealthCheck),  # some patterns are rarely met by chance
        )
        @given(operation.as_strategy(generation_mode=mode))
        def run(case: Case[Any]) -> None:
            if mode is GenerationMode.POSITIVE:
                self._anchor(case)
                seen(_Request.of(case))
            _cap_wait(case.body)
            shown = f"{case.method} {case.formatted_path} {case.query} {case.body!r}"[:600]
            url, session, headers = self._api.url, self._session, self._api.headers
            self._ask(shown, lambda: case.call(url, session, headers, timeout=30), case)

        run()

    def _anchor(self, case: Case[Any]) -> None:
        """Puts what really exists where it is named, so that the call gets beyond the first look-up."""
        for name in case.path_parameters or {}:
            case.path_parameters[name] = self._api.ids.get(name, case.path_parameters[name])
        if isinstance(case.body, dict):
            case.body.update({name: value for name, value in self._api.ids.items() if name in case.body})

    def _raw_bodies(self, fitting: "_Request") -> None:
        if fitting.method in {"POST", "PUT", "PATCH"}:
            for body in NASTY_BODIES:
                self._send(fitting.method, fitting.path(), fitting.query, {"content": body})
            for content_type in NASTY_TYPES:
                options = {"content": b'{"a": 1}', "headers": {"content-type": content_type.encode("latin-1")}}
                self._send(fitting.method, fitting.path(), fitting.query, options)

    def fuzz_headers(self, paths: list[str]) -> None:
        """Odd headers in GETs, in place of the caller's own; and pages and methods that there are not."""
        for template in paths:
            path = template
            for name, value in self._api.ids.items():
                path = path.replace(f"{{{name}}}", str(value))
            headers = [(name, text) for name, texts in NASTY_HEADERS.items() for text in texts]
            headers += [(name, text) for name in self._api.headers for text in ("\xff", "x" * 9_000)]
            for name, text in headers:
                self._send("GET", path, {}, {"headers": {name: text.encode("latin-1")}})
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"):
            for path in ("/no/such/page", "/%00%ff", "//", *paths[:1]):
                self._send(method, path, {}, {})

    def _send(self, method: str, path: str, query: dict[str, Any], options: dict[str, Any]) -> None:
        text = "&".join(f"{quote(name)}={_quoted(value)}" for name, value in query.items())
        usual = {"content-type": "application/json"} if "content" in options else {}
        own = {**self._api.headers, **usual} | options.pop("headers", {})
        url = f"{self._api.url}{path}" + (f"?{text}" if text else "")
        shown = f"{method.upper()} {url[:300]} {_odd(own)} {options.get('content', b'')[:300]!r}"
        self._ask(
            shown, lambda: Response.from_httpx(self._client.request(method, url, headers=own, **options), verify=True)
        )

    def _ask(self, shown: str, call: Callable[[], Response], case: Case[Any] | None = None) -> None:
        started = time.monotonic()
        try:
            answer = call()
        except (httpx.TransportError, requests.ConnectionError):
            # A server that failed the request before closes its connection afterwards; that one is on record.
            answer = call()
        self._judge(shown, answer, time.monotonic() - started, case)

    def _judge(self, request: str, answer: Response, seconds: float, case: Case[Any] | None) -> None:
        found, status = self._found, answer.status_code
        found.requests += 1
        found.by_status[status] = found.by_status.get(status, 0) + 1
        found.slowest_seconds = max(found.slowest_seconds, seconds)
        where = request.split("?", 1)[0][:120]
        if seconds > MAX_SECONDS:
            found.defects.setdefault(f"slow: {where}", f"{seconds:.1f} s: {request}")
        if status >= 500 and status not in self._api.away:
            found.defects.setdefault(f"{status}: {where}", f"{request}\n{answer.content[:300]!r}")
        elif status >= 400:
            if complaint := _not_a_problem(answer):
                found.defects.setdefault(f"{complaint}: {where}", f"{status} {request}\n{answer.content[:300]!r}")
        elif case is not None:
            try:
                case.operation.validate_response(answer, case=case)
            except Failure as failure:
                found.defects.setdefault(f"not as documented: {where}", f"{status} {request}\n{failure}")


def _not_a_problem(answer: Response) -> str:
    """Why the error is no problem document; empty if it is one."""
    if not str(answer.headers.get("content-type", [""])[0]).startswith(PROBLEM_JSON):
        return "no problem document"
    if answer.request.method == "HEAD":
        return ""
    body = json.loads(answer.content)
    if body.get("status") != answer.status_code or not body.get("code") or not body.get("title"):
        return "incomplete problem document"
    return ""


def _mutants(fitting: _Request) -> Iterator[tuple[str, dict[str, Any], Any]]:
    """The request with one value replaced: (path, query, body)."""
    for name in (*fitting.query, *fitting.unused):
        for value in NASTY_TEXTS[:-2]:  # the last is longer than a URL may be
            yield fitting.path(), {**fitting.query, name: value}, fitting.body
    for name in fitting.path_parameters:
        for value in NASTY_TEXTS[:3]:
            yield fitting.path(**{name: value}), fitting.query, fitting.body
    for place in list(_places(fitting.body))[:MAX_MEMBERS]:
        for nasty in NASTY_VALUES:
            if place[-1] != "wait_seconds" or not isinstance(nasty, (int, float)):
                yield fitting.path(), fitting.query, _replaced(fitting.body, place, nasty)


def _places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where in a JSON value something can be replaced, outer values before inner ones."""
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value[:1]))
    else:
        return
    yield from ((*place, name) for name, _ in inner)
    for name, item in inner:
        yield from _places(item, (*place, name))


def _replaced(body: Any, place: tuple[Any, ...], value: Any) -> Any:
    changed = copy.deepcopy(body)
    holder = changed
    for step in place[:-1]:
        holder = holder[step]
    holder[place[-1]] = value
    return changed


def _quoted(value: Any) -> str:
    return quote(str(value), safe="", errors="surrogatepass")


def _cap_wait(body: Any) -> None:
    """A long poll would hold the run up, not the API."""
    if isinstance(body, dict) and isinstance(body.get("wait_seconds"), (int, float)):
        body["wait_seconds"] = min(body["wait_seconds"], 0.05)


def _odd(headers: dict[str, Any]) -> dict[str, Any]:
    return {name: value[:60] for name, value in headers.items() if isinstance(value, bytes)}
