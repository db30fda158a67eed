"""How long something took, or how large it was, over and over: counted below bounds, and summed."""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate

#: From a write to Redis up to a request that waits for its answer.
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
#: What has to wait for its turn, or for somebody else.
LONG_SECONDS = (0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600)
SIZES = (1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000)


class Histogram:
    """Of values whose upper `bounds` ascend; each is counted at the first bound that it does not exceed."""

    __slots__ = ("_bounds", "_counts", "sum")

    def __init__(self, bounds: Sequence[float] = SECONDS) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, value: float) -> None:
        self._counts[bisect_left(self._bounds, value)] += 1
        self.sum += value

    def cumulative(self) -> list[tuple[float, int]]:
        """How many values do not exceed each bound; the last bound is infinity."""
        return list(zip([*self._bounds, float("inf")], accumulate(self._counts), strict=True))
