"""Studies from the PACS into an XNAT project, by XNAT's DICOM query-retrieve plugin (DQR)."""

import asyncio
import hashlib
import re
import time
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from flip_trust.imaging.store import FoundStudy, StoreError, StoreUnavailable
from flip_trust.imaging.stores.matching import check_complete, matching_studies
from flip_trust.imaging.stores.xnat_client import XnatClient, json_of

_FIRST_POLL_SECONDS, _LAST_POLL_SECONDS = 0.05, 2.0
_NONE = frozenset({204})
_ABSENT = frozenset({404})
_BROKEN = frozenset({"ERROR", "CONFLICT"})
_AT_WORK = frozenset({"PROCESSING", "ISSUED"})
# What a session's DICOM lies in; other collections are derived from it, by XNAT or by an app.
_DICOM = frozenset({"DICOM", "secondary"})


@dataclass(frozen=True)
class Session:
    """An image session of a project in XNAT: one study, under a label that says which."""

    project: UUID
    accession: str
    label: str
    study: FoundStudy


def sessions_of(project: UUID, accession: str, studies: list[FoundStudy]) -> list[Session]:
    """The sessions that these studies become: the accession number is the label; several are told apart by a digest."""
    if len(studies) == 1:
        return [Session(project, accession, accession, studies[0])]
    return [Session(project, accession, f"{accession}_{_digest(study.uid)}", study) for study in studies]


def is_label_of(accession: str, label: str) -> bool:
    """Whether a session with this label is one of the accession number's."""
    return re.fullmatch(rf"{re.escape(accession)}(_[0-9a-f]{{8}})?", label) is not None


