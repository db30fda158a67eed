"""ticker/price and ticker/24hr: what candles know of a price now and over a day."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from fastapi import Request
from fastapi.responses import Response

from common.interval import Interval
from common.market import Bar
from common.span import DAY_MS, MINUTE_MS, floor_minute
from common.timeframe import Timeframe, Unit
from web.api.paging import read
from web.deps import Deps, Stored
from web.errors import json_response
from web.shapes.binance import asked, route
from web.shapes.binance.route import Refused, deps_of, exchange_of
from web.shapes.names import named, spot_markets
from web.shapes.numbers import plain
from web.window import Window


async def price(request: Request, symbol: str | None = None, symbols: str | None = None) -> Response:
    """The price that the stream told last, or the newest stored close; of all markets that have one by default."""
    asked.only(request, "symbol", "symbols")
    deps, chosen = deps_of(request), await asked.markets(request, symbol, symbols)
    if chosen is None:
        exchange = await exchange_of(request)
        markets = (await spot_markets(deps, exchange)).get(exchange, [])
        chosen = sorted((name, one) for name, one in named(markets).items() if one.instrument.is_trading)
    prices = await _prices(deps, [market for _, market in chosen])
    told = [{"symbol": name, "price": plain(prices[one.id])} for name, one in chosen if one.id in prices]
    if symbol is None:
        return json_response(told)
    if not told:
        raise Refused(route.NO_WINDOW, "No trading window could be found for the symbol.")
    return json_response(told[0])


async def _prices(deps: Deps, markets: Sequence[Stored]) -> dict[int, float]:
    newest = await deps.candles.last_close([market.id for market in markets])
    for market, told in zip(markets, await deps.feed.latest_of([one.instrument for one in markets]), strict=True):
        if told and told.time >= newest.get(market.id, (0, 0.0))[0]:
            newest[market.id] = told.time, told.close
    return {symbol_id: close for symbol_id, (_, close) in newest.items()}


async def day(request: Request, symbol: str | None = None, symbols: str | None = None) -> Response:
    """The last 1,440 whole minutes. Order books and single trades are not known, so there is no bid and no ask."""
    asked.only(request, "symbol", "symbols")
    chosen = await asked.markets(request, symbol, symbols)
    if chosen is None:
        raise Refused(route.MANDATORY, "Param 'symbol' or 'symbols' must be sent, but both were empty/null!")
    found = [ticker for name, market in chosen if (ticker := await _ticker(deps_of(request), name, market))]
    if symbol is None:
        return json_response(found)
    if not found:
        raise Refused(route.NO_WINDOW, "No trading window could be found for the symbol.")
    return json_response(found[0])


async def _ticker(deps: Deps, name: str, market: Stored) -> dict[str, Any] | None:
    start_ms = floor_minute(deps.clock.now_ms()) - DAY_MS
    whole = Timeframe(DAY_MS // MINUTE_MS, Unit.MINUTE, origin_ms=start_ms)
    bars = await read(deps, market.id, Window(whole, start_ms, start_ms, 1), None)
    before = await deps.candles.read(market.id, Interval.M1, None, start_ms, 1)
    return _statistics(name, bars[0], before) if bars else None


def _statistics(name: str, bar: Bar, before: Sequence[Bar]) -> dict[str, Any]:
    """Without what is not known: some exchanges give neither a quote volume nor a count of trades."""
    opened, close = Decimal(plain(bar.open)), Decimal(plain(bar.close))
    known: dict[str, Any] = {
        "symbol": name,
        "priceChange": format(close - opened, "f"),
        "priceChangePercent": format((close - opened) / opened * 100, ".3f") if opened else "0.000",
        "lastPrice": plain(bar.close),
        "openPrice": plain(bar.open),
        "highPrice": plain(bar.high),
        "lowPrice": plain(bar.low),
        "volume": plain(bar.volume),
        "openTime": bar.open_ms,
        "closeTime": bar.open_ms + DAY_MS - 1,
    }
    if before:
        known["prevClosePrice"] = plain(before[0].close)
    if bar.quote_volume is not None:
        known["quoteVolume"] = plain(bar.quote_volume)
        known["weightedAvgPrice"] = plain(bar.quote_volume / bar.volume if bar.volume else bar.close)
    return known if bar.trades is None else known | {"count": bar.trades}
