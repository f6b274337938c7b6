"""Disclosure control: the one function every number passes before it may leave the site.

What it protects against
    Small counts: below the threshold nothing is said, and a true zero looks the same. Exact counts: the rest is
    rounded to the nearest multiple of `rounding`. Subtraction within a distribution: small bins are merged into
    `Other`; where `Other` is itself small, its people are counted in the largest bin instead. A distribution that
    hides a few people is then the very one that would be shown if nobody were hidden.

What it does not protect against
    Numbers that overlap: of two sets of people that differ by one person, the rounded counts differ once in
    `rounding` times, and no deterministic rounding stops that. How many numbers of one answer a person may be part
    of is bounded where they are counted (`data_access.binning`); the rest is a matter of limits on, and review of,
    what a project asks.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from flip_common.wire import ColumnStatistics, DisclosedCount, HistogramBin

OTHER = "Other"
MAX_BINS = 64
MAX_LABEL_CHARS = 200


@dataclass(frozen=True)
class Disclosure:
    """The site's rule for small numbers. Counts are of distinct subjects (or studies), never of rows.

    Raises:
        ValueError: threshold or rounding below 1, or rounding over threshold: a disclosed count could then read 0.
    """

    threshold: int = 10
    rounding: int = 10

    def __post_init__(self) -> None:
        if self.threshold < 1 or self.rounding < 1:
            raise ValueError(f"threshold {self.threshold} and rounding {self.rounding} must be at least 1")
        if self.rounding > self.threshold:
            raise ValueError(
                f"rounding {self.rounding} is over the threshold {self.threshold}: a disclosed count could read 0; "
                "lower the rounding or raise the threshold"
            )

    def count(self, n: int) -> DisclosedCount:
        """The count as it may leave: suppressed below the threshold, else rounded half up.

        Raises:
            ValueError: `n` is negative.
        """
        if n < 0:
            raise ValueError(f"a count cannot be {n}")
        suppressed = n < self.threshold
        value = None if suppressed else self._rounded(n)
        return DisclosedCount(suppressed=suppressed, value=value, threshold=self.threshold, rounding=self.rounding)

    def histogram(
        self,
        name: str,
        kind: Literal["numeric", "categorical", "date"],
        bins: Iterable[tuple[str, int]],
        *,
        merged: int = 0,
        unseen: int | None = None,
    ) -> ColumnStatistics:
        """A distribution as it may leave, in the order given, `Other` last.

        Args:
            name: the column.
            kind: how to draw it.
            bins: label and exact number of distinct subjects. A label that comes twice is added up. Small bins, and
                the smallest beyond `MAX_BINS`, are merged as if nobody were in two of them.
            merged: exact number of distinct subjects in bins that the caller has merged already.
            unseen: how many of `merged` are in none of `bins`; all of them when left out.

        Raises:
            ValueError: a count is negative, or more are unseen than merged.
        """
        unseen = merged if unseen is None else unseen
        if not 0 <= unseen <= merged:
            raise ValueError(f"column {name!r}: {unseen} subjects unseen of {merged} merged")
        exact: dict[str, int] = {}
        for label, n in bins:
            if n < 0:
                raise ValueError(f"bin {label!r} of column {name!r}: a count cannot be {n}")
            key = label[:MAX_LABEL_CHARS]
            exact[key] = exact.get(key, 0) + n
        by_size = sorted(exact, key=lambda label: (-exact[label], label))
        large = {label for label in by_size[: MAX_BINS - 1] if exact[label] >= self.threshold and label != OTHER}
        rest = sum(n for label, n in exact.items() if label not in large)
        merged, unseen = merged + rest, unseen + rest
        if large and merged < self.threshold:
            exact[next(label for label in by_size if label in large)] += unseen
        shown = [HistogramBin(label=label, count=self._rounded(n)) for label, n in exact.items() if label in large]
        if merged >= self.threshold:
            shown.append(HistogramBin(label=OTHER, count=self._rounded(merged)))
        return ColumnStatistics(name=name[:MAX_LABEL_CHARS], kind=kind, bins=shown)

    def _rounded(self, n: int) -> int:
        return (2 * n + self.rounding) // (2 * self.rounding) * self.rounding
