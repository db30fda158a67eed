"""Bars as klines: arrays of twelve, prices and amounts as text."""

from collections.abc import Iterable, Iterator
from typing import Annotated

from fastapi import Query, Request
from fastapi.responses import Response

from common.market import Bar
from common.span import Span, floor_minute
from common.timeframe import Timeframe
from web.api.paging import read
from web.errors import json_response
from web.shapes.binance import asked
from web.shapes.binance.route import deps_of
from web.shapes.numbers import plain
from web.shapes.oldest import oldest
from web.window import Window

Zone = Annotated[str | None, Query(description="offset in which buckets begin, such as -1:00, 05:45 or 8")]
Start = Annotated[str | None, Query(description="UTC ms, included; with it the oldest bars from there")]
End = Annotated[str | None, Query(description="UTC ms of the last bar's start, included")]
Limit = Annotated[str | None, Query(description=f"{asked.DEFAULT_BARS} if not given, {asked.MOST_BARS} at most")]


#: Open time, open, high, low, close, volume, close time, quote volume, trades, the takers' volumes, unused.
Kline = tuple[int, str, str, str, str, str, int, str, int, str, str, str]


async def klines(
    request: Request,
    symbol: str | None = None,
    interval: Annotated[str | None, Query(description=" ".join(asked.INTERVALS))] = None,
    startTime: Start = None,
    endTime: End = None,
    timeZone: Zone = None,
    limit: Limit = None,
) -> Response:
    """Bars of whole minutes, ascending: [open time, o, h, l, c, volume, close time, quote volume, trades, …]."""
    asked.only(request, "symbol", "interval", "startTime", "endTime", "timeZone", "limit")
    name, spelled = asked.mandatory("symbol", symbol), asked.mandatory("interval", interval)
    timeframe = asked.timeframe(spelled, timeZone)
    start_ms, end_ms = asked.moment("startTime", startTime), asked.moment("endTime", endTime)
    count = asked.limit(limit)
    deps, market = deps_of(request), await asked.market(request, name)
    now_ms = deps.clock.now_ms()
    last_ms = min(now_ms if end_ms is None else end_ms, now_ms)
    if start_ms is None:
        newest = Window(timeframe, None, floor_minute(last_ms), count)
        bars = await read(deps, market.id, newest, None)
    else:
        bars = await oldest(deps.candles, market.id, timeframe, Span(start_ms, last_ms + 1), count)
    return json_response(list(rows(bars, timeframe)))


def rows(bars: Iterable[Bar], timeframe: Timeframe) -> Iterator[Kline]:
    """What is not known is 0: the takers' volumes always, quote volume and trades of some exchanges."""
    for bar in bars:
        opened, high, low, close, volume = map(plain, bar[1:6])
        known = bar.open_ms, opened, high, low, close, volume, timeframe.after(bar.open_ms) - 1
        yield *known, plain(bar.quote_volume or 0.0), bar.trades or 0, "0", "0", "0"
