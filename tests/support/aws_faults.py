"""A way to AWS's stand-in on which things go wrong as they do on the way to AWS."""

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

_MESSAGE = "as the test wants it"
_XML = f"<?xml version='1.0'?><Error><Code>{{}}</Code><Message>{_MESSAGE}</Message></Error>"
_OWN = frozenset({"connection", "transfer-encoding", "date", "server"})


class FaultyWay(ThreadingHTTPServer):
    """Passes on what it is asked, unless told otherwise; notes methods and paths in `asked`."""

    daemon_threads = True

    def __init__(self, behind: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behind = urlsplit(behind).netloc
        self.asked: list[tuple[str, str]] = []
        self.fault: tuple[int, str] | None = None
        """Status and code to answer instead."""
        self.times = -1
        """How often; for good if negative."""
        self.methods: tuple[str, ...] = ("GET", "PUT", "POST", "DELETE", "HEAD")
        """Methods to which faults happen."""
        self.body_bytes: int | None = None
        """So much of a body is sent, and then `hold` is waited for before the connection ends."""
        self.hold = threading.Event()

    @property
    def url(self) -> str:
        host, port = self.server_address[:2]
        return f"http://{host!s}:{port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing of callers who leave, which tests let them do."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FaultyWay

    def _any(self) -> None:
        way = self.server
        way.asked.append((self.command, self.path))
        content = self.rfile.read(int(self.headers.get("content-length", 0)))
        if way.fault is not None and way.times and self.command in way.methods:
            way.times -= 1
            status, code = way.fault
            in_json = "x-amz-target" in self.headers  # all services but S3
            text = json.dumps({"__type": code, "message": _MESSAGE}) if in_json else _XML.format(code)
            kind = "application/x-amz-json-1.1" if in_json else "application/xml"
            self._answer(status, {"content-type": kind}, text.encode())
            return
        connection = HTTPConnection(way.behind, timeout=30)
        connection.request(self.command, self.path, content, dict(self.headers))
        response = connection.getresponse()
        headers = {name.lower(): value for name, value in response.getheaders() if name.lower() not in _OWN}
        self._answer(response.status, headers, response.read())
        connection.close()

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _any  # noqa: N815 - http.server's names

    def _answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
        way = self.server
        self.send_response(status)
        for name, value in {"content-length": str(len(content)), **headers}.items():
            if not (status == 204 and name == "content-length"):
                self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        cut = way.body_bytes is not None and self.command == "GET" and len(content) > way.body_bytes
        self.wfile.write(content[: way.body_bytes] if cut else content)
        if cut:
            self.wfile.flush()
            way.hold.wait(20)
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextmanager
def faulty_way(behind: str) -> Iterator[FaultyWay]:
    """The way, served until the block ends."""
    with FaultyWay(behind) as way:
        thread = threading.Thread(target=way.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        yield way
        way.hold.set()
        way.shutdown()
        thread.join()


@contextmanager
def refusing(code: str) -> Iterator[str]:
    """The address of an AWS that refuses everything so, for what moto does not know: permissions, disabled keys."""
    with faulty_way("http://127.0.0.1:9") as way:
        way.fault = (400, code)
        yield way.url
