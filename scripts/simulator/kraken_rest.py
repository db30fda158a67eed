"""Kraken REST as https://docs.kraken.com/api-reference/market-data/get-ohlc-data describes it."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from common.span import MINUTE_MS
from scripts.simulator.listings import KRAKEN_CODES
from scripts.simulator.market import Row, Symbol
from scripts.simulator.rest import json, raw, route
from scripts.simulator.text import fixed8
from scripts.simulator.world import World, take

_LONGEST = 720

#: The oldest currencies have names with a letter before them, which their pairs are listed under.
_LEGACY = {"ETH": "XETH", "XBT": "XXBT", "XDG": "XXDG", "USD": "ZUSD"}


def routes(world: World) -> list[BaseRoute]:
    """Everything below /kraken that is asked by GET."""
    answers = {"Time": _time, "Assets": _assets, "AssetPairs": _asset_pairs, "OHLC": _ohlc}
    return [route(world, "kraken", f"/kraken/0/public/{name}", answer) for name, answer in answers.items()]


def v2_name(symbol: Symbol) -> str:
    """`BTC/USD`, as the WebSocket calls it."""
    base, quote = symbol.native_base, symbol.native_quote
    return f"{KRAKEN_CODES.get(base, base)}/{KRAKEN_CODES.get(quote, quote)}"


def _name(symbol: Symbol) -> str:
    """`XXBTZUSD`, but `XBTUSDT`."""
    names = [_LEGACY.get(code, "") for code in (symbol.native_base, symbol.native_quote)]
    return "".join(names) if all(names) else symbol.native


async def _time(world: World, request: Request) -> Response:
    return _result({"unixtime": world.clock.now_ms() // 1000})


async def _assets(world: World, request: Request) -> Response:
    codes = {code for one in world.market.symbols("kraken") for code in (one.native_base, one.native_quote)}
    asset = {"aclass": "currency", "decimals": 10, "display_decimals": 5, "status": "enabled"}
    return _result({_LEGACY.get(code, code): {"altname": code, **asset} for code in sorted(codes)})


async def _asset_pairs(world: World, request: Request) -> Response:
    return _result({_name(symbol): _listed(symbol) for symbol in world.market.symbols("kraken")})


def _listed(symbol: Symbol) -> dict[str, object]:
    base, quote = symbol.native_base, symbol.native_quote
    return {
        "altname": symbol.native,
        "wsname": f"{base}/{quote}",
        "aclass_base": "currency",
        "base": _LEGACY.get(base, base),
        "aclass_quote": "currency",
        "quote": _LEGACY.get(quote, quote),
        "lot": "unit",
        "cost_decimals": 5,
        "pair_decimals": symbol.price_decimals,
        "lot_decimals": symbol.amount_decimals,
        "lot_multiplier": 1,
        "leverage_buy": [],
        "leverage_sell": [],
        "fees": [[0, 0.4]],
        "fees_maker": [[0, 0.25]],
        "fee_volume_currency": "ZUSD",
        "margin_call": 80,
        "margin_stop": 40,
        "ordermin": "0.00005",
        "costmin": "0.5",
        "tick_size": f"{10**-symbol.price_decimals:.{symbol.price_decimals}f}",
        "status": "online" if symbol.status == "TRADING" else symbol.status,
    }


async def _ohlc(world: World, request: Request) -> Response:
    """Of the newest minutes those after `since`, which no `since` makes more."""
    query = request.query_params
    pair, since = query.get("pair", ""), query.get("since", "0")
    listed = world.market.symbols("kraken")
    symbol = next((one for one in listed if pair in (one.native, _name(one))), None)
    if symbol is None:
        return json({"error": ["EQuery:Unknown asset pair"]})
    if query.get("interval", "1") != "1" or not since.isdecimal():
        return json({"error": ["EGeneral:Invalid arguments"]})
    now_ms = world.clock.now_ms()
    last = now_ms // MINUTE_MS
    first = max(last - _LONGEST + 1, int(since) // 60 + 1)
    found = await take(world.market.rows(symbol, first, last, now_ms, newest=False), _LONGEST)
    rows = ",".join(_row(symbol, one) for one in found)
    return raw(f'{{"error":[],"result":{{"{_name(symbol)}":[{rows}],"last":{(last - 1) * 60}}}}}')


def _row(symbol: Symbol, row: Row) -> str:
    average = row.quote_volume / row.volume if row.volume else 0
    prices = (row.open, row.high, row.low, row.close, average)
    texts = ",".join(f'"{price:.{symbol.price_decimals}f}"' for price in prices)
    return f'[{row.open_ms // 1000},{texts},"{fixed8(row.volume)}",{row.trades}]'


def _result(result: object) -> Response:
    return json({"error": [], "result": result})