class XnatImports:
    """Finds studies, orders them, and waits until they lie in the project."""

    def __init__(self, client: XnatClient, *, import_seconds: float) -> None:
        self._client, self._import_seconds = client, import_seconds

    async def find(self, accession: str) -> list[FoundStudy]:
        """The studies that the PACS has under this accession number, with their number of instances if it says so.

        Raises:
            StudyMissing: it has none.
            StoreError: XNAT does not know the PACS.
        """
        pacs = await self._pacs()
        query = {"pacsId": pacs, "accessionNumber": accession}
        response = await self._client.call("POST", "/xapi/dqr/query/studies", json=query, also=_NONE)
        answers = json_of(response) if response.status_code == 200 else []
        found = matching_studies(accession, [(_text(item, "accessionNumber"), _uid(item), "") for item in answers])
        counts = await self._instances(pacs, [study.uid for study in found])
        return [FoundStudy(study.uid, counts.get(study.uid)) for study in found]

    async def bring(self, session: Session) -> list[str]:
        """Has the study in the project, whole, and returns the paths of its DICOM files.

        What an earlier call left on its way is waited for; what it left broken is thrown away and ordered again.

        Raises:
            StoreUnavailable: the PACS sent less, or XNAT failed, or took longer than it may.
        """
        deadline, pause = time.monotonic() + self._import_seconds, _FIRST_POLL_SECONDS
        ordered: int | None = None
        state = "NONE"
        while True:
            # In this order: a session leaves the prearchive after it has come into the archive.
            if ordered is not None:
                state = await self._state(session, ordered)
            waiting = [row for row in await self.prearchive(session.project) if row["name"] == session.label]
            queued = await self._queued(session)
            coming = bool(waiting) or state in _AT_WORK or queued is not None
            files = await self.files(session)
            wanted = session.study.instances
            if files and (len(files) >= wanted if wanted else not coming):
                return files
            broken = [row["status"] for row in waiting if row["status"] in _BROKEN]
            if ordered is None and (broken or not coming or queued is not None):
                await self._clear(session, waiting)
                ordered = queued if queued is not None else await self._order(session)
            elif broken:
                raise StoreUnavailable(f"XNAT holds the study back in its prearchive: {broken[0]}")
            elif state == "FAILED":
                raise StoreUnavailable(
                    f"the PACS did not send the study to XNAT; does it know AE title {self._client.server.ae_title}?"
                )
            elif files is not None and not coming:
                check_complete(session.study, len(files))
            if time.monotonic() > deadline:
                raise StoreUnavailable(
                    f"XNAT did not archive the study within XNAT_IMPORT_SECONDS={self._import_seconds:.0f}: "
                    f"its order is {state}, its prearchive holds {len(waiting)}"
                )
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LAST_POLL_SECONDS)

    async def files(self, session: Session) -> list[str] | None:
        """Paths of the DICOM files of the session in the archive; None when it is not there."""
        found = await self.experiment(session.project, session.label)
        if found is None:
            return None
        rows = await self._client.rows(f"/data/experiments/{found}/scans/ALL/files", also=_ABSENT)
        return sorted(_file_path(row) for row in rows if row.get("collection") in _DICOM)

    async def experiment(self, project: UUID, label: str) -> str | None:
        """XNAT's own number of the project's session with this label."""
        path = f"/data/projects/{project}/experiments/{label}"
        answer = await self._client.get(path, also=_ABSENT, format="json")
        if answer is None:
            return None
        try:
            number = str(answer["items"][0]["data_fields"]["ID"])
        except (KeyError, IndexError, TypeError):
            raise StoreError(f"XNAT answered GET {path} in a form not known") from None
        return _checked(number, r"[A-Za-z0-9_-]+", "number of a session")

    async def prearchive(self, project: UUID) -> list[dict[str, str]]:
        """What of the project is not in the archive yet: `name`, `status` and `url` of each."""
        rows = await self._client.rows(f"/data/prearchive/projects/{project}", also=_ABSENT)
        return [
            # An underscore before a status only says that XNAT is at work on it.
            {"name": _text(row, "name"), "status": _text(row, "status").lstrip("_"), "url": _text(row, "url")}
            for row in rows
        ]

    async def discard(self, row: dict[str, str]) -> None:
        """Throws a session in the prearchive away."""
        url = _checked(row["url"], r"(/[A-Za-z0-9_.~-]+)+", "path in the prearchive")
        await self._client.call("DELETE", f"/data{url}", also=_ABSENT)

    async def cancel(self, project: UUID, accession: str) -> None:
        """Takes the study's orders off XNAT's queue."""
        orders = [row["id"] for row in await self._queue(project) if row.get("accessionNumber") == accession]
        if orders:
            await self._client.call("POST", "/xapi/dqr/import/queue", json=orders, also=_ABSENT)

    async def _pacs(self) -> int:
        wanted = self._client.server.pacs
        for item in await self._client.get("/xapi/pacs"):
            if item.get("aeTitle") == wanted:
                return int(item["id"])
        raise StoreError(f"XNAT knows no PACS with AE title {wanted}: register it there, or correct XNAT_PACS")

    async def _instances(self, pacs: int, studies: list[str]) -> dict[str, int]:
        query = {"pacsId": pacs, "studyInstanceUids": studies}
        # 404: a plugin older than this question. The PACS may leave the numbers out, too.
        response = await self._client.call("POST", "/xapi/dqr/query/series", json=query, also=_NONE | _ABSENT)
        answer = json_of(response) if response.status_code == 200 else {}
        counts = {
            study: [series.get("numberOfRelatedInstances") for series in (answer.get(study) or {}).get("results") or []]
            for study in studies
        }
        return {study: sum(found) for study, found in counts.items() if found and None not in found}

    async def _order(self, session: Session) -> int:
        server = self._client.server
        body = {
            "pacsId": await self._pacs(),
            "aeTitle": server.ae_title,
            "port": server.ae_port,
            "projectId": str(session.project),
            # Forced, XNAT would file the study under the patient's name where it cannot relabel.
            "forceImport": False,
            "studies": [
                {
                    "studyInstanceUid": session.study.uid,
                    "accessionNumber": session.accession,
                    "relabelMap": {"Subject": session.accession, "Session": session.label},
                }
            ],
        }
        placed = json_of(await self._client.call("POST", "/xapi/dqr/import", json=body))
        if not placed:
            raise StoreUnavailable("XNAT took no order for the study: its PACS no longer has it")
        return int(placed[0]["queuedTime"])

    async def _queue(self, project: UUID) -> list[dict[str, Any]]:
        rows = await self._client.get("/xapi/dqr/import/queue", pageSize=1000)
        return [row for row in rows if row.get("xnatProject") == str(project)]

    async def _queued(self, session: Session) -> int | None:
        rows = await self._queue(session.project)
        times = [int(row["queuedTime"]) for row in rows if row.get("studyInstanceUid") == session.study.uid]
        return min(times, default=None)

    async def _state(self, session: Session, ordered: int) -> str:
        for row in await self._client.get("/xapi/dqr/import/history", sort="desc", pageSize=1000):
            if (
                row.get("xnatProject") == str(session.project)
                and row.get("studyInstanceUid") == session.study.uid
                and int(row.get("queuedTime") or 0) >= ordered
            ):
                return _text(row, "status")
        return "QUEUED"

    async def _clear(self, session: Session, waiting: list[dict[str, str]]) -> None:
        for row in waiting:
            if row["status"] in _BROKEN:
                await self.discard(row)
        path = f"/data/projects/{session.project}/experiments/{session.label}"
        await self._client.call("DELETE", path, params={"removeFiles": "true"}, also=_ABSENT)


def _digest(uid: str) -> str:
    return hashlib.sha256(uid.encode()).hexdigest()[:8]


def _text(item: dict[str, Any], name: str) -> str:
    return str(item.get(name) or "")


def _uid(item: dict[str, Any]) -> str:
    return _text(item, "studyInstanceUid")


def _file_path(row: dict[str, Any]) -> str:
    return _checked(_text(row, "URI"), r"/data(/[A-Za-z0-9_.~%+ -]+)+", "path of a file")


def _checked(value: str, pattern: str, what: str) -> str:
    if not re.fullmatch(pattern, value) or "/../" in value:
        raise StoreError(f"XNAT answered with a {what} that is none: refused")
    return value
