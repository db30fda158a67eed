"""Coinbase Exchange REST as docs.cdp.coinbase.com/exchange/reference/exchangerestapi_getproductcandles has it."""

from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from common.span import MINUTE_MS
from scripts.simulator.market import Row, Symbol
from scripts.simulator.rest import json, raw, route
from scripts.simulator.text import iso, javascript
from scripts.simulator.world import World, take

_LONGEST = 300


def routes(world: World) -> list[BaseRoute]:
    """Everything below /coinbase that is asked by GET."""
    return [
        route(world, "coinbase", "/coinbase/time", _time),
        route(world, "coinbase", "/coinbase/currencies", _currencies),
        route(world, "coinbase", "/coinbase/products", _products),
        route(world, "coinbase", "/coinbase/products/{id}/candles", _candles),
    ]


async def _time(world: World, request: Request) -> Response:
    now_ms = world.clock.now_ms()
    return json({"iso": iso(now_ms), "epoch": now_ms / 1000})


async def _currencies(world: World, request: Request) -> Response:
    codes = {code for one in world.market.symbols("coinbase") for code in (one.native_base, one.native_quote)}
    more = {"min_size": "0.00000001", "max_precision": "0.00000001", "status": "online", "details": {}}
    return json([{"id": code, "name": code, **more} for code in sorted(codes)])


async def _products(world: World, request: Request) -> Response:
    return json([_listed(symbol) for symbol in world.market.symbols("coinbase")])


def _listed(symbol: Symbol) -> dict[str, object]:
    is_online = symbol.status == "TRADING"
    return {
        "id": symbol.native,
        "base_currency": symbol.native_base,
        "quote_currency": symbol.native_quote,
        "quote_increment": f"{10**-symbol.price_decimals:.{symbol.price_decimals}f}",
        "base_increment": f"{10**-symbol.amount_decimals:.{symbol.amount_decimals}f}",
        "display_name": f"{symbol.native_base}/{symbol.native_quote}",
        "min_market_funds": "1",
        "margin_enabled": False,
        "post_only": False,
        "limit_only": False,
        "cancel_only": False,
        "status": "online" if is_online else symbol.status,
        "status_message": "",
        "trading_disabled": not is_online,
        "fx_stablecoin": False,
        "max_slippage_percentage": "0.02000000",
        "auction_mode": False,
    }


async def _candles(world: World, request: Request) -> Response:
    """Both bounds include, and count only together; otherwise the newest."""
    symbol = world.market.find("coinbase", request.path_params["id"])
    if symbol is None:
        return json({"message": "NotFound"}, 404)
    query, now_ms = request.query_params, world.clock.now_ms()
    if query.get("granularity", "60") != "60":
        return json({"message": "Unsupported granularity"}, 400)
    last = now_ms // MINUTE_MS
    first = last - _LONGEST + 1
    if "start" in query and "end" in query:
        try:
            first, last = -(-_ms(query["start"]) // MINUTE_MS), _ms(query["end"]) // MINUTE_MS
        except (ValueError, OverflowError):
            return json({"message": "Invalid start or end"}, 400)
    if last - first >= _LONGEST:
        words = "granularity too small for the requested time range. Count of aggregations requested exceeds"
        return json({"message": f"{words} {_LONGEST}"}, 400)
    rows = world.market.rows(symbol, first, last, now_ms, newest=True)
    return raw("[" + ",".join(map(_candle, await take(rows, _LONGEST))) + "]")


def _ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def _candle(row: Row) -> str:
    """Low and high come first."""
    numbers = (row.low, row.high, row.open, row.close, row.volume)
    return f"[{row.open_ms // 1000},{','.join(map(javascript, numbers))}]"
