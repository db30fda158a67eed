"""OKX REST v5 as https://www.okx.com/docs-v5/en/ (order book trading, market data) describes it, for spot."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from common.span import MINUTE_MS
from scripts.simulator.market import FIRST_MINUTE, LAST_MINUTE, Row, Symbol
from scripts.simulator.rest import json, raw, route
from scripts.simulator.text import plain
from scripts.simulator.world import World, take

#: Rows of the newest candles and of their history, the latter as documented; how far the former reach.
_LONGEST, _LONGEST_OF_HISTORY, _USUAL, _REACH = 300, 100, 100, 1440


def routes(world: World) -> list[BaseRoute]:
    """Everything below /okx that is asked by GET."""

    async def candles(world: World, request: Request) -> Response:
        return await _candles(world, request, world.clock.now_ms() // MINUTE_MS - _REACH + 1, _LONGEST)

    async def history(world: World, request: Request) -> Response:
        return await _candles(world, request, FIRST_MINUTE, _LONGEST_OF_HISTORY)

    return [
        route(world, "okx", "/okx/api/v5/public/time", _time, weight=4),
        route(world, "okx", "/okx/api/v5/public/instruments", _instruments, weight=2),
        route(world, "okx", "/okx/api/v5/market/candles", candles),
        route(world, "okx", "/okx/api/v5/market/history-candles", history, weight=2),
    ]


async def _time(world: World, request: Request) -> Response:
    return json({"code": "0", "msg": "", "data": [{"ts": str(world.clock.now_ms())}]})


async def _instruments(world: World, request: Request) -> Response:
    if request.query_params.get("instType") != "SPOT":
        return _refused("51000", "Parameter instType error", 400)
    return json({"code": "0", "msg": "", "data": [_listed(symbol) for symbol in world.market.symbols("okx")]})


def _listed(symbol: Symbol) -> dict[str, object]:
    lot = plain(10**-symbol.amount_decimals)
    return {
        "alias": "",
        "baseCcy": symbol.native_base,
        "category": "1",
        "ctMult": "",
        "ctType": "",
        "ctVal": "",
        "ctValCcy": "",
        "expTime": "",
        "instFamily": "",
        "instId": symbol.native,
        "instType": "SPOT",
        "lever": "",
        "listTime": str(symbol.listed * MINUTE_MS),
        "lotSz": lot,
        "maxLmtSz": "9999999999",
        "maxMktSz": "",
        "minSz": lot,
        "optType": "",
        "quoteCcy": symbol.native_quote,
        "settleCcy": "",
        "state": "live" if symbol.status == "TRADING" else symbol.status,
        "stk": "",
        "tickSz": plain(10**-symbol.price_decimals),
        "uly": "",
    }


async def _candles(world: World, request: Request, earliest: int, longest: int) -> Response:
    """Newest first, older than `after` and newer than `before`."""
    query = request.query_params
    symbol = world.market.find("okx", query.get("instId", ""))
    if symbol is None:
        return _refused("51001", "Instrument ID, Instrument ID code, or Spread ID doesn't exist.")
    if query.get("bar", "1m") != "1m":
        return _refused("51000", "Parameter bar error", 400)
    numbers: dict[str, int] = {}
    for name in ("after", "before", "limit"):
        if name in query:
            if not query[name].isdecimal():
                return _refused("51000", f"Parameter {name} error", 400)
            numbers[name] = int(query[name])
    now_ms = world.clock.now_ms()
    first = max(numbers.get("before", 0) // MINUTE_MS + 1, earliest)
    last = -(-numbers.get("after", LAST_MINUTE * MINUTE_MS) // MINUTE_MS) - 1
    limit = max(1, min(numbers.get("limit", _USUAL), longest))
    rows = await take(world.market.rows(symbol, first, last, now_ms, newest=True), limit)
    listed = ",".join(candle(row, confirmed=row.open_ms + MINUTE_MS <= now_ms) for row in rows)
    return raw(f'{{"code":"0","msg":"","data":[{listed}]}}')


def candle(row: Row, *, confirmed: bool) -> str:
    """One array of nine, as REST and the socket send it."""
    numbers = (row.open, row.high, row.low, row.close, row.volume, row.quote_volume, row.quote_volume)
    return f'["{row.open_ms}","' + '","'.join(map(plain, numbers)) + f'","{1 if confirmed else 0}"]'


def _refused(code: str, words: str, status: int = 200) -> Response:
    return json({"code": code, "msg": words, "data": []}, status)
