"""Binance spot REST as https://github.com/binance/binance-spot-api-docs (rest-api.md) describes it."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from common.span import MINUTE_MS
from scripts.simulator.market import FIRST_MINUTE, LAST_MINUTE, Row, Symbol
from scripts.simulator.rest import json, raw, route
from scripts.simulator.text import fixed8
from scripts.simulator.world import World, take

_LONGEST = 1000


def routes(world: World) -> list[BaseRoute]:
    """Everything below /binance that is asked by GET."""
    return [
        route(world, "binance", "/binance/api/v3/ping", _ping),
        route(world, "binance", "/binance/api/v3/time", _time),
        route(world, "binance", "/binance/api/v3/exchangeInfo", _exchange_info, weight=20),
        route(world, "binance", "/binance/api/v3/klines", _klines, weight=2),
    ]


async def _ping(world: World, request: Request) -> Response:
    return json({})


async def _time(world: World, request: Request) -> Response:
    return json({"serverTime": world.clock.now_ms()})


async def _exchange_info(world: World, request: Request) -> Response:
    stated = world.limits.stated["binance"]
    weight = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": stated}
    return json(
        {
            "timezone": "UTC",
            "serverTime": world.clock.now_ms(),
            "rateLimits": [weight],
            "exchangeFilters": [],
            "symbols": [_listed(symbol) for symbol in world.market.symbols("binance")],
        }
    )


def _listed(symbol: Symbol) -> dict[str, object]:
    tick, step = fixed8(10**-symbol.price_decimals), fixed8(10**-symbol.amount_decimals)
    return {
        "symbol": symbol.native,
        "status": symbol.status,
        "baseAsset": symbol.native_base,
        "baseAssetPrecision": 8,
        "quoteAsset": symbol.native_quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET"],
        "icebergAllowed": True,
        "ocoAllowed": True,
        "quoteOrderQtyMarketAllowed": True,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "1000000.00000000", "tickSize": tick},
            {"filterType": "LOT_SIZE", "minQty": step, "maxQty": "9000.00000000", "stepSize": step},
        ],
        "permissions": ["SPOT"],
        "permissionSets": [["SPOT"]],
    }


async def _klines(world: World, request: Request) -> Response:
    query = request.query_params
    for name in ("symbol", "interval"):
        if not query.get(name):
            words = f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."
            return json({"code": -1102, "msg": words}, 400)
    symbol = world.market.find("binance", query["symbol"])
    if symbol is None:
        return json({"code": -1121, "msg": "Invalid symbol."}, 400)
    if query["interval"] != "1m":
        return json({"code": -1120, "msg": "Invalid interval."}, 400)
    bounds: dict[str, int] = {}
    for name in ("startTime", "endTime", "limit"):
        if name in query:
            if not query[name].isdecimal():
                words = f"Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,20}}$'."
                return json({"code": -1100, "msg": words}, 400)
            bounds[name] = int(query[name])
    if bounds.get("startTime", 0) > bounds.get("endTime", 1 << 62):
        return json({"code": -1127, "msg": "startTime must not be after endTime."}, 400)
    return raw("[" + ",".join(map(kline, await _found(world, symbol, bounds))) + "]")


async def _found(world: World, symbol: Symbol, bounds: dict[str, int]) -> list[Row]:
    """Both bounds include; from `startTime` on if given, else the newest."""
    limit = min(bounds.get("limit", 500) or 500, _LONGEST)
    newest = "startTime" not in bounds
    first = -(-bounds.get("startTime", FIRST_MINUTE * MINUTE_MS) // MINUTE_MS)
    last = bounds.get("endTime", LAST_MINUTE * MINUTE_MS) // MINUTE_MS
    rows = world.market.rows(symbol, first, last, world.clock.now_ms(), newest=newest)
    found = await take(rows, limit)
    return found[::-1] if newest else found


def kline(row: Row) -> str:
    """One array of twelve."""
    return (
        f'[{row.open_ms},"{fixed8(row.open)}","{fixed8(row.high)}","{fixed8(row.low)}","{fixed8(row.close)}",'
        f'"{fixed8(row.volume)}",{row.open_ms + MINUTE_MS - 1},"{fixed8(row.quote_volume)}",{row.trades},'
        f'"{fixed8(row.taker_volume)}","{fixed8(row.taker_quote_volume)}","0"]'
    )
