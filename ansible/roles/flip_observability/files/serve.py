"""Hands Prometheus the file that flip-status writes: `python3 serve.py FILE`. Only the standard library."""

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

PORT = 9100
FORMAT = "text/plain; version=0.0.4; charset=utf-8"


class Handler(BaseHTTPRequestHandler):
    """/metrics is the file, /health says that this runs."""

    file: Path

    def do_GET(self) -> None:
        """Answers; 503 as long as the file is not there."""
        status, body = 404, b""
        if self.path == "/health":
            status = 200
        elif self.path == "/metrics":
            try:
                status, body = 200, self.file.read_bytes()
            except FileNotFoundError:
                status = 503
        self.send_response(status)
        self.send_header("Content-Type", FORMAT)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Says nothing: Prometheus asks twice a minute."""


if __name__ == "__main__":
    Handler.file = Path(sys.argv[1])
    ThreadingHTTPServer(("0.0.0.0", PORT), Handler).serve_forever()  # noqa: S104 - its network has five members
