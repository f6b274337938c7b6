"""Jittered exponential back-off."""

import random

_random = random.SystemRandom()


class Backoff:
    """Pauses that double from `first` to `ceiling` seconds, each drawn from the upper half of its range.

    The draw keeps the trusts of one hub from coming back all at once after it was away.
    """

    def __init__(self, first: float, ceiling: float) -> None:
        self._first, self._ceiling, self._failures = first, max(first, ceiling), 0

    def reset(self) -> None:
        """After a success: the next pause is the first again."""
        self._failures = 0

    def next(self) -> float:
        """The next pause in seconds."""
        # 2**30 exceeds every ceiling; the bound only keeps the number small over months of failures.
        longest = min(self._ceiling, self._first * 2 ** min(self._failures, 30))
        self._failures += 1
        return _random.uniform(longest / 2, longest)
