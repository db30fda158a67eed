"""Half-open spans of time, and the arithmetic done with them."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

MINUTE_MS = 60_000
DAY_MS = 86_400_000


class Span(NamedTuple):
    """The UTC milliseconds `start_ms <= t < end_ms`."""

    start_ms: int
    end_ms: int

    def has(self, ms: int) -> bool:
        return self.start_ms <= ms < self.end_ms

    def is_empty(self) -> bool:
        return self.end_ms <= self.start_ms

    def minutes(self) -> int:
        """How many whole minutes fit."""
        return max(0, self.end_ms - self.start_ms) // MINUTE_MS

    def clip(self, other: "Span") -> "Span":
        """What both have; empty when they do not touch."""
        return Span(max(self.start_ms, other.start_ms), min(self.end_ms, other.end_ms))

    def minus(self, covered: Iterable["Span"]) -> list["Span"]:
        """What is left of this span, ascending, after taking every `covered` span out of it."""
        left, start_ms = [], self.start_ms
        for taken in union(covered):
            if taken.end_ms <= start_ms or taken.start_ms >= self.end_ms:
                continue
            if taken.start_ms > start_ms:
                left.append(Span(start_ms, taken.start_ms))
            start_ms = max(start_ms, taken.end_ms)
        if start_ms < self.end_ms:
            left.append(Span(start_ms, self.end_ms))
        return left


def union(spans: Iterable[Span]) -> list[Span]:
    """The same time as ascending spans that neither overlap nor touch; empty spans vanish."""
    merged: list[Span] = []
    for span in sorted(span for span in spans if not span.is_empty()):
        if merged and span.start_ms <= merged[-1].end_ms:
            merged[-1] = Span(merged[-1].start_ms, max(merged[-1].end_ms, span.end_ms))
        else:
            merged.append(span)
    return merged


def common(one: Sequence[Span], other: Sequence[Span]) -> list[Span]:
    """The time that both have, where each is ascending without overlaps."""
    found, at, beside = [], 0, 0
    while at < len(one) and beside < len(other):
        both = one[at].clip(other[beside])
        if not both.is_empty():
            found.append(both)
        if one[at].end_ms < other[beside].end_ms:
            at += 1
        else:
            beside += 1
    return found


def floor_minute(ms: int) -> int:
    """The start of the minute that `ms` falls in."""
    return ms - ms % MINUTE_MS
