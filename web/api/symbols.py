"""GET /api/symbol-exchange: the markets that trade, and for the page what it needs to draw each."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from common.errors import BadInput
from web.api.schema import described
from web.deps import Deps, Stored
from web.errors import json_response
from web.markets import find_market, known_exchange

router = APIRouter()


class Market(msgspec.Struct, frozen=True):
    exchange: str
    base_id: str
    quote_id: str
    symbol: str
    is_trading: bool


class MarketDetails(Market, frozen=True):
    """`last_time` is the newest stored minute in UTC milliseconds; null for a market without candles.

    `former` are names that it had before, such as MATIC/USDT.
    """

    tick_size: float | None
    last_time: int | None
    former: list[str]


@router.get("/api/symbol-exchange", responses=described(list[Market]), response_class=Response)
async def symbol_exchange(
    request: Request,
    exchange: str | None = None,
    base_id: Annotated[str | None, Query(description="with quote_id: this one, traded or not")] = None,
    quote_id: str | None = None,
    details: Annotated[bool, Query(description="add tick_size, last_time and former")] = False,
) -> Response:
    """Every trading market, by exchange and name; `symbol` is the exchange's own spelling."""
    deps: Deps = request.app.state.deps
    stored = await _asked(deps, exchange, base_id, quote_id)
    if not details:
        return json_response([Market(*_columns(market)) for market in stored])
    newest = await deps.candles.last_close([market.id for market in stored])
    last = {symbol_id: open_ms for symbol_id, (open_ms, _) in newest.items()}
    return json_response([MarketDetails(*_columns(one), *_details(one, last.get(one.id))) for one in stored])


async def _asked(deps: Deps, exchange: str | None, base: str | None, quote: str | None) -> list[Stored]:
    if base is not None or quote is not None:
        for field, name in (("exchange", exchange), ("base_id", base), ("quote_id", quote)):
            if not name:
                raise BadInput(field, f"One market is exchange, base_id and quote_id; {field} is missing.")
        return [await find_market(deps, str(exchange), str(base), str(quote))]
    wanted = None if exchange is None else known_exchange(deps, exchange)
    return sorted((await deps.symbols.load(wanted, trading_only=True)).values(), key=lambda s: s.instrument.key)


def _details(stored: Stored, last_ms: int | None) -> tuple[float | None, int | None, list[str]]:
    market = stored.instrument
    former = dict.fromkeys(before.symbol for before in market.former if before.symbol != market.symbol)
    return market.tick_size, last_ms, list(former)


def _columns(stored: Stored) -> tuple[str, str, str, str, bool]:
    market = stored.instrument
    return market.exchange, market.base, market.quote, market.native, market.is_trading
