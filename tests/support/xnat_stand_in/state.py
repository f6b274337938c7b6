"""What the stand-in remembers: one document, written whole after every change, to a file or to PostgreSQL."""

import asyncio
import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Any, Protocol

FRESH: dict[str, Any] = {
    "next": 1,
    "site": {"initialized": False, "siteUrl": "", "siteId": "XNAT", "requireLogin": True},
    "dqr": {"allowAllUsersToUseDqr": "true", "allowAllProjectsToUseDqr": "false", "dqrCallingAe": ""},
    "anonymize": {"script": 'version "6.3"\n', "enabled": False},
    "users": {
        "admin": {"password": "admin", "email": "admin@example.org", "enabled": True, "roles": ["Administrator"]},
        "guest": {"password": "", "email": "guest@example.org", "enabled": True, "roles": []},
    },
    # XNAT makes this receiver by itself at its first start.
    "receivers": [{"id": 1, "aeTitle": "XNAT", "port": 8104, "enabled": True, "identifier": "dicomObjectIdentifier"}],
    "pacs": [],
    "projects": {},
    "experiments": {},
    "prearchive": [],
    "queue": [],
    "history": [],
}


class Storage(Protocol):
    def load(self) -> dict[str, Any] | None: ...
    def save(self, document: str) -> None: ...


class FileStorage:
    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> dict[str, Any] | None:
        return json.loads(self._path.read_text()) if self._path.exists() else None

    def save(self, document: str) -> None:
        fresh = self._path.with_suffix(".new")
        fresh.write_text(document)
        fresh.replace(self._path)


class PostgresStorage:
    """The document in the database that `xnat-conf.properties` names, as XNAT keeps its own there."""

    def __init__(self, properties: Path) -> None:
        import asyncpg

        found = dict(re.findall(r"^datasource\.(\w+)=(.*)$", properties.read_text(), re.MULTILINE))
        address = found["url"].removeprefix("jdbc:")
        self._loop = asyncio.new_event_loop()
        self._connection = self._loop.run_until_complete(
            asyncpg.connect(address, user=found["username"], password=found["password"])
        )
        self._run("CREATE TABLE IF NOT EXISTS stand_in (id int PRIMARY KEY, document text NOT NULL)")

    def load(self) -> dict[str, Any] | None:
        rows = self._loop.run_until_complete(self._connection.fetch("SELECT document FROM stand_in"))
        return json.loads(rows[0]["document"]) if rows else None

    def save(self, document: str) -> None:
        self._run(
            "INSERT INTO stand_in VALUES (1, $1) ON CONFLICT (id) DO UPDATE SET document = excluded.document", document
        )

    def _run(self, statement: str, *values: str) -> None:
        self._loop.run_until_complete(self._connection.execute(statement, *values))


class State:
    """The document, one change at a time."""

    def __init__(self, storage: Storage) -> None:
        self._storage, self._lock = storage, RLock()
        self.document: dict[str, Any] = storage.load() or json.loads(json.dumps(FRESH))

    @contextmanager
    def change(self) -> Iterator[dict[str, Any]]:
        """The document, for as long as the block lasts nobody else's; it is saved at its end."""
        with self._lock:
            yield self.document
            self._storage.save(json.dumps(self.document))

    def number(self) -> int:
        with self.change() as document:
            document["next"] += 1
            return int(document["next"])


def now() -> int:
    return int(time.time() * 1000)
