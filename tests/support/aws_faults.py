"""A way to AWS's stand-in on which things go wrong as they do on the way to AWS."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

_XML = "<?xml version='1.0'?><Error><Code>{}</Code><Message>as the test wants it</Message></Error>"
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
            self._answer(status, {"content-type": "application/xml"}, _XML.format(code).encode())
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
