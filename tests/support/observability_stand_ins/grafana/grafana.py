#!/usr/bin/env python3
"""A stand-in for Grafana: settings, sign-in, provisioned data sources and dashboards, the way to the sources."""

import base64
import configparser
import json
import os
import re
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import yaml

OPEN = {"/api/health": b'{"database": "ok"}', "/metrics": b'grafana_build_info{version="stand-in"} 1\n'}
ini = configparser.ConfigParser(interpolation=None)
ini.read_file(open(os.environ["GF_PATHS_CONFIG"]))  # noqa: SIM115
data, provisioning = Path(os.environ["GF_PATHS_DATA"]), Path(os.environ["GF_PATHS_PROVISIONING"])


def setting(section: str, name: str) -> str:
    """A setting; one that names a file is what the file holds."""
    return re.sub(r"\$__file\{(.+?)\}", lambda match: Path(match[1]).read_text().strip(), ini[section][name])


def provisioned(kind: str) -> list[dict[str, object]]:
    """Entries of all files of a kind."""
    files = sorted((provisioning / kind).glob("*.yml"))
    key = {"datasources": "datasources", "dashboards": "providers"}[kind]
    return [entry for file in files for entry in yaml.safe_load(file.read_text())[key]]


# The password of the settings is that of the first start, as the real one's is.
database = data / "grafana.db"
if not database.exists():
    database.write_text(json.dumps({"admin": setting("security", "admin_password")}))
assert setting("security", "secret_key")
wanted = "Basic " + base64.b64encode(f"admin:{json.loads(database.read_text())['admin']}".encode()).decode()
sources = {str(source["uid"]): source for source in provisioned("datasources")}
folders = [Path(provider["options"]["path"]) for provider in provisioned("dashboards")]  # type: ignore[index]


class Handler(BaseHTTPRequestHandler):
    """The few paths the tests use."""

    def do_GET(self) -> None:
        status, body = self.found()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain" if self.path == "/metrics" else "application/json")
        self.end_headers()
        self.wfile.write(body)

    def found(self) -> tuple[int, bytes]:
        """Status and body."""
        if self.path in OPEN:
            return 200, OPEN[self.path]
        if self.headers["Authorization"] != wanted:
            return 401, b"{}"
        boards = [json.loads(file.read_text()) for folder in folders for file in folder.glob("*.json")]
        known = {"/api/datasources": list(sources.values()), "/api/search": boards}
        if self.path in known:
            return 200, json.dumps(known[self.path]).encode()
        proxied = re.fullmatch(r"/api/datasources/proxy/uid/(\w+)(/.+)", self.path)
        if not proxied or proxied[1] not in sources:
            return 404, b"{}"
        with urllib.request.urlopen(f"{sources[proxied[1]]['url']}{proxied[2]}", timeout=10) as answer:
            return 200, answer.read()

    def log_message(self, *_: object) -> None:
        """Nothing."""


ThreadingHTTPServer(("", int(setting("server", "http_port"))), Handler).serve_forever()
