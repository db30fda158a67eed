"""A leased page of history: which minutes it takes, its answer, and how that is stored."""

from collections.abc import Mapping, Sequence

import structlog

from app.jobs.corrections import BEFORE_HORIZON, announce
from app.stores.candles import WriteResult, stored
from app.stores.latest import LiveSink
from app.stores.pages import Answered, Lease
from app.stores.plan import PlanStore
from common.clock import Clock
from common.errors import Malformed
from common.market import Candle, Instrument, Source
from common.ports import Exchange
from common.span import Span
from fetchers.history import Get, history

#: A truncated body is usually whole the next time; only the third bad one in a row is a failure.
TRIES = 3

log = structlog.get_logger(__name__)


def page_of(exchange: Exchange, market: Instrument, piece: Span, now_ms: int) -> Span:
    """The newest minutes of `piece` that one request answers."""
    name, part = market.asked_as(piece)
    return exchange.page(name, part, now_ms).span


async def ask(exchange: Exchange, market: Instrument, lease: Lease, *, get: Get, clock: Clock) -> Answered:
    """What the exchange says about a leased page. Raises Retryable, Rejected, or Malformed after several tries."""
    for _ in range(TRIES - 1):
        try:
            return await _walk(exchange, market, lease, get, clock)
        except Malformed:
            continue
    return await _walk(exchange, market, lease, get, clock)


async def _walk(exchange: Exchange, market: Instrument, lease: Lease, get: Get, clock: Clock) -> Answered:
    """Usually one answer; a page can shrink between its lease and its request, and then there are more."""
    answers = [answer async for answer in history(exchange, market, lease.span, get=get, clock=clock)]
    rows = [row for answer in reversed(answers) for row in stored(lease.symbol_id, answer.candles)]
    return Answered(lease, rows, Span(lease.span.start_ms, answers[0].settled.end_ms))


async def store(
    pages: Sequence[Answered],
    markets: Mapping[int, Instrument],
    *,
    plans: PlanStore,
    sink: LiveSink,
    clock: Clock,
) -> None:
    """Commit what was answered, and tell those who watch live which closed candles it corrects."""

    async def tell(result: WriteResult) -> None:
        corrected = set(result.corrected)
        for lease, rows, _ in pages if corrected else ():
            market = markets[lease.symbol_id]
            told = [Candle(market, *row[1:9], Source(row.source)) for row in rows if row[:2] in corrected]
            changed = WriteResult(0, [(lease.symbol_id, one.open_ms) for one in told])
            await announce(changed, told, sink, clock)

    result = await plans.complete(pages, tell)
    if result.refused:
        log.warning(BEFORE_HORIZON, job=pages[0].lease.job_id, candles=result.refused)
