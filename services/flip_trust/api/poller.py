"""The poller: heartbeats, leases and attempts side by side, so that none waits for another."""

import asyncio
import logging
from datetime import UTC, datetime
from uuid import UUID

from flip_common.wire import (
    HeartbeatRequest,
    HeartbeatResponse,
    LeasedTask,
    LeaseRequest,
    SiteKey,
)
from flip_trust.api.attempt import Attempts, failed
from flip_trust.api.backoff import Backoff
from flip_trust.api.handlers import Handlers
from flip_trust.api.hub import HubClient, HubError, UnreadableTask
from flip_trust.api.settings import TrustApiSettings
from flip_trust.api.site import SiteService

LONGEST_PAUSE = 60.0
GIVE_UP_SECONDS = 3.0
NOTABLE_SKEW_SECONDS = 30.0

log = logging.getLogger(__name__)


class IdentityMismatch(Exception):  # noqa: N818 - it says what is the matter
    """The hub takes this trust for another than it is."""

    def __init__(self, expected: UUID, answered: UUID) -> None:
        super().__init__(
            f"the hub takes this trust for {answered}, but it is {expected} "
            "(EXPECTED_TRUST_ID, or the id at the first heartbeat); check TRUST_API_KEY and CENTRAL_HUB_API_URL"
        )


