"""GET /api/ohlcvs: up to 500 bars of one market at any timeframe."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from common.errors import BadInput
from common.market import Bar
from common.span import MINUTE_MS, Span
from common.timeframe import ALLOWED, Timeframe
from web.api.schema import described
from web.deps import Deps
from web.errors import json_response
from web.markets import find_market
from web.moment import MOMENT, past_moment
from web.window import MOST_BARS, Gap, Window, fill_empty, frame, window

router = APIRouter()
FILLS = ("none", "null", "previous")


class Row(msgspec.Struct, frozen=True, gc=False):
    """A bar as it is served; `time` starts its bucket. Null in a bucket without a bar, with fill=null."""

    time: int
    open: float | None
    high: float | None
    low: float | None
    close: float | None
    volume: float | None


class DetailedRow(Row, frozen=True, gc=False):
    """`partial`: not all minutes of the bucket are known, so the bar may still change."""

    quote_volume: float | None
    trades: int | None
    partial: bool


def rows(bars: Sequence[Bar | Gap], *, mls: bool) -> list[Row]:
    """`mls`: times in milliseconds, otherwise in seconds."""
    unit_ms = 1 if mls else 1000
    return [Row(bar[0] // unit_ms, bar[1], bar[2], bar[3], bar[4], bar[5]) for bar in bars]


def detailed_rows(
    bars: Sequence[Bar | Gap], timeframe: Timeframe, known: Sequence[Span], *, mls: bool
) -> list[DetailedRow]:
    starts = [span.start_ms for span in known]
    found = []
    for row, bar in zip(rows(bars, mls=mls), bars, strict=True):
        place = bisect_right(starts, bar.open_ms) - 1
        partial = place < 0 or known[place].end_ms < timeframe.after(bar.open_ms)
        five = (row.open, row.high, row.low, row.close, row.volume)
        found.append(DetailedRow(row.time, *five, bar.quote_volume, bar.trades, partial))
    return found


def filling(fill: str | None, *, empty_ts: bool) -> str:
    """`empty_ts` is the older way to ask for the previous close."""
    if fill is not None and fill not in FILLS:
        allowed = ", ".join(FILLS)
        raise BadInput("fill", f"Unknown fill {fill!r}; use one of {allowed}.", allowed)
    return fill or ("previous" if empty_ts else "none")


@router.get("/api/ohlcvs", responses=described(list[Row]), response_class=Response)
async def ohlcvs(
    request: Request,
    exchange: str,
    base_id: str,
    quote_id: str,
    interval: Annotated[str, Query(description=ALLOWED)],
    start: Annotated[int | None, Query(description="UTC ms of the first bucket, cut to its minute")] = None,
    end: Annotated[int | None, Query(description="UTC ms, included; default: the last whole minute")] = None,
    limit: Annotated[int | None, Query(description=f"newest bars, at most {MOST_BARS}")] = MOST_BARS,
    empty_ts: Annotated[bool, Query(description="the same as fill=previous")] = False,
    results_mls: Annotated[bool, Query(description="times in milliseconds; false: in seconds")] = True,
    market_type: str = "spot",
    tz: Annotated[str | None, Query(description="zone in which days, weeks, months, years begin; UTC")] = None,
    origin: Annotated[int | None, Query(description="UTC ms of a bucket's start, from which all count")] = None,
    fill: Annotated[str | None, Query(description="empty buckets: none, null, or previous close")] = None,
    details: Annotated[bool, Query(description="also quote_volume, trades and partial")] = False,
    as_of: Annotated[str | None, Query(description=f"what was known then: {MOMENT}")] = None,
) -> Response:
    """Bars in ascending order. Names are the normalised ones (USDT) or the exchange's own (UST)."""
    deps: Deps = request.app.state.deps
    now_ms = deps.clock.now_ms()
    then_ms = None if as_of is None else past_moment("as_of", as_of, now_ms)
    asked = window(frame(interval, tz, origin), start, end, limit, now_ms)
    empty = filling(fill, empty_ts=empty_ts)
    market = await find_market(deps, exchange, base_id, quote_id, market_type)
    bars = filled(await read(deps, market.id, asked, then_ms), asked, empty, then_ms or now_ms)
    if not details:
        return json_response(rows(bars, mls=results_mls))
    return json_response(
        detailed_rows(bars, asked.timeframe, await known(deps, market.id, then_ms), mls=results_mls)
    )


def filled(bars: list[Bar], asked: Window, empty: str, now_ms: int) -> Sequence[Bar | Gap]:
    """With the empty buckets as `empty` says."""
    return bars if empty == "none" else fill_empty(bars, asked, now_ms, previous=empty == "previous")


async def read(deps: Deps, symbol_id: int, asked: Window, then_ms: int | None) -> list[Bar]:
    """What is stored, or was known at `then_ms`."""
    if not asked.limit:
        return []
    wanted = (symbol_id, asked.timeframe, asked.start_ms, asked.end_ms + MINUTE_MS, asked.limit)
    return await (deps.candles.bars(*wanted) if then_ms is None else deps.revisions.bars(*wanted, then_ms))


async def known(deps: Deps, symbol_id: int, then_ms: int | None) -> Sequence[Span]:
    return await (deps.candles.known(symbol_id) if then_ms is None else deps.revisions.known(symbol_id, then_ms))
