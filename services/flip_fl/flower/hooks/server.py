"""The platform's part in a ServerApp's process: who answered, what is reported to the hub, how long a round may take.

A reply counts under the name by which the SuperLink knows the key of the SuperNode the message went to. What the app
says about names is never looked at.
"""

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from flip_common.wire import MetricPoint, SiteException
from flip_common.wire.model import MAX_ROUND
from flip_fl.flower import internals
from flip_fl.flower.files import Failed, Refused, Replied, Rosters, RunFiles, Sent
from flip_fl.flower.hooks.client import outward, parse_outward
from flip_fl.flower.metrics import points_of
from flip_fl.hub import HubAwayError, HubClient, HubRefusedError

log = logging.getLogger(__name__)

NO_REPLY = "NoReply"
EVALUATE = "evaluate"


class ReportError(RuntimeError):
    """The hub did not take a report. The job must not go on as if it had."""


class GridHook:
    """Sees every message the app sends and every reply it gets, in whichever way the app does that."""

    def __init__(self, folder: Path, rosters: Rosters, hub: HubClient) -> None:
        self._folder, self._rosters, self._hub = folder, rosters, hub
        self._files: RunFiles | None = None
        self._model_id: UUID | None = None
        self._timeout = 0.0
        self._names: dict[int, str] = {}
        self._pending: dict[str, Sent] = {}
        self._reported: dict[tuple[str, int, str], str] = {}
        self._lock = threading.RLock()

    def begin_run(self, run_id: int, federation_id: str) -> None:
        """The process learned which run it is.

        Raises:
            LookupError: there is no roster for the run's federation.
        """
        roster = self._rosters.get(federation_id)
        if roster is None:
            raise LookupError(f"run {run_id}: no job belongs to federation {federation_id}")
        self._files = RunFiles(self._folder, run_id)
        self._model_id, self._timeout = roster.model_id, float(roster.round_timeout_seconds)

    def learn_names(self, ask: Callable[[], dict[int, str]], node_ids: Sequence[int]) -> None:
        """Makes sure that the names of these SuperNodes are known; `ask` asks the SuperLink."""
        with self._lock:
            if not set(node_ids) <= set(self._names):
                self._names.update(ask())

    def limit(self, timeout: float | None) -> float:
        """How long to wait for replies: what the app wants, and never longer than the job's round may take."""
        return self._timeout if timeout is None else min(timeout, self._timeout)

    def pushed(self, messages: Sequence[Any], identifiers: Sequence[str | None]) -> None:
        """Messages went out; the SuperLink gave them these ids, and none to those it refused."""
        with self._lock:
            for message, identifier in zip(messages, identifiers, strict=True):
                trust = self._names.get(message.metadata.dst_node_id)
                if not identifier or trust is None:
                    log.error("a message to SuperNode %d was refused", message.metadata.dst_node_id)
                    continue
                sent = Sent(
                    at=time.time(),
                    message=identifier,
                    trust=trust,
                    round=_round_of(message),
                    task=str(message.metadata.message_type),
                )
                self._pending[identifier] = sent
                self._record(sent)

    def pulled(self, replies: list[Any]) -> list[Any]:
        """Replies came: they are recorded and reported before the app sees them.

        Raises:
            ReportError: the hub did not take a report.
        """
        points: list[MetricPoint] = []
        for reply in replies:
            with self._lock:
                sent = self._pending.pop(reply.metadata.reply_to_message_id, None)
            if sent is None:
                continue
            if reply.has_error():
                self._fail(sent, _error_of(sent, reply))
            else:
                self._record(Replied(at=time.time(), message=sent.message))
                points += self._points(sent, reply)
        if points:
            self._report(lambda: self._hub.send_metrics(self._model(), points))
        return replies

    def begin(self) -> frozenset[str]:
        """A blocking exchange begins; give the result to `end`."""
        with self._lock:
            return frozenset(self._pending)

    def end(self, before: frozenset[str]) -> None:
        """A blocking exchange ended: whoever has not answered has failed."""
        with self._lock:
            missing = [self._pending.pop(key) for key in list(self._pending) if key not in before]
        for sent in missing:
            digest = hashlib.sha256(NO_REPLY.encode()).hexdigest()
            self._fail(sent, SiteException(trust=sent.trust, code=NO_REPLY, digest=digest, round=sent.round))

    def _points(self, sent: Sent, reply: Any) -> list[MetricPoint]:
        points, left_out = points_of(sent.trust, sent.round, list(reply.content.metric_records.values()))
        if left_out:
            log.warning("metrics of %s that are not finite numbers stay here: %s", sent.trust, sorted(left_out))
        named = []
        for point in points:
            # The same label from training and from evaluation in one round: neither may overwrite the other.
            first = self._reported.setdefault((point.trust, point.round, point.label), sent.task)
            if first != sent.task and sent.task.startswith(EVALUATE):
                point = point.model_copy(update={"label": f"{EVALUATE}/{point.label}"[:128]})  # noqa: PLW2901 - relabelled for good
            named.append(point)
        return named

    def _fail(self, sent: Sent, error: SiteException) -> None:
        self._record(Failed(at=time.time(), message=sent.message, error=error))
        self._report(lambda: self._hub.send_exception(self._model(), error))

    def _report(self, send: Callable[[], None]) -> None:
        try:
            send()
        except (HubRefusedError, HubAwayError) as error:
            self._record(Refused(at=time.time(), detail=str(error)))
            raise ReportError(str(error)) from error

    def _record(self, event: Sent | Replied | Failed | Refused) -> None:
        assert self._files is not None  # noqa: S101 - begin_run comes before the first message
        self._files.append(event)

    def _model(self) -> UUID:
        assert self._model_id is not None  # noqa: S101 - begin_run comes before the first message
        return self._model_id


def _round_of(message: Any) -> int:
    """The round an app works on: the strategy's `server-round`, else the message's group."""
    for config in message.content.config_records.values() if message.has_content() else ():
        value = config.get("server-round")
        if isinstance(value, int) and value >= 0:
            return min(int(value), MAX_ROUND)
    group = str(message.metadata.group_id)
    return int(group) if group.isdigit() and len(group) < 7 else 0


def _error_of(sent: Sent, reply: Any) -> SiteException:
    """What is known of an error. A text that did not pass a site's guard is masked here, before the app logs it."""
    reason = str(reply.error.reason or "")
    known = parse_outward(reason)
    if known is None:
        known = parse_outward(outward(internals.error_name(reply.error.code), reason))
        assert known is not None  # noqa: S101 - `outward` makes what `parse_outward` reads
    code, digest = known
    internals.set_error_reason(reply, f"FLIP: {code} {digest}")
    return SiteException(trust=sent.trust, code=code, digest=digest, round=sent.round)
