"""Reading ahead from a moment, as clients page who ask for what follows their newest bar."""

from common.interval import Interval
from common.market import Bar
from common.span import Span
from common.timeframe import Timeframe
from web.candles import Candles

#: A window that had too few bars is followed by one so many times as long, up to so many times the first.
_WIDEN, _WIDEST = 4, 16


async def oldest(candles: Candles, symbol_id: int, timeframe: Timeframe, span: Span, limit: int) -> list[Bar]:
    """The oldest `limit` bars whose buckets start in `span`, ascending."""
    if stored := timeframe.stored:
        return await candles.read(symbol_id, stored, *span, limit, newest=False)
    bars: list[Bar] = []
    at_ms, width = span.start_ms, limit
    while len(bars) < limit:
        days = Interval.D1.floor(at_ms), timeframe.after(span.end_ms - 1)
        day = next(iter(await candles.read(symbol_id, Interval.D1, *days, 1, newest=False)), None)
        at_ms = max(at_ms, timeframe.floor(day.open_ms)) if day else span.end_ms
        if at_ms >= span.end_ms:
            break
        until_ms = min(span.end_ms, at_ms + width * (timeframe.after(at_ms) - timeframe.floor(at_ms)))
        bars += await candles.bars(symbol_id, timeframe, at_ms, until_ms, 2 * width)
        at_ms, width = until_ms, min(width * _WIDEN, limit * _WIDEST)
    return bars[:limit]
