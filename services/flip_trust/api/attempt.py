"""One attempt at one leased task: open the payload, do it, seal the answer, hand it in; keep the lease."""

import asyncio
import logging

from pydantic import ValidationError

from flip_common.envelope import Binding, EnvelopeError, open_sealed, seal
from flip_common.keys import PayloadKey
from flip_common.logs import request_id
from flip_common.wire import (
    PAYLOADS,
    RESULTS,
    HeartbeatResponse,
    LeasedTask,
    TaskError,
    TaskOutcome,
    TaskResultRequest,
    WireModel,
)
from flip_common.wire.task import MAX_ENVELOPE_CHARS
from flip_trust.api.backoff import Backoff
from flip_trust.api.handlers import Handlers
from flip_trust.api.hub import HubClient, HubError, UnreadableTask
from flip_trust.api.site import TaskFailure, failure

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 30.0

log = logging.getLogger(__name__)


def failed(attempt: int, code: str, detail: str, *, retryable: bool = False) -> TaskResultRequest:
    """The result of a failed attempt."""
    error = TaskError(code=code, detail=detail, retryable=retryable)
    return TaskResultRequest(attempt=attempt, outcome=TaskOutcome.FAILED, error=error)


class Attempts:
    """Does attempts. `identity` is who the hub takes this trust for; envelopes are bound to it."""

    def __init__(
        self, hub: HubClient, handlers: Handlers, keys: tuple[PayloadKey, ...], identity: HeartbeatResponse
    ) -> None:
        self._hub, self._handlers, self._keys, self._identity = hub, handlers, keys, identity

    async def run(self, task: LeasedTask | UnreadableTask) -> None:
        """Does one attempt to its end: a result accepted, or the lease lost."""
        request_id.set(str(task.task_id))
        if isinstance(task, UnreadableTask):
            await self._deliver(task, _unreadable(task))
            return
        log.info("task %s, attempt %d: started", task.type, task.attempt)
        work = asyncio.create_task(self._work(task))
        lease = asyncio.create_task(self._keep_lease(task))
        try:
            ended, _ = await asyncio.wait({work, lease}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            work.cancel()
            lease.cancel()
            await asyncio.wait({work, lease})
        for one in ended:
            one.result()

    async def _work(self, task: LeasedTask) -> None:
        await self._deliver(task, await self._perform(task))

    async def _perform(self, task: LeasedTask) -> TaskResultRequest:
        try:
            payload = self._open(task)
            return self._sealed(task, await self._handlers.handle(task.type, payload))
        except TaskFailure as problem:
            return TaskResultRequest(attempt=task.attempt, outcome=TaskOutcome.FAILED, error=problem.error)
        except Exception:
            log.exception("task %s failed in a way nobody thought of", task.type)
            return failed(task.attempt, "internal_error", "the trust failed; its log says why")

    def _open(self, task: LeasedTask) -> WireModel:
        asked = Binding(self._identity.trust_id, task.task_id, task.type, "to-trust")
        try:
            return open_sealed(task.payload, PAYLOADS[task.type], self._keys, asked)
        except EnvelopeError as error:
            log.error("the payload does not open: %s", error)
            text = "the payload does not open with this trust's payload keys for this task"
            raise failure("envelope_refused", text) from None
        except ValidationError as error:
            places = ", ".join("/".join(map(str, item["loc"])) or "payload" for item in error.errors()[:5])
            log.error("the payload is not one of %s: %s", task.type, places)
            raise failure("payload_invalid", f"the payload is not one of task {task.type}") from None

    def _sealed(self, task: LeasedTask, result: WireModel) -> TaskResultRequest:
        if not isinstance(result, RESULTS[task.type]):
            raise TypeError(f"task {task.type} was answered with a {type(result).__name__}")
        answer = Binding(self._identity.trust_id, task.task_id, task.type, "to-hub")
        sealed = seal(result, self._keys[0], answer)
        if len(sealed) > MAX_ENVELOPE_CHARS:
            raise failure("result_too_large", f"the result is over {MAX_ENVELOPE_CHARS} characters")
        return TaskResultRequest(attempt=task.attempt, outcome=TaskOutcome.SUCCEEDED, result=sealed)

    async def _deliver(self, task: LeasedTask | UnreadableTask, result: TaskResultRequest) -> None:
        """Hands the result in until it is accepted, or the hub says that it does not want it."""
        backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        while True:
            try:
                await self._hub.result(task.task_id, result)
            except HubError as error:
                if error.status == 403:
                    log.error("result dropped, the hub says that the task is another trust's: %s", error)
                    return
                if error.stale:
                    log.warning("result dropped, attempt %d is stale: %s", task.attempt, error)
                    return
                if error.transient or error.status == 401:
                    pause = backoff.next()
                    log.warning("result not handed in, next try in %.1f s: %s", pause, error)
                    await asyncio.sleep(pause)
                    continue
                if result.outcome is TaskOutcome.FAILED:
                    log.error("the hub refuses the result of attempt %d for good: %s", task.attempt, error)
                    return
                log.error("the hub refuses the result: %s", error)
                result = failed(task.attempt, "result_refused", "the hub did not accept the trust's result")
            else:
                log.info("attempt %d handed in: %s%s", task.attempt, result.outcome, _because(result))
                return

    async def _keep_lease(self, task: LeasedTask) -> None:
        """Renews the lease at a third of its time; returns when it is lost.

        Only durations by the local monotonic clock are used, so a wrong clock on either side does no harm.
        While the hub cannot be reached the work goes on: a hub that is away offers it to nobody else.
        """
        pause = task.lease_seconds / 3
        # Several tries fit between a first failure and the end of the lease.
        backoff = Backoff(min(FIRST_PAUSE, pause / 4), pause / 2)
        while True:
            await asyncio.sleep(pause)
            try:
                renewed = await self._hub.renew(task.task_id, task.attempt)
            except HubError as error:
                if error.stale or error.status == 403:
                    log.warning("attempt %d lost its lease and is stopped: %s", task.attempt, error)
                    return
                pause = backoff.next()
                log.warning("lease not renewed, next try in %.1f s: %s", pause, error)
            else:
                backoff.reset()
                pause = renewed.lease_seconds / 3


def _because(result: TaskResultRequest) -> str:
    return f" ({result.error.code})" if result.error else ""


def _unreadable(task: UnreadableTask) -> TaskResultRequest:
    if task.unknown_type:
        return failed(
            task.attempt, "unknown_task_type", "this trust's release does not know the task's type; upgrade it"
        )
    return failed(task.attempt, "task_malformed", "this trust's release does not understand the leased task")
