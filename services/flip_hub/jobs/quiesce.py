"""The quiesce switch: while it is on no job starts, and those that run go on, so that a hub can be upgraded.

It is one row of the database, for all hubs on it. Whoever begins a submission holds the row until that is written down,
so once the switch is on, `running` counts every job that an FL server holds or is about to.
"""

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from flip_hub.audit.service import record
from flip_hub.auth import Principal
from flip_hub.db import utcnow
from flip_hub.jobs.schemas import QuiesceRequest, QuiesceState
from flip_hub.jobs.service import OPEN_STATUSES, wake_watcher
from flip_hub.jobs.tables import Job, QuiesceSwitch

ONLY_ROW = 1


async def state(session: AsyncSession) -> QuiesceState:
    """How the switch stands, and what there is to wait for."""
    switch = await _switch(session)
    # A hub of the release before, which may run beside this one, submits without noting that it began.
    begun_at = func.coalesce(Job.submission_began_at, Job.submitted_at)
    counted = select(func.count(Job.id), func.count(begun_at)).where(Job.status.in_(OPEN_STATUSES))
    there, begun = (await session.execute(counted)).one()
    on = switch.since is not None
    return QuiesceState(
        on=on,
        since=switch.since,
        by=switch.by,
        reason=switch.reason,
        running=begun,
        waiting=there - begun,
        drained=on and begun == 0,
    )


async def turn(session: AsyncSession, principal: Principal, body: QuiesceRequest) -> QuiesceState:
    """Turns the switch; to turn it again the same way changes nothing but the reason. Off, jobs that wait start."""
    switch = await session.get_one(QuiesceSwitch, ONLY_ROW, with_for_update=True, populate_existing=True)
    before = {"on": switch.since is not None, "reason": switch.reason}
    after = {"on": body.on, "reason": body.reason if body.on else ""}
    if after != before:
        if not body.on:
            switch.since, switch.by = None, ""
        elif switch.since is None:
            switch.since, switch.by = utcnow(), principal.email
        switch.reason = str(after["reason"])
        await record(session, principal, "jobs.quiesce", "jobs", "quiesce", before, after)
        await wake_watcher(session)
    return await state(session)


async def is_on(session: AsyncSession, *, hold: bool = False) -> bool:
    """Whether no job may start; `hold`: and it stays so until the transaction ends."""
    switch = await _switch(session, hold=hold)
    return switch.since is not None


async def _switch(session: AsyncSession, *, hold: bool = False) -> QuiesceSwitch:
    lock = {"read": True} if hold else None
    return await session.get_one(QuiesceSwitch, ONLY_ROW, with_for_update=lock, populate_existing=True)
