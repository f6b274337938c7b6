#!/usr/bin/env python3
"""A stand-in for Loki: takes logs (as JSON; Alloy sends protobuf), keeps them on disk, gives them back by their labels.

It refuses settings with which the real one would keep logs for ever, and is ready only a moment after its start.
"""

import argparse
import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import yaml

READY_AFTER_SECONDS = 3
parser = argparse.ArgumentParser()
parser.add_argument("-config.file", dest="file", type=Path, required=True)
text = parser.parse_args().file.read_text()
settings = yaml.safe_load(text)
started = time.monotonic()
lock = threading.Lock()


def checked() -> Path:
    """Where logs are kept."""
    compactor, schema = settings["compactor"], settings["schema_config"]["configs"][-1]
    assert compactor["retention_enabled"], "logs would be kept for ever"
    assert compactor["delete_request_store"], "compactor.delete-request-store should be configured"
    assert (schema["store"], schema["schema"], schema["index"]["period"]) == ("tsdb", "v13", "24h")
    assert re.fullmatch(r"\d+h", settings["limits_config"]["retention_period"])
    assert settings["analytics"]["reporting_enabled"] is False
    chunks = Path(settings["common"]["storage"]["filesystem"]["chunks_directory"])
    chunks.mkdir(parents=True, exist_ok=True)
    return chunks / "streams.jsonl"


class Handler(BaseHTTPRequestHandler):
    """The few paths FLIP uses."""

    def answer(self, status: int, body: str = "", kind: str = "text/plain") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path == "/ready":
            ready = time.monotonic() - started > READY_AFTER_SECONDS
            self.answer(200 if ready else 503, "ready" if ready else "Ingester not ready: waiting")
        elif url.path == "/metrics":
            self.answer(200, 'loki_build_info{version="stand-in"} 1\n')
        elif url.path == "/config":
            self.answer(200, text)
        elif url.path == "/loki/api/v1/query_range":
            wanted = dict(re.findall(r'(\w+)="([^"]*)"', parse_qs(url.query)["query"][0]))
            with lock:
                streams = [json.loads(line) for line in store.read_text().splitlines()] if store.exists() else []
            found = [one for one in streams if wanted.items() <= one["stream"].items()]
            self.answer(200, json.dumps({"data": {"resultType": "streams", "result": found}}), "application/json")
        else:
            self.answer(404)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != "/loki/api/v1/push":
            self.answer(404)
            return
        with lock, store.open("a") as file:
            file.writelines(json.dumps(stream) + "\n" for stream in body["streams"])
        self.answer(204)

    def log_message(self, *_: object) -> None:
        """Nothing."""


store = checked()
ThreadingHTTPServer(("", settings["server"]["http_listen_port"]), Handler).serve_forever()
