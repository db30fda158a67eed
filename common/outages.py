"""Telling an exchange's outages from minutes in which nobody traded, by what its markets lack.

Where an exchange serves minutes without trades too, whatever it did not serve is an outage. Elsewhere a hole is
one if every market that was asked has it, and by their usual rates hardly could:
docs/adr/0016-outages-and-quiet-minutes.md.
"""

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from common.span import MINUTE_MS, Span, union

#: How far on either side of a hole its markets' own rates are taken from: three hours before, three after.
AROUND_MS = 180 * MINUTE_MS
#: Fewer markets cannot tell.
LEAST_MARKETS = 3
#: A hole that six hours of ordinary trading would show less often than this is an outage.
CHANCE = 1e-6
#: So rare must a hole be that belongs to an outage beside it.
CHANCE_BESIDE = 1e-3

_LOG_CHANCE, _LOG_BESIDE = math.log10(CHANCE), math.log10(CHANCE_BESIDE)
_LOG_PLACES = math.log10(2 * AROUND_MS // MINUTE_MS)


class Market(NamedTuple):
    """What is known of one market around the holes: answered spans, open times of candles; both ascending."""

    answered: Sequence[Span]
    open_ms: Sequence[int]

    def candles(self, span: Span) -> int:
        return bisect_left(self.open_ms, span.end_ms) - bisect_left(self.open_ms, span.start_ms)


@dataclass(frozen=True, slots=True)
class Outage:
    """`markets` are the ids that show it; `evidence` is a sentence for people."""

    span: Span
    markets: tuple[int, ...]
    evidence: str


def answered_by(spans: Sequence[Sequence[Span]], least: int = LEAST_MARKETS) -> list[Span]:
    """The time that at least so many of these lists of spans have."""
    every = [span for one in spans for span in union(one)]
    edges = sorted([(span.start_ms, 1) for span in every] + [(span.end_ms, -1) for span in every])
    found, depth, start_ms = [], 0, 0
    for ms, step in edges:
        if step == 1 and depth == least - 1:
            start_ms = ms
        if step == -1 and depth == least:
            found.append(Span(start_ms, ms))
        depth += step
    return union(found)


def unserved(missing: Mapping[int, Sequence[Span]]) -> list[Outage]:
    """Outages of an exchange that serves quiet minutes, from what each market was asked for and not served."""
    holes = union(span for spans in missing.values() for span in spans)
    return [
        Outage(
            span,
            tuple(
                one for one, spans in sorted(missing.items()) if any(not span.clip(s).is_empty() for s in spans)
            ),
            "the exchange serves minutes without trades too, and did not serve these",
        )
        for span in incidents(holes)
    ]


def silent(markets: Mapping[int, Market], holes: Sequence[Span]) -> list[Outage]:
    """Outages of an exchange that leaves quiet minutes out, from the holes that all `markets` share."""
    found: list[Span] = []
    known: list[Span] = []
    pending = set(holes)
    while fresh := [hole for hole in pending if _is_outage(markets, hole, found, known)]:
        pending.difference_update(fresh)
        found = sorted([*found, *fresh])
        known = incidents(found)
    return [_told(markets, span, found) for span in known]


def incidents(holes: Sequence[Span]) -> list[Span]:
    """An outage does not end in one step: holes (ascending) with a shorter pause between them are one incident."""
    joined: list[Span] = []
    for hole in holes:
        if joined and _is_beside(joined[-1], hole):
            joined[-1] = Span(joined[-1].start_ms, hole.end_ms)
        else:
            joined.append(hole)
    return joined


def _is_beside(before: Span, after: Span) -> bool:
    return after.start_ms - before.end_ms < min(before.minutes(), after.minutes()) * MINUTE_MS


def _is_outage(markets: Mapping[int, Market], hole: Span, found: Sequence[Span], known: Sequence[Span]) -> bool:
    chance = _log_chance(markets, hole, found)
    if chance is None:
        return False
    # A hole may lie anywhere in the six hours, so there are as many chances to see one as there are minutes.
    if chance + _LOG_PLACES < _LOG_CHANCE:
        return True
    return chance < _LOG_BESIDE and any(_is_beside(*sorted((hole, incident))) for incident in known)


def _log_chance(markets: Mapping[int, Market], hole: Span, found: Sequence[Span]) -> float | None:
    """The decimal logarithm of the joint chance of this hole; None where too few markets traded around it."""
    around = Span(hole.start_ms - AROUND_MS, hole.end_ms + AROUND_MS)
    ordinary = around.minus([hole, *(one for one in found if not one.clip(around).is_empty())])
    traded, chance = 0, 0.0
    for market in markets.values():
        asked = [near for span in market.answered if not (near := span.clip(around)).is_empty()]
        lacking = sum(span.clip(hole).minutes() for span in asked)
        pieces = [both for piece in ordinary for span in asked if not (both := span.clip(piece)).is_empty()]
        answered, candles = sum(piece.minutes() for piece in pieces), sum(map(market.candles, pieces))
        if lacking and candles:
            traded += 1
            # By Laplace's rule, so that a market which never lacks a minute has no chance of nought.
            chance += lacking * math.log10((answered - candles + 1) / (answered + 2))
    return chance if traded >= LEAST_MARKETS else None


def _told(markets: Mapping[int, Market], span: Span, found: Sequence[Span]) -> Outage:
    holes = [hole for hole in found if not hole.clip(span).is_empty()]
    chance = sum(_log_chance(markets, hole, found) or 0 for hole in holes)
    ids = tuple(
        one
        for one, market in sorted(markets.items())
        if any(not span.clip(answered).is_empty() for answered in market.answered)
    )
    chances = f"which by their own rates has a chance of 1e{chance:.0f}"
    return Outage(span, ids, f"none of {len(ids)} markets traded, {chances}")
