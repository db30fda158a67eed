"""Ask an exchange once more for minutes that it has answered for already."""

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING

import structlog

from app.jobs.asked import within_reach
from app.jobs.corrections import announce
from app.stores.candles import StoredCandle
from app.stores.latest import LiveSink
from app.stores.repairs import RepairStore
from app.stores.symbols import StoredSymbol
from common.clock import Clock
from common.errors import Blocked, Malformed, Rejected
from common.ports import Exchange
from common.span import DAY_MS, Span, union
from fetchers.history import Answer, Get, newest_page

if TYPE_CHECKING:
    from app.wiring import Stores

#: Markets that one slice of an audit takes up at most.
MOST_MARKETS = 50

log = structlog.get_logger(__name__)


async def ask_again(
    exchange: Exchange, market: StoredSymbol, spans: Sequence[Span], *, get: Get, clock: Clock
) -> AsyncIterator[Answer]:
    """Pages that hold all of `spans`, newest first. What lies between two spans may come along."""
    left = union(spans)
    while left:
        wanted = Span(left[0].start_ms, left[-1].end_ms)
        answer = await newest_page(exchange, market.instrument, wanted, get=get, clock=clock)
        yield answer
        before = Span(wanted.start_ms, answer.span.start_ms)
        left = union(span.clip(before) for span in left)


async def keep(answer: Answer, market: StoredSymbol, *, stores: "Stores", sink: LiveSink, clock: Clock) -> int:
    """Store an answer as corrections; how many candles are new or changed."""
    rows = [StoredCandle(market.id, *candle[1:]) for candle in answer.candles]
    cover = [] if answer.settled.is_empty() else [(market.id, answer.settled)]
    result = await stores.candles.write(
        rows, cover=cover, tell=lambda result: announce(result, answer.candles, sink, clock)
    )
    return result.changed


async def audit(
    exchange: Exchange, *, get: Get, stores: "Stores", sink: LiveSink, clock: Clock, for_s: float
) -> bool:
    """Ask once more for day-old minutes that were answered with nothing; True when no market waits any more.

    Works for about `for_s` real seconds. What the exchange refuses is told, and tried again by the next audit.
    """
    repairs, until_ms = RepairStore(stores.db), clock.now_ms() + clock.of_real_s(for_s)
    known = {one.id: one for one in (await stores.symbols.load(exchange.name)).values()}
    if within_reach(exchange, Span(0, clock.now_ms() - DAY_MS), clock.now_ms()).is_empty():
        return True  # no answer would tell of minutes that old
    due = await repairs.audits_due(exchange.name, clock.now_ms(), MOST_MARKETS)
    refused = 0
    for symbol_id, span in due:
        if clock.now_ms() >= until_ms:
            return False
        market = known[symbol_id]
        try:
            absent = await repairs.absent(symbol_id, span)
            async for answer in ask_again(exchange, market, absent, get=get, clock=clock):
                if found := await keep(answer, market, stores=stores, sink=sink, clock=clock):
                    log.info("found late", market=market.instrument.key, candles=found)
        except (Rejected, Malformed) as error:
            log.warning("not audited", market=market.instrument.key, reason=str(error))
            refused += 1
            if isinstance(error, Blocked):
                return True
            continue
        await repairs.audited(symbol_id, span.end_ms)
    return refused == len(due) or len(due) < MOST_MARKETS
