"""Bittrex REST v3 as https://bittrex.github.io/api/v3 described it; the exchange closed in December 2023."""

from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from common.span import MINUTE_MS
from scripts.simulator.bittrex_sequence import Sequences
from scripts.simulator.market import Row, Symbol
from scripts.simulator.rest import json, raw, route
from scripts.simulator.text import fixed8, iso
from scripts.simulator.world import World, take

_DAY_MINUTES = 1440


def routes(world: World, sequences: Sequences) -> list[BaseRoute]:
    """Everything below /bittrex/v3; the candle's type may be left out of a path."""

    async def recent(world: World, request: Request) -> Response:
        return await _recent(world, request, sequences)

    answers = [("ping", _ping), ("markets", _markets), ("currencies", _currencies)]
    made: list[BaseRoute] = [route(world, "bittrex", f"/bittrex/v3/{name}", answer) for name, answer in answers]
    for kind in ("/{kind}", ""):
        candles = f"/bittrex/v3/markets/{{symbol}}/candles{kind}/{{interval}}"
        made.append(route(world, "bittrex", f"{candles}/recent", recent))
        made.append(route(world, "bittrex", candles + "/historical/{year}/{month}/{day}", _historical))
    return made


async def _ping(world: World, request: Request) -> Response:
    return json({"serverTime": world.clock.now_ms() // 1000 * 1000})


async def _markets(world: World, request: Request) -> Response:
    return json([_listed(symbol) for symbol in world.market.symbols("bittrex")])


def _listed(symbol: Symbol) -> dict[str, object]:
    return {
        "symbol": symbol.native,
        "baseCurrencySymbol": symbol.native_base,
        "quoteCurrencySymbol": symbol.native_quote,
        "minTradeSize": "0.00010000",
        "precision": symbol.price_decimals,
        "status": "ONLINE" if symbol.status == "TRADING" else symbol.status,
        "createdAt": "2015-12-11T06:31:40.633Z",
        "prohibitedIn": [],
        "associatedTermsOfService": [],
        "tags": [],
    }


async def _currencies(world: World, request: Request) -> Response:
    codes = {
        code for symbol in world.market.symbols("bittrex") for code in (symbol.native_base, symbol.native_quote)
    }
    status = {"status": "ONLINE", "minConfirmations": 2, "notice": "", "txFee": "0.00030000"}
    return json([{"symbol": code, "name": code, "coinType": "BITCOIN", **status} for code in sorted(codes)])


async def _recent(world: World, request: Request, sequences: Sequences) -> Response:
    asked = _asked(world, request)
    if isinstance(asked, Response):
        return asked
    now_ms = world.clock.now_ms()
    # Before reading the rows, so that no update after them is thought to be in them.
    headers = {"sequence": str(sequences.now(asked.native)), "cache-control": "max-age=1"}
    last = now_ms // MINUTE_MS
    rows = world.market.rows(asked, last - _DAY_MINUTES + 1, last, now_ms, newest=False)
    return raw(_page(await take(rows, _DAY_MINUTES)), headers=headers)


async def _historical(world: World, request: Request) -> Response:
    asked = _asked(world, request)
    if isinstance(asked, Response):
        return asked
    try:
        year, month, day = (int(request.path_params[part]) for part in ("year", "month", "day"))
        start_ms = int(datetime(year, month, day, tzinfo=UTC).timestamp()) * 1000
    except (ValueError, OverflowError):
        return json({"code": "INVALID_DATE"}, 400)
    now_ms, first = world.clock.now_ms(), start_ms // MINUTE_MS
    if first + _DAY_MINUTES > now_ms // MINUTE_MS:
        return json({"code": "STARTDATE_OUT_OF_RANGE"}, 400)
    rows = world.market.rows(asked, first, first + _DAY_MINUTES - 1, now_ms, newest=False)
    return raw(_page(await take(rows, _DAY_MINUTES)))


def _asked(world: World, request: Request) -> Symbol | Response:
    path = request.path_params
    if path.get("kind", "TRADE") != "TRADE":
        return json({"code": "INVALID_CANDLE_TYPE"}, 400)
    if path["interval"] != "MINUTE_1":
        return json({"code": "INVALID_CANDLE_INTERVAL"}, 400)
    symbol = world.market.find("bittrex", path["symbol"].upper())
    if symbol is not None:
        return symbol
    reversed_name = "-".join(reversed(path["symbol"].upper().split("-")))
    known = world.market.find("bittrex", reversed_name)
    return json({"code": "MARKET_NAME_REVERSED" if known else "MARKET_DOES_NOT_EXIST"}, 400 if known else 404)


def _page(rows: list[Row]) -> str:
    return "[" + ",".join(map(candle, rows)) + "]"


def candle(row: Row) -> str:
    """One object, as REST sends it and as `delta` of the socket's message."""
    volume = fixed8(row.volume) if row.trades or row.volume else "0"
    quote_volume = fixed8(row.quote_volume) if row.trades or row.volume else "0"
    return (
        f'{{"startsAt":"{iso(row.open_ms)}","open":"{fixed8(row.open)}","high":"{fixed8(row.high)}",'
        f'"low":"{fixed8(row.low)}","close":"{fixed8(row.close)}","volume":"{volume}","quoteVolume":"{quote_volume}"}}'
    )