class Poller:
    """Everything between one trust and its hub. `run` it once."""

    def __init__(
        self,
        settings: TrustApiSettings,
        hub: HubClient,
        handlers: Handlers,
        services: tuple[SiteService, ...],
        fl_key: SiteKey | None = None,
    ) -> None:
        self._settings, self._hub, self._handlers = settings, hub, handlers
        self._services, self._fl_key = services, fl_key
        self._running: dict[UUID, tuple[int, asyncio.Task[None]]] = {}
        self._known = asyncio.Event()
        self.identity: HeartbeatResponse | None = None
        self.last_heartbeat_at: datetime | None = None
        self.heartbeat_problem = ""

    @property
    def tasks_running(self) -> int:
        """Attempts under way."""
        return len(self._running)

    async def run(self, stop: asyncio.Event) -> None:
        """Works until `stop` is set, then finishes what runs within DRAIN_SECONDS and gives the rest up.

        Raises:
            IdentityMismatch: at the first heartbeat or any later one; all work is dropped at once.
        """
        beats = asyncio.create_task(self._heartbeats())
        leases = asyncio.create_task(self._leases())
        fl_key = asyncio.create_task(self._send_fl_key())
        stopping = asyncio.create_task(stop.wait())
        background = {beats, leases, fl_key, stopping}
        try:
            # The FL key's task may end; the two loops end with an error only.
            ended, _ = await asyncio.wait({beats, leases, stopping}, return_when=asyncio.FIRST_COMPLETED)
            for one in ended:
                one.result()
            leases.cancel()
            await self._drain()
        finally:
            attempts = {attempt for _, attempt in self._running.values()}
            for one in background | attempts:
                one.cancel()
            await asyncio.wait(background | attempts)

    async def _heartbeats(self) -> None:
        interval = self._settings.heartbeat_interval_seconds
        backoff = Backoff(min(interval, self._settings.poll_interval_seconds), LONGEST_PAUSE)
        while True:
            health = await asyncio.gather(*(service.answers() for service in self._services))
            beat = HeartbeatRequest(
                release=self._settings.release,
                services={service.name: up for service, up in zip(self._services, health, strict=True)},
                tasks_running=self.tasks_running,
                sent_at=datetime.now(UTC),
            )
            try:
                answer = await self._hub.heartbeat(beat)
            except HubError as error:
                pause = backoff.next()
                _complain("heartbeat", error, pause)
                self.heartbeat_problem = str(error)
            else:
                self._recognise(answer)
                self.last_heartbeat_at, self.heartbeat_problem = datetime.now(UTC), ""
                backoff.reset()
                pause = interval
            await asyncio.sleep(pause)

    def _recognise(self, answer: HeartbeatResponse) -> None:
        expected = self._settings.expected_trust_id or (self.identity and self.identity.trust_id)
        if expected and answer.trust_id != expected:
            raise IdentityMismatch(expected, answer.trust_id)
        if self.identity is None:
            log.info("the hub (%s) knows this trust as %s, %s", answer.hub_version, answer.trust_name, answer.trust_id)
            if abs(answer.clock_skew_seconds) > NOTABLE_SKEW_SECONDS:
                log.warning(
                    "this machine's clock and the hub's differ by %.0f s; leases do not mind, certificates and "
                    "logs do: check the time service",
                    answer.clock_skew_seconds,
                )
        self.identity = answer
        self._known.set()

    async def _leases(self) -> None:
        await self._known.wait()
        assert self.identity is not None  # noqa: S101 - set before the event
        attempts = Attempts(self._hub, self._handlers, self._settings.payload_keys, self.identity)
        interval = self._settings.poll_interval_seconds
        backoff = Backoff(interval, LONGEST_PAUSE)
        clock = asyncio.get_running_loop().time
        while True:
            free = await self._free_slots()
            asked_at = clock()
            try:
                tasks = await self._hub.lease(LeaseRequest(max=free, wait_seconds=self._settings.lease_wait_seconds))
            except HubError as error:
                pause = backoff.next()
                _complain("lease", error, pause)
                await asyncio.sleep(pause)
                continue
            backoff.reset()
            for task in tasks:
                self._start(attempts, task)
            if not tasks:
                # A hub that held the poll open has paced us already: another pause would only delay tasks.
                await asyncio.sleep(max(0.0, interval - (clock() - asked_at)))

    async def _free_slots(self) -> int:
        turns = self._handlers.turns
        while (free := self._settings.task_concurrency - (len(self._running) - turns.waiting)) <= 0:
            turns.more_wait.clear()
            waits = asyncio.create_task(turns.more_wait.wait())
            running = [attempt for _, attempt in self._running.values()]
            try:
                await asyncio.wait([waits, *running], return_when=asyncio.FIRST_COMPLETED)
            finally:
                waits.cancel()
        return free

    def _start(self, attempts: Attempts, task: LeasedTask | UnreadableTask) -> None:
        _, earlier = self._running.get(task.task_id, (0, None))
        attempt = asyncio.create_task(_after(earlier, attempts, task))
        self._running[task.task_id] = (task.attempt, attempt)
        attempt.add_done_callback(lambda ended: self._ended(task.task_id, ended))

    def _ended(self, task_id: UUID, attempt: asyncio.Task[None]) -> None:
        # A later attempt at the same task may have taken the place.
        if self._running.get(task_id, (0, None))[1] is attempt:
            del self._running[task_id]
        if not attempt.cancelled() and (error := attempt.exception()):
            log.error("task %s: the attempt broke and its lease will run out", task_id, exc_info=error)

    async def _drain(self) -> None:
        log.info("stopping: no more leases, %d tasks running", self.tasks_running)
        if not self._running:
            return
        attempts = {attempt for _, attempt in self._running.values()}
        await asyncio.wait(attempts, timeout=self._settings.drain_seconds)
        rest = {task_id: number for task_id, (number, _) in self._running.items()}
        if not rest:
            return
        log.warning("giving up %d tasks that did not end within %s s", len(rest), self._settings.drain_seconds)
        for attempt in attempts:
            attempt.cancel()
        await asyncio.wait(attempts)
        # Best effort: told now, the hub need not wait for the leases to run out.
        goodbyes = [asyncio.create_task(self._give_up(*one)) for one in rest.items()]
        _, late = await asyncio.wait(goodbyes, timeout=GIVE_UP_SECONDS)
        for one in late:
            one.cancel()

    async def _give_up(self, task_id: UUID, attempt: int) -> None:
        text = "the trust stopped before the task was done"
        try:
            await self._hub.result(task_id, failed(attempt, "site_stopping", text, retryable=True))
        except HubError as error:
            log.warning("task %s given up unheard: %s", task_id, error)

    async def _send_fl_key(self) -> None:
        if self._fl_key is None:
            return
        await self._known.wait()
        backoff = Backoff(self._settings.poll_interval_seconds, LONGEST_PAUSE)
        while True:
            try:
                await self._hub.put_fl_key(self._fl_key)
            except HubError as error:
                if not (error.transient or error.refused_key):
                    log.error("the hub does not take the FL client's public key: %s", error)
                    return
                pause = backoff.next()
                _complain("FL key", error, pause)
                await asyncio.sleep(pause)
            else:
                log.info("the hub has the FL client's public key")
                return


async def _after(earlier: asyncio.Task[None] | None, attempts: Attempts, task: LeasedTask | UnreadableTask) -> None:
    """Runs an attempt once an earlier one at the same task, which has lost its lease by that, has ended."""
    if earlier is not None:
        earlier.cancel()
        await asyncio.wait({earlier})
    await attempts.run(task)


def _complain(what: str, error: HubError, pause: float) -> None:
    if error.refused_key:
        log.error(
            "%s: the hub refuses this trust's key; check TRUST_API_KEY (a rotation may be under way); "
            "next try in %.1f s: %s",
            what,
            pause,
            error,
        )
    else:
        log.warning("%s failed, next try in %.1f s: %s", what, pause, error)
