"""XNAT: the trust's archive of each project's studies, which people browse."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID
from xml.sax.saxutils import escape

from flip_common.wire import UpdateUserProfilePayload, UpdateUserProfileResult
from flip_trust.imaging.accession import check_accession
from flip_trust.imaging.intake import Intake
from flip_trust.imaging.store import ImagingStore, StoreError, StoreUnavailable, StudyMissing
from flip_trust.imaging.stores.xnat_client import XnatClient, XnatServer
from flip_trust.imaging.stores.xnat_import import XnatImports, is_label_of, sessions_of
from flip_trust.imaging.stores.xnat_users import XnatUsers

AUTO_ARCHIVE = 4
"""XNAT's code of a project whose studies go to the archive by themselves, and never over one that is there."""
_DOWNLOADS = 4
_CHUNK_BYTES = 1 << 20
_ABSENT = frozenset({404})
_EXISTS = frozenset({409})


class XnatStore(ImagingStore):
    """Has studies imported into one private XNAT project per FLIP project, and takes their files from there.

    The project's ID is the FLIP project's. A subject is an accession number, its sessions are that one's studies.
    What XNAT's own anonymisation leaves out of a file is not in ours.
    """

    def __init__(self, server: XnatServer, *, timeout_seconds: float, import_seconds: float) -> None:
        self._client = XnatClient(server, timeout_seconds=timeout_seconds)
        self._imports = XnatImports(self._client, import_seconds=import_seconds)
        self._users = XnatUsers(self._client)
        self._projects: set[UUID] = set()
        self._making = asyncio.Lock()

    async def start(self) -> None:
        self._client.start()

    async def stop(self) -> None:
        await self._client.stop()

    async def fetch(self, project_id: UUID, accession: str, intake: Intake) -> None:
        try:
            check_accession(accession)
        except StoreError as error:
            raise StudyMissing(str(error)) from None  # never asked for: XNAT would hand the wildcard to the PACS
        studies = await self._imports.find(accession)
        await self._make_project(project_id)
        for session in sessions_of(project_id, accession, studies):
            files = await self._imports.bring(session)
            await self._download(files, session.label, intake)

    async def remove(self, project_id: UUID, accession: str) -> None:
        check_accession(accession)
        await self._imports.cancel(project_id, accession)
        for row in await self._imports.prearchive(project_id):
            if is_label_of(accession, row["name"]):
                await self._imports.discard(row)
        path = f"/data/projects/{project_id}/subjects/{accession}"
        await self._client.call("DELETE", path, params={"removeFiles": "true"}, also=_ABSENT)

    async def remove_project(self, project_id: UUID) -> None:
        path = f"/data/projects/{project_id}"
        await self._client.call("DELETE", path, params={"removeFiles": "true"}, also=_ABSENT)
        self._projects.discard(project_id)

    async def attach(self, project_id: UUID, accession: str, name: str, file: Path) -> None:
        check_accession(accession)
        resource = f"/data/experiments/{await self._session(project_id, accession)}/resources/{_resource_of(name)}"
        size = (await asyncio.to_thread(file.stat)).st_size
        await self._client.call("PUT", resource, also=_EXISTS)
        await self._client.call(
            "PUT",
            f"{resource}/files/{name}",
            params={"inbody": "true", "overwrite": "true"},
            headers={"Content-Type": "application/octet-stream", "Content-Length": str(size)},
            content=lambda: _chunks(file),
        )

    async def update_user(self, user: UpdateUserProfilePayload) -> UpdateUserProfileResult:
        return await self._users.update(user)

    async def _make_project(self, project: UUID) -> None:
        async with self._making:
            if project in self._projects:
                return
            path = f"/data/projects/{project}"
            if await self._client.get(path, also=_ABSENT, format="json") is None:
                await self._client.call(
                    "POST",
                    "/data/projects",
                    content=_project_xml(str(project)),
                    headers={"Content-Type": "application/xml"},
                    also=_EXISTS,
                )
            # Said each time: a start that was cut off here would leave the project as XNAT makes it.
            await self._client.call("PUT", f"{path}/accessibility/private")
            await self._client.call("PUT", f"{path}/prearchive_code/{AUTO_ARCHIVE}")
            self._projects.add(project)

    async def _session(self, project: UUID, accession: str) -> str:
        found = await self._imports.experiment(project, accession)
        if found is not None:
            return found
        rows = await self._client.rows(f"/data/projects/{project}/subjects/{accession}/experiments", also=_ABSENT)
        for label in sorted(str(row.get("label")) for row in rows):
            if is_label_of(accession, label) and (found := await self._imports.experiment(project, label)):
                return found
        raise StoreError("XNAT no longer has the study: retry its import")

    async def _download(self, files: list[str], prefix: str, intake: Intake) -> None:
        numbered = iter(enumerate(files))

        async def worker() -> None:
            for number, path in numbered:
                await self._download_one(path, f"{prefix}-{number:06d}.dcm", intake)

        workers = [asyncio.create_task(worker()) for _ in range(_DOWNLOADS)]
        try:
            await asyncio.gather(*workers)
        finally:
            for task in workers:
                task.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def _download_one(self, path: str, name: str, intake: Intake) -> None:
        async with self._client.stream("GET", path, also=_ABSENT) as response:
            if response.status_code == 404:
                raise StoreUnavailable("a file of the study vanished from XNAT")
            with intake.open(name) as file:
                async for chunk in response.aiter_bytes(_CHUNK_BYTES):
                    file.write(chunk)


def _resource_of(name: str) -> str:
    """Where XNAT shows a derived file: labels, other volumes, and all else."""
    if name.startswith("label_"):
        return "SEG"
    return "NIFTI" if name.endswith((".nii", ".nii.gz")) else "FILES"


def _project_xml(project: str) -> str:
    # XNAT takes no JSON here. A name must be new, too, so it holds the ID.
    fields: dict[str, Any] = {
        "ID": project,
        "secondary_ID": project,
        "name": f"FLIP {project}",
        "description": "Studies of a FLIP project. FLIP made it and removes it.",
    }
    inner = "".join(f"<xnat:{name}>{escape(value)}</xnat:{name}>" for name, value in fields.items())
    return f'<xnat:projectData xmlns:xnat="http://nrg.wustl.edu/xnat">{inner}</xnat:projectData>'


async def _chunks(file: Path) -> AsyncIterator[bytes]:
    reader = await asyncio.to_thread(file.open, "rb")
    try:
        while chunk := await asyncio.to_thread(reader.read, _CHUNK_BYTES):
            yield chunk
    finally:
        reader.close()
