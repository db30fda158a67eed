"""GET /api/ohlcvs: up to 500 bars of one market at one interval."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from common.market import Bar
from common.span import MINUTE_MS
from web.api.schema import described
from web.deps import Deps
from web.errors import json_response
from web.markets import find_market
from web.window import MOST_BARS, fill, window

router = APIRouter()


class Row(msgspec.Struct, frozen=True, gc=False):
    """A bar as it is served; `time` starts its bucket."""

    time: int
    open: float
    high: float
    low: float
    close: float
    volume: float


def rows(bars: list[Bar], *, mls: bool) -> list[Row]:
    """`mls`: times in milliseconds, otherwise in seconds."""
    unit_ms = 1 if mls else 1000
    return [Row(bar[0] // unit_ms, bar[1], bar[2], bar[3], bar[4], bar[5]) for bar in bars]


@router.get("/api/ohlcvs", responses=described(list[Row]), response_class=Response)
async def ohlcvs(
    request: Request,
    exchange: str,
    base_id: str,
    quote_id: str,
    interval: Annotated[str, Query(description="1m 5m 15m 30m 1h 3h 6h 12h 1D 7D 14D 1M")],
    start: Annotated[int | None, Query(description="UTC ms of the first bucket, cut to its minute")] = None,
    end: Annotated[int | None, Query(description="UTC ms, included; default: the last whole minute")] = None,
    limit: Annotated[int | None, Query(description=f"newest bars, at most {MOST_BARS}")] = MOST_BARS,
    empty_ts: Annotated[bool, Query(description="fill empty buckets: previous close, volume 0")] = False,
    results_mls: Annotated[bool, Query(description="times in milliseconds; false: in seconds")] = True,
    market_type: str = "spot",
) -> Response:
    """Bars in ascending order. Names are the normalised ones (USDT) or the exchange's own (UST)."""
    deps: Deps = request.app.state.deps
    now_ms = deps.clock.now_ms()
    asked = window(interval, start, end, limit, now_ms)
    market = await find_market(deps, exchange, base_id, quote_id, market_type)
    bars: list[Bar] = []
    if asked.limit:
        bars = await deps.candles.read(
            market.id, asked.interval, asked.start_ms, asked.end_ms + MINUTE_MS, asked.limit
        )
    return json_response(rows(fill(bars, asked, now_ms) if empty_ts else bars, mls=results_mls))
