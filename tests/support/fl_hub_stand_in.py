"""A small server in the hub's place: takes what an FL server reports."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SERVICE_KEY = "flip_test_service_key_0123456789"


class HubStandIn:
    """Takes what the FL server reports, as the hub's internal API would."""

    def __init__(self) -> None:
        self.metrics: dict[str, list[dict[str, Any]]] = {}
        self.exceptions: dict[str, list[dict[str, Any]]] = {}
        self.refuse = 0
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                _, _, _, models, model, what = self.path.split("/")
                status = stand_in.refuse or 204
                if self.headers["X-Internal-Service-Key"] != SERVICE_KEY or models != "models":
                    status = 401
                if status == 204 and what == "metrics":
                    stand_in.metrics.setdefault(model, []).extend(body["points"])
                if status == 204 and what == "exceptions":
                    stand_in.exceptions.setdefault(model, []).append(body)
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/api/internal"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends the server."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
