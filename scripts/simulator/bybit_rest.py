"""Bybit REST v5 as https://bybit-exchange.github.io/docs/v5/market/kline describes it, for spot."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from common.span import MINUTE_MS
from scripts.simulator.market import FIRST_MINUTE, LAST_MINUTE, Row, Symbol
from scripts.simulator.rest import json, raw, route
from scripts.simulator.text import plain
from scripts.simulator.world import World, take

_LONGEST, _USUAL = 1000, 200


def routes(world: World) -> list[BaseRoute]:
    """Everything below /bybit that is asked by GET."""
    return [
        route(world, "bybit", "/bybit/v5/market/time", _time),
        route(world, "bybit", "/bybit/v5/market/instruments-info", _instruments_info),
        route(world, "bybit", "/bybit/v5/market/kline", _kline),
    ]


async def _time(world: World, request: Request) -> Response:
    now_ms = world.clock.now_ms()
    return _answer(world, {"timeSecond": str(now_ms // 1000), "timeNano": str(now_ms * 1_000_000)})


async def _instruments_info(world: World, request: Request) -> Response:
    """All at once: spot has no pages, whatever `limit` says."""
    if request.query_params.get("category") != "spot":
        return _refused(world, "params error: Category is invalid")
    listed = [_listed(symbol) for symbol in world.market.symbols("bybit")]
    return _answer(world, {"category": "spot", "list": listed})


def _listed(symbol: Symbol) -> dict[str, object]:
    return {
        "symbol": symbol.native,
        "baseCoin": symbol.native_base,
        "quoteCoin": symbol.native_quote,
        "innovation": "0",
        "status": "Trading" if symbol.status == "TRADING" else symbol.status,
        "marginTrading": "none",
        "stTag": "0",
        "lotSizeFilter": {
            "basePrecision": plain(10**-symbol.amount_decimals),
            "quotePrecision": "0.00000001",
            "minOrderQty": plain(10**-symbol.amount_decimals),
            "maxOrderQty": "9000",
            "minOrderAmt": "1",
            "maxOrderAmt": "4000000",
        },
        "priceFilter": {"tickSize": plain(10**-symbol.price_decimals)},
        "riskParameters": {"priceLimitRatioX": "0.01", "priceLimitRatioY": "0.02"},
    }


async def _kline(world: World, request: Request) -> Response:
    query = request.query_params
    symbol = world.market.find("bybit", query.get("symbol", ""))
    if query.get("category") != "spot":
        return _refused(world, "params error: Category is invalid")
    if symbol is None:
        return _refused(world, "Not supported symbols")
    if query.get("interval") != "1":
        return _refused(world, "Invalid period!")
    numbers: dict[str, int] = {}
    for name, text in query.items():
        if name in ("start", "end", "limit"):
            if not text.isdecimal():
                return _refused(world, f"params error: {name} invalid")
            numbers[name] = int(text)
    rows = await _found(world, symbol, numbers)
    listed = ",".join(map(_candle, rows))
    return raw(
        f'{{"retCode":0,"retMsg":"OK","result":{{"category":"spot","symbol":"{symbol.native}","list":[{listed}]}},'
        f'"retExtInfo":{{}},"time":{world.clock.now_ms()}}}'
    )


async def _found(world: World, symbol: Symbol, numbers: dict[str, int]) -> list[Row]:
    """Newest first, both bounds included; with `start` alone those that follow it, else those before the end."""
    limit = max(1, min(numbers.get("limit", _USUAL), _LONGEST))
    newest = "start" not in numbers or "end" in numbers
    first = -(-numbers.get("start", FIRST_MINUTE * MINUTE_MS) // MINUTE_MS)
    last = numbers.get("end", LAST_MINUTE * MINUTE_MS) // MINUTE_MS
    rows = await take(world.market.rows(symbol, first, last, world.clock.now_ms(), newest=newest), limit)
    return rows if newest else rows[::-1]


def _candle(row: Row) -> str:
    numbers = (row.open, row.high, row.low, row.close, row.volume, row.quote_volume)
    return f'["{row.open_ms}","' + '","'.join(map(plain, numbers)) + '"]'


def _answer(world: World, result: object, code: int = 0, words: str = "OK") -> Response:
    """Errors, too, have the status 200."""
    now_ms = world.clock.now_ms()
    return json({"retCode": code, "retMsg": words, "result": result, "retExtInfo": {}, "time": now_ms})


def _refused(world: World, words: str) -> Response:
    return _answer(world, {}, 10001, words)
