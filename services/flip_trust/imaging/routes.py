"""Routes of imaging-api; all but `/health` need a key: apps have one that opens studies' files only."""

import asyncio
import hashlib
from pathlib import Path
from typing import Annotated, BinaryIO
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi import Path as PathParameter
from fastapi.responses import StreamingResponse

from flip_common.web import Problem
from flip_common.wire import UpdateUserProfilePayload, UpdateUserProfileResult
from flip_trust.imaging.engine import Engine
from flip_trust.imaging.library import Library
from flip_trust.imaging.reading import members, require_imported
from flip_trust.imaging.room import Room
from flip_trust.imaging.schemas import CreateImports, ProjectImports, Resource, StoredResource
from flip_trust.imaging.settings import ImagingSettings
from flip_trust.imaging.store import ImagingStore
from flip_trust.imaging.zipping import stream_zip

RESOURCE_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$"
UPLOAD_PATHS = (r"/studies/[^/]+/resources",)
_CHUNK_BYTES = 1 << 20

router = APIRouter()
apps = APIRouter()


def _engine(request: Request) -> Engine:
    engine: Engine = request.app.state.engine
    return engine


def _library(request: Request) -> Library:
    library: Library = request.app.state.library
    return library


def _store(request: Request) -> ImagingStore:
    store: ImagingStore = request.app.state.store
    return store


def _settings(request: Request) -> ImagingSettings:
    settings: ImagingSettings = request.app.state.settings
    return settings


def _room(request: Request) -> Room:
    room: Room = request.app.state.room
    return room


EngineOf = Annotated[Engine, Depends(_engine)]
LibraryOf = Annotated[Library, Depends(_library)]
StoreOf = Annotated[ImagingStore, Depends(_store)]
SettingsOf = Annotated[ImagingSettings, Depends(_settings)]
RoomOf = Annotated[Room, Depends(_room)]
Accession = Annotated[str, PathParameter(max_length=64)]


@router.post("/imports", status_code=202)
async def create_imports(body: CreateImports, engine: EngineOf) -> ProjectImports:
    """Queues the studies that the project does not have yet; repeating it does nothing."""
    return await engine.add(body.project_id, body.accessions)


@router.get("/imports/{project_id}")
async def get_imports(project_id: UUID, engine: EngineOf) -> ProjectImports:
    """Where every study of the project stands."""
    return await engine.status(project_id)


@router.post("/imports/{project_id}/retry")
async def retry_imports(project_id: UUID, engine: EngineOf) -> ProjectImports:
    """Queues again what is MISSING or FAILED, or was imported and could not be converted."""
    return await engine.retry(project_id)


@router.delete("/imports/{project_id}", status_code=204)
async def delete_imports(project_id: UUID, engine: EngineOf) -> None:
    """Removes the project's images from this site's store and cache; the PACS keeps its own."""
    await engine.delete(project_id)


@apps.get(
    "/studies/{accession}/files",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/zip": {}}}},
)
async def get_study_files(
    accession: Accession, project_id: UUID, resource: Resource, engine: EngineOf, library: LibraryOf
) -> Response:
    """A zip of the study's files: NIfTI `input_*`, `label_*`; DICOM `dicom/*`; SEG `seg/*`; ALL also `resources/*`."""
    found = await members(engine, library, project_id, accession, resource)
    return StreamingResponse(stream_zip(found), media_type="application/zip")


@apps.put(
    "/studies/{accession}/resources",
    openapi_extra={"requestBody": {"content": {"application/octet-stream": {}}, "required": True}},
)
async def put_study_resource(
    *,
    accession: Accession,
    project_id: UUID,
    name: Annotated[str, Query(pattern=RESOURCE_NAME)],
    request: Request,
    engine: EngineOf,
    library: LibraryOf,
    store: StoreOf,
    settings: SettingsOf,
    room: RoomOf,
) -> StoredResource:
    """Stores the body as a derived file beside the study; one of the same name is replaced."""
    await require_imported(engine, project_id, accession)
    with library.incoming() as folder:
        stored = await _receive(request, folder / name, settings.resource_max_bytes, room)
        target = await asyncio.to_thread(library.put_resource, project_id, accession, name, folder / name)
    await store.attach(project_id, accession, name, target)
    return stored


@router.put("/users/{username:path}")  # a slash is a fine part of an e-mail address
async def put_user(username: str, body: UpdateUserProfilePayload, store: StoreOf) -> UpdateUserProfileResult:
    """Creates, changes or disables a user of the imaging store, where the store has users."""
    if body.username != username:
        raise Problem(422, "invalid_request", "the username in the path and in the body differ")
    return await store.update_user(body)


async def _receive(request: Request, path: Path, limit: int, room: Room) -> StoredResource:
    size, digest, held = 0, hashlib.sha256(), bytearray()
    with path.open("wb") as file:  # opening is quick; the writing is done in a thread
        async for chunk in request.stream():
            size += len(chunk)
            if size > limit:
                raise Problem(413, "too_large", f"the file is over the limit of {limit} bytes")
            held += chunk
            if len(held) >= _CHUNK_BYTES:
                await asyncio.to_thread(_write, file, digest, held, room)
        await asyncio.to_thread(_write, file, digest, held, room)
    return StoredResource(name=path.name, size=size, sha256=digest.hexdigest())


def _write(file: BinaryIO, digest: "hashlib._Hash", held: bytearray, room: Room) -> None:
    room.check(len(held))
    file.write(held)
    file.flush()
    digest.update(held)
    held.clear()
