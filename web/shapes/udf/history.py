"""Bars as UDF's columns, and where the next ones are when there are none."""

import re
from typing import Any

from app.stores.candles import LAST_MS
from common.errors import BadInput
from common.market import Bar
from common.span import MINUTE_MS
from common.timeframe import Timeframe, parse
from web.api.paging import read
from web.deps import Deps
from web.shapes.udf.symbols import RESOLUTIONS, resolve
from web.window import Window

#: Bars in one answer: two weeks of minutes.
MOST_BARS = 20_000
#: Minutes without a letter. TradingView's T and S, ticks and seconds, are none of ours.
_RESOLUTION = re.compile(r"[0-9]+|[0-9]*[DWM]")


async def history(
    deps: Deps, symbol: str, resolution: str, start_s: int | None, end_s: int, countback: int | None
) -> dict[str, Any]:
    """The newest `countback` bars before `end_s`, which is excluded; without it all from `start_s` on."""
    timeframe = _timeframe(resolution)
    market = await resolve(deps, symbol)
    end_ms = min(max(0, end_s) * 1000, LAST_MS)
    if countback and countback < 0:
        raise BadInput("countback", f"countback must not be negative, and is {countback}.", f"1 to {MOST_BARS}")
    if countback:  # TradingView's client sends 0 when it has all it counted and looks for the rest of its span
        return _columns(await _before(deps, market.id, timeframe, None, end_ms, min(countback, MOST_BARS)))
    if start_s is None:
        raise BadInput("from", "from is required where countback is not given.", "UTC seconds")
    start_ms = min(max(0, start_s) * 1000, LAST_MS)
    bars = await _before(deps, market.id, timeframe, start_ms, end_ms, MOST_BARS + 1)
    if len(bars) > MOST_BARS:
        raise BadInput("from", f"More than {MOST_BARS:,} bars; ask for less time, or with countback.")
    older = [] if bars else await _before(deps, market.id, timeframe, None, start_ms, 1)
    return {"s": "no_data", "nextTime": older[0].open_ms // 1000} if older else _columns(bars)


async def _before(
    deps: Deps, symbol_id: int, timeframe: Timeframe, start_ms: int | None, end_ms: int, limit: int
) -> list[Bar]:
    """The newest `limit` bars that start in `start_ms <= t < end_ms`."""
    # A window's last minute is included: the one before `end_ms`, whether or not that ends a minute.
    window = Window(timeframe, start_ms, -(-end_ms // MINUTE_MS) * MINUTE_MS - MINUTE_MS, limit)
    return await read(deps, symbol_id, window, None)


def _columns(bars: list[Bar]) -> dict[str, Any]:
    if not bars:
        return {"s": "no_data"}
    times, *prices = zip(*(bar[:6] for bar in bars), strict=True)
    return {"s": "ok", "t": [at_ms // 1000 for at_ms in times], **dict(zip("ohlcv", prices, strict=True))}


def _timeframe(resolution: str) -> Timeframe:
    if not _RESOLUTION.fullmatch(resolution):
        allowed = " ".join(RESOLUTIONS)
        raise BadInput("resolution", f"Unknown resolution {resolution!r}; use one of {allowed}.", allowed)
    return parse(resolution)
