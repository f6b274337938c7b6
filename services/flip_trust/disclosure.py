"""Disclosure control: the one function every number passes before it may leave the site.

What it protects against
    Small counts: below the threshold nothing is said, and a true zero looks the same. Exact counts: the rest is
    rounded to the nearest multiple of `rounding`. Subtraction: small bins are merged into `Other`; when `Other` is
    itself small it is not shown, and if the shown bins would then prove that somebody is missing from them (even to
    a reader who knew the exact total) the smallest shown bin is merged in as well.

What it does not protect against
    A reader who already knows nearly everybody in a cohort, and who may ask many questions that differ by one known
    person until a rounded count flips: no deterministic rounding stops that. The guard refuses the literals and the
    row-picking that make such questions easy; the rest is a matter of limits on, and review of, what a project asks.
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
        total: int,
        other: int = 0,
    ) -> ColumnStatistics:
        """A distribution as it may leave, in the order given, `Other` last.

        Args:
            name: the column.
            kind: how to draw it.
            bins: label and exact number of distinct subjects. A label that comes twice is added up.
            total: exact number of distinct subjects in the cohort.
            other: exact number of distinct subjects in bins that the caller has merged already.

        Bins may overlap (a subject with two diagnoses is in two). Merged bins may share subjects too, so `Other` is
        shown only when one of its parts alone reaches the threshold, or when the bins cannot overlap because they
        add up to no more than the total.

        Raises:
            ValueError: a count is negative.
        """
        exact: dict[str, int] = {}
        for label, n in bins:
            if n < 0:
                raise ValueError(f"bin {label!r} of column {name!r}: a count cannot be {n}")
            key = label[:MAX_LABEL_CHARS]
            exact[key] = exact.get(key, 0) + n
        merged = [other, exact.pop(OTHER, 0)]
        disjoint = sum(exact.values()) + sum(merged) <= total
        shown = {label: n for label, n in exact.items() if n >= self.threshold}
        merged += [n for label, n in exact.items() if label not in shown]
        while len(shown) >= MAX_BINS:
            merged.append(_pop_smallest(shown))

        def hidden() -> int:
            return sum(merged) if disjoint else max(merged)

        while shown and 0 < hidden() < self.threshold and self._proves_hidden(shown, total):
            merged.append(_pop_smallest(shown))
        out = [HistogramBin(label=label, count=self._rounded(n)) for label, n in shown.items()]
        if hidden() >= self.threshold:
            out.append(HistogramBin(label=OTHER, count=self._rounded(hidden())))
        return ColumnStatistics(name=name[:MAX_LABEL_CHARS], kind=kind, bins=out)

    def _proves_hidden(self, shown: dict[str, int], total: int) -> bool:
        """Whether the shown bins, each as large as its rounded count allows, still fall short of the total."""
        return sum(self._rounded(n) + (self.rounding - 1) // 2 for n in shown.values()) < total

    def _rounded(self, n: int) -> int:
        return (2 * n + self.rounding) // (2 * self.rounding) * self.rounding


def _pop_smallest(bins: dict[str, int]) -> int:
    return bins.pop(min(bins, key=lambda label: (bins[label], label)))
