"""Fill the last hours of the selected markets that have none, so that no chart starts empty."""

from typing import TYPE_CHECKING

from app.jobs.asked import selected, within_reach
from common.clock import Clock
from common.errors import BadInput
from common.ports import Exchange
from common.span import MINUTE_MS, Span, floor_minute, union

if TYPE_CHECKING:
    from app.wiring import Stores

HOUR_MS = 60 * MINUTE_MS


async def plan(adapter: Exchange, hours: int, patterns: str, *, stores: "Stores", clock: Clock) -> int | None:
    """A job for the markets that have nothing yet of the older half of these hours; None when each has some.

    The newer half says nothing: the live feed may have run for a while before this. A hole in it heals anyway.
    """
    now_ms, exchange = floor_minute(clock.now_ms()), adapter.name
    span = within_reach(adapter, Span(now_ms - hours * HOUR_MS, now_ms), now_ms)
    older = Span(span.start_ms, span.start_ms + span.minutes() // 2 * MINUTE_MS)
    under_way = [job.span.clip(span) for job in await stores.plan.unfinished(exchange)]
    if older.is_empty() or union(under_way):
        return None
    try:
        ids = [one.id for one in selected(exchange, patterns, (await stores.symbols.load(exchange)).values())]
    except BadInput:
        return None  # nothing selected is nothing to fill
    missing = await stores.coverage.missing(ids, older)
    empty = [symbol_id for symbol_id in ids if missing.get(symbol_id) == [older]]
    return await stores.plan.create(exchange, empty, span) if empty else None
