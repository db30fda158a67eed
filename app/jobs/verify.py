"""Compare stored history with what the exchange says now, at random places."""

import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

from app.jobs.recheck import keep
from app.stores.latest import LiveSink
from app.stores.symbols import StoredSymbol
from common.clock import Clock
from common.errors import Malformed, Rejected
from common.interval import Interval
from common.market import Bar
from common.ports import Exchange
from common.span import MINUTE_MS, Span
from fetchers.history import Answer, Get, newest_page

if TYPE_CHECKING:
    from app.wiring import Stores


class Difference(NamedTuple):
    """A minute that is not the same here and there; None where there is no candle."""

    time: int
    ours: Bar | None
    theirs: Bar | None


class Checked(NamedTuple):
    """One range. `refused` is why the exchange did not answer; empty where it did."""

    market: StoredSymbol
    span: Span
    differences: list[Difference]
    refused: str = ""


def sample(
    random_: random.Random, covered: Mapping[int, Sequence[Span]], minutes: int, count: int
) -> list[tuple[int, Span]]:
    """`count` ranges of at most so many minutes, each minute of `covered` as likely as any other, by symbol id."""
    pieces = [(symbol_id, span) for symbol_id, spans in covered.items() for span in spans if span.minutes()]
    if not pieces:
        return []
    weights = list(accumulate(span.minutes() for _, span in pieces))
    return [_around(random_, *random_.choices(pieces, cum_weights=weights)[0], minutes) for _ in range(count)]


def _around(random_: random.Random, symbol_id: int, piece: Span, minutes: int) -> tuple[int, Span]:
    at_ms = piece.start_ms + random_.randrange(piece.minutes()) * MINUTE_MS
    start_ms = max(piece.start_ms, min(at_ms, piece.end_ms - minutes * MINUTE_MS))
    return symbol_id, Span(start_ms, start_ms + minutes * MINUTE_MS).clip(piece)


async def check(
    exchange: Exchange,
    market: StoredSymbol,
    span: Span,
    *,
    get: Get,
    stores: "Stores",
    clock: Clock,
    repair_with: LiveSink | None = None,
) -> Checked:
    """Ask for `span` again and compare. With a sink, what differs is stored as corrections and pushed there.

    A minute that only we have stays: an exchange that leaves it out has not said that it never was.
    """
    try:
        answer = await newest_page(exchange, market.instrument, span, get=get, clock=clock)
    except (Rejected, Malformed) as error:
        return Checked(market, span, [], str(error))
    asked = answer.span
    ours = await stores.candles.read(market.id, Interval.M1, asked.start_ms, asked.end_ms, asked.minutes())
    differences = list(_compare(ours, answer))
    if differences and repair_with is not None:
        await keep(answer, market, stores=stores, sink=repair_with, clock=clock)
    return Checked(market, asked, differences)


def _compare(ours: Sequence[Bar], answer: Answer) -> Iterator[Difference]:
    here = {bar.open_ms: bar for bar in ours}
    there = {candle.open_ms: Bar(*candle[1:9]) for candle in answer.candles}
    for open_ms in sorted(here.keys() | there.keys()):
        one, other = here.get(open_ms), there.get(open_ms)
        if one is None or other is None or not _same(one, other):
            yield Difference(open_ms, one, other)


def _same(ours: Bar, theirs: Bar) -> bool:
    """Value by value; what the exchange does not say is no difference."""
    return all(there is None or here == there for here, there in zip(ours[:8], theirs[:8], strict=True))
