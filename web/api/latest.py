"""GET /api/latest: the newest candle of many markets at once."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from app.messages import CandleMessage
from common.errors import BadInput
from web.api.schema import described
from web.deps import Deps, Stored
from web.errors import json_response
from web.markets import known_exchange, named_markets

router = APIRouter()


class Latest(msgspec.Struct, frozen=True, gc=False):
    """A market and its newest minute, all null where the feed has told none. Times are UTC milliseconds.

    `source`: 0 it is under way, 1 closed by time, 2 by the exchange's message, 3 by REST. `age` is how long ago it
    was `received`.
    """

    exchange: str
    base_id: str
    quote_id: str
    symbol: str
    time: int | None = None
    open: float | None = None
    high: float | None = None
    low: float | None = None
    close: float | None = None
    volume: float | None = None
    quote_volume: float | None = None
    trades: int | None = None
    closed: bool | None = None
    source: int | None = None
    received: int | None = None
    age: int | None = None


@router.get("/api/latest", responses=described(list[Latest]), response_class=Response)
async def latest(
    request: Request,
    symbols: Annotated[str | None, Query(description="binance:BTC:USDT,bitfinex:BTC/USD and so on")] = None,
    exchange: Annotated[str | None, Query(description="instead: each of its markets that trade")] = None,
    market_type: str = "spot",
) -> Response:
    """A row for each market, in the order in which they were asked for, or by name."""
    deps: Deps = request.app.state.deps
    if (symbols is None) == (exchange is None):
        raise BadInput("symbols", "Ask for symbols or for an exchange, one of them.", "symbols, exchange")
    if symbols is not None:
        markets = await named_markets(deps, symbols, market_type)
    else:
        listed = await deps.symbols.load(known_exchange(deps, str(exchange)), trading_only=True)
        markets = [one for _, one in sorted(listed.items()) if one.instrument.market_type == market_type]
    now_ms = deps.clock.now_ms()
    told = await deps.newest([one.instrument for one in markets])
    return json_response([_row(one, message, now_ms) for one, message in zip(markets, told, strict=True)])


def _row(stored: Stored, told: CandleMessage | None, now_ms: int) -> Latest:
    one = stored.instrument
    names = (one.exchange, one.base, one.quote, one.native)
    if told is None:
        return Latest(*names)
    prices = (told.open, told.high, told.low, told.close, told.volume, told.quote_volume)
    age_ms = max(now_ms - told.received, 0)
    return Latest(*names, told.time, *prices, told.trades, told.closed, told.source, told.received, age_ms)
