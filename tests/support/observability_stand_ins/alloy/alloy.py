#!/usr/bin/env python3
"""A stand-in for Alloy: reads the log files that a discovery.file names and sends their lines to the one loki.write.

Of the configuration it knows the components that FLIP uses, by their text; it checks none of the syntax.
"""

import argparse
import json
import re
import threading
import time
import urllib.request
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("verb", choices=["run"])
parser.add_argument("file", type=Path)
parser.add_argument("--storage.path", dest="storage", type=Path, required=True)
parser.add_argument("--server.http.listen-addr", dest="listen", default="127.0.0.1:12345")
parser.add_argument("--disable-reporting", action="store_true")
given = parser.parse_args()
text = re.sub(r"(?m)^\s*//.*$", "", given.file.read_text())
for component in ("discovery.file", "loki.source.file", "loki.process", "stage.docker {}", "loki.write"):
    assert component in text, f"{given.file} has no {component}"
(targets,) = re.findall(r'files\s*=\s*\["([^"]+)"\]', text)
(url,) = re.findall(r'url\s*=\s*"([^"]+)"', text)
positions_file = given.storage / "positions.json"
positions: dict[str, int] = json.loads(positions_file.read_text()) if positions_file.exists() else {}


class Handler(BaseHTTPRequestHandler):
    """Ready, and its measures."""

    def do_GET(self) -> None:
        body = {"/-/ready": b"Alloy is ready.\n", "/metrics": b'alloy_build_info{version="stand-in"} 1\n'}
        self.send_response(200 if self.path in body else 404)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        self.wfile.write(body.get(self.path, b""))

    def log_message(self, *_: object) -> None:
        """Nothing."""


def new_lines(path: Path) -> list[dict[str, str]]:
    """Whole lines that Docker has written since the last look; from the beginning in a file that was rotated."""
    begin = positions.get(str(path), 0)
    with path.open("rb") as file:
        begin = file.seek(begin if begin <= path.stat().st_size else 0)
        whole = file.read().rpartition(b"\n")[0]
    positions[str(path)] = begin + len(whole) + bool(whole)
    return [json.loads(line) for line in whole.splitlines()]


def look() -> None:
    """Sends what is new, and remembers how far it came."""
    streams: dict[str, list[list[str]]] = defaultdict(list)
    for target in json.loads(Path(targets).read_text()):
        labels = target["labels"]
        own = {name: value for name, value in labels.items() if not name.startswith("__")}
        for line in new_lines(Path(labels["__path__"])):
            streams[json.dumps({**own, "stream": line["stream"]})].append([str(time.time_ns()), line["log"].rstrip()])
    body = {"streams": [{"stream": json.loads(labels), "values": values} for labels, values in streams.items()]}
    if streams:
        request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
        urllib.request.urlopen(request, timeout=10).close()
    positions_file.write_text(json.dumps(positions))


host, _, port = given.listen.rpartition(":")
threading.Thread(target=ThreadingHTTPServer((host, int(port)), Handler).serve_forever, daemon=True).start()
while True:
    try:
        look()
    except OSError as error:
        positions = json.loads(positions_file.read_text()) if positions_file.exists() else {}
        print(error, flush=True)
    time.sleep(1)
