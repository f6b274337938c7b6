"""Bookkeeping of a run's exchanges, from its events: who failed, which round fell short, who has not answered."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from flip_fl.flower.files import Failed, Refused, Replied, Sent


@dataclass
class Exchange:
    """Messages of one task in one round, at most one a trust, and what came of them."""

    round: int
    task: str
    waiting: dict[str, Sent] = field(default_factory=dict)
    trusts: set[str] = field(default_factory=set)
    good: int = 0
    failed: dict[str, str] = field(default_factory=dict)

    def describe(self) -> str:
        """For a reader, without any text of the app."""
        causes = ", ".join(f"{trust}: {code}" for trust, code in sorted(self.failed.items()))
        return f"round {self.round} ({self.task}): {self.good} of {len(self.trusts)} sites answered well ({causes})"


class Rounds:
    """What the events of one run say so far."""

    def __init__(self) -> None:
        self.round = 0
        self.failures: Counter[str] = Counter()
        self.refused: str | None = None
        self.last_at = 0.0
        self._exchanges: list[Exchange] = []
        self._of: dict[str, Exchange] = {}

    def add(self, events: Iterable[Sent | Replied | Failed | Refused]) -> None:
        """Takes further events, in order."""
        for event in events:
            self.last_at = max(self.last_at, event.at)
            if isinstance(event, Sent):
                self._sent(event)
            elif isinstance(event, Refused):
                self.refused = event.detail
            elif event.message in self._of:
                self._answered(event)

    def short_of(self, min_sites: int) -> Exchange | None:
        """The first exchange that is over, had failures, and fewer good replies than `min_sites`."""
        return next(
            (item for item in self._exchanges if item.failed and not item.waiting and item.good < min_sites), None
        )

    def overdue(self, before: float) -> dict[str, Sent]:
        """Messages sent before a time and still unanswered, by trust."""
        waiting = (sent for item in self._exchanges for sent in item.waiting.values())
        return {sent.trust: sent for sent in waiting if sent.at < before}

    def _sent(self, event: Sent) -> None:
        last = self._exchanges[-1] if self._exchanges else None
        if last is None or (last.round, last.task) != (event.round, event.task) or event.trust in last.trusts:
            last = Exchange(event.round, event.task)
            self._exchanges.append(last)
        last.trusts.add(event.trust)
        last.waiting[event.message] = event
        self._of[event.message] = last

    def _answered(self, event: Replied | Failed) -> None:
        exchange = self._of.pop(event.message)
        sent = exchange.waiting.pop(event.message)
        if isinstance(event, Replied):
            exchange.good += 1
            self.round = max(self.round, sent.round)
        else:
            exchange.failed[sent.trust] = event.error.code
            self.failures[sent.trust] += 1
