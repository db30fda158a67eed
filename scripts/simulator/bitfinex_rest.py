"""Bitfinex REST v2 as https://docs.bitfinex.com/reference/rest-public-candles describes it."""

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from common.span import MINUTE_MS
from scripts.simulator.listings import BITFINEX_CODES, UNKNOWN_CURRENCY
from scripts.simulator.market import FIRST_MINUTE, LAST_MINUTE, Row
from scripts.simulator.rest import json, raw, route
from scripts.simulator.text import javascript
from scripts.simulator.world import World, take

_LONGEST = 10_000


def routes(world: World) -> list[BaseRoute]:
    """Everything below /bitfinex that is asked by GET."""
    return [
        route(world, "bitfinex", "/bitfinex/v2/platform/status", _status),
        route(world, "bitfinex", "/bitfinex/v2/conf/{keys:path}", _conf),
        route(world, "bitfinex", "/bitfinex/v2/candles/{key}/{section}", _candles),
    ]


async def _status(world: World, request: Request) -> Response:
    return json([1])


async def _conf(world: World, request: Request) -> Response:
    """One element for each of the comma-joined keys, in their order; empty for those nobody here needs."""
    return json([_CONF.get(key, _nothing)(world) for key in request.path_params["keys"].split(",")])


def _nothing(world: World) -> list[object]:
    return []


def _pairs(world: World) -> list[object]:
    return [symbol.native for symbol in world.market.symbols("bitfinex")]


def _pair_infos(world: World) -> list[object]:
    info = [None, None, None, "0.00006", "2000.0", None, None, None, 0.2, 0.1, None, None]
    return [[symbol.native, info] for symbol in world.market.symbols("bitfinex")]


def _currencies(world: World) -> list[object]:
    codes = {
        code for symbol in world.market.symbols("bitfinex") for code in (symbol.native_base, symbol.native_quote)
    }
    return [*sorted(codes - {UNKNOWN_CURRENCY})]


def _currency_map(world: World) -> list[object]:
    return [[code, name] for code, name in BITFINEX_CODES.items()]


_CONF: dict[str, Callable[[World], list[object]]] = {
    "pub:list:pair:exchange": _pairs,
    "pub:info:pair": _pair_infos,
    "pub:list:currency": _currencies,
    "pub:map:currency:sym": _currency_map,
}


async def _candles(world: World, request: Request) -> Response:
    kind, _, rest = request.path_params["key"].partition(":")
    frame, _, name = rest.partition(":")
    section, query = request.path_params["section"], request.query_params
    if kind != "trade" or frame != "1m" or section not in ("hist", "last"):
        return _invalid("time" if frame != "1m" else "candles")
    symbol = world.market.find("bitfinex", name[1:]) if name.startswith("t") else None
    if symbol is None:
        return _invalid("symbol")
    numbers: dict[str, int] = {}
    for field, default in (("limit", 100), ("start", FIRST_MINUTE * MINUTE_MS), ("end", LAST_MINUTE * MINUTE_MS)):
        if not query.get(field, "0").isdecimal():
            return _invalid(field)
        numbers[field] = int(query.get(field, default))
    if not 1 <= numbers["limit"] <= _LONGEST:
        return _invalid("limit")
    if query.get("sort", "-1") not in ("1", "-1"):
        return _invalid("sort")
    first, last = -(-numbers["start"] // MINUTE_MS), numbers["end"] // MINUTE_MS
    newest = section == "last" or query.get("sort", "-1") == "-1"
    rows = world.market.rows(symbol, first, last, world.clock.now_ms(), newest=newest)
    if section == "last":
        return raw("".join(map(candle, await take(rows, 1))) or "[]")
    return raw("[" + ",".join(map(candle, await take(rows, numbers["limit"]))) + "]")


def _invalid(what: str) -> Response:
    return json(["error", 10020, f"{what}: invalid"], 500)


def candle(row: Row) -> str:
    """Open, close, high, low: the exchange's own order."""
    numbers = (row.open, row.close, row.high, row.low, row.volume)
    return f"[{row.open_ms},{','.join(map(javascript, numbers))}]"
