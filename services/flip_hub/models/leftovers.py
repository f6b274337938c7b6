"""Files and the rows that name them: in which order they come, and how what no row names goes away.

A file is sent before the transaction that names it and made sure of within it, under the lock of the row that names it.
Nothing is removed but under that lock, and unless no row names it. So no row ever names a file that is not there,
whatever is refused, interrupted or done twice at once; what is left over is swept.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from flip_hub.db import utcnow
from flip_hub.jobs.tables import Job
from flip_hub.models.files import FileName, Kind, Spooled, StorageUnavailable
from flip_hub.models.tables import Model, ModelResult
from flip_hub.state import Hub

MAX_AGE = timedelta(days=1)
"""No upload takes as long; what is older and has no name was left behind."""

log = logging.getLogger(__name__)


@asynccontextmanager
async def sent(hub: Hub, name: FileName, spooled: Spooled) -> AsyncIterator[None]:
    """Sends a file ahead of the transaction in the block that names it, and takes it back if that is refused."""
    await hub.files.send(name, spooled)
    try:
        yield
    except Exception:
        await drop_unused(hub, name)
        raise


async def drop_unused(hub: Hub, name: FileName) -> None:
    """Removes a file, unless a row names it. What cannot be removed now is left to the sweep."""
    try:
        async with hub.db.transaction() as session:
            await _lock(session, name)
            if name not in await _named(session, name.model_id):
                await hub.files.remove(name)
    except StorageUnavailable as problem:
        log.warning("file %s of model %s is left to the sweep: %s", name.last, name.model_id, problem)


async def remove_files(hub: Hub, model_id: UUID) -> None:
    """Removes the files of a deleted model. What cannot be removed now is left to the sweep."""
    try:
        await hub.files.remove_model(model_id)
    except StorageUnavailable as problem:
        log.warning("files of deleted model %s are left to the sweep: %s", model_id, problem)


async def sweep(hub: Hub) -> None:
    """Removes files of deleted models, files over a day old that no row names, and remains of uploads.

    Files of models that this database does not know are left alone: they are another hub's, or came before a restore.

    Raises:
        StorageUnavailable: not everything was looked at.
    """
    before = utcnow() - MAX_AGE
    await hub.files.tidy(before)
    for model_id in await hub.files.models():
        async with hub.db.transaction() as session:
            model = await session.get(Model, model_id)
            named = await _named(session, model_id)
        if model is None:
            continue
        if model.deleted_at is not None:
            await hub.files.remove_model(model_id)
            continue
        for name, kept in (await hub.files.listed(model_id)).items():
            if name not in named and kept.at < before:
                await drop_unused(hub, name)


async def _lock(session: AsyncSession, name: FileName) -> None:
    """What whoever writes a row that names such a file holds: the model for an app, its job for a result."""
    query = {
        Kind.APP: select(Model.id).where(Model.id == name.model_id),
        Kind.RESULT: select(Job.id).where(Job.model_id == name.model_id),
    }[name.kind]
    await session.execute(query.with_for_update())


async def _named(session: AsyncSession, model_id: UUID) -> set[FileName]:
    """The model's files that rows name; none once it is deleted."""
    model = await session.get(Model, model_id)
    if model is None or model.deleted_at is not None:
        return set()
    results = await session.scalars(select(ModelResult.sha256).where(ModelResult.model_id == model_id))
    named = {FileName(model_id, Kind.RESULT, digest) for digest in results}
    return named | ({FileName(model_id, Kind.APP, model.app_sha256)} if model.app_sha256 else set())
