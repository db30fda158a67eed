"""GET /ccxt/{exchange}/*: bars and markets as ccxt's own methods return them."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from common.errors import BadInput
from common.market import Instrument
from common.span import Span, floor_minute
from common.timeframe import ALLOWED
from web.api.paging import read
from web.api.schema import described
from web.deps import Deps
from web.errors import json_response
from web.markets import find_market, known_exchange
from web.shapes.names import spot_markets
from web.shapes.oldest import oldest
from web.window import Window, check_time, frame

router = APIRouter(prefix="/ccxt/{exchange}")
DEFAULT_BARS, MOST_BARS = 500, 1000


@router.get("/ohlcv", responses=described(list[list[float]]), response_class=Response)
async def ohlcv(
    request: Request,
    exchange: str,
    symbol: Annotated[str, Query(description="such as BTC/USDT")],
    timeframe: Annotated[str, Query(description=ALLOWED)] = "1m",
    since: Annotated[int | None, Query(description="UTC ms, included; with it the oldest bars from there")] = None,
    until: Annotated[int | None, Query(description="UTC ms of the last bar's start, included")] = None,
    limit: Annotated[int, Query(description=f"bars, at most {MOST_BARS}")] = DEFAULT_BARS,
) -> Response:
    """What `fetch_ohlcv` returns: `[[UTC ms, open, high, low, close, volume], …]`, ascending, of whole minutes."""
    deps: Deps = request.app.state.deps
    grid, span = frame(timeframe, None, None), _span(since, until, deps.clock.now_ms())
    if limit < 1:
        raise BadInput("limit", f"limit must be 1 to {MOST_BARS}, not {limit}.", f"1 to {MOST_BARS}")
    base, slash, quote = symbol.partition("/")
    if not slash:
        raise BadInput("symbol", f"symbol must be base/quote, not {symbol!r}.", "such as BTC/USDT")
    market = await find_market(deps, exchange, base, quote)
    count = min(limit, MOST_BARS)
    if since is None:
        bars = await read(deps, market.id, Window(grid, None, floor_minute(span.end_ms - 1), count), None)
    else:
        bars = await oldest(deps.candles, market.id, grid, span, count)
    return json_response([bar[:6] for bar in bars])


def _span(since: int | None, until: int | None, now_ms: int) -> Span:
    for field, value in (("since", since), ("until", until)):
        if value is not None:
            check_time(field, value)
    return Span(since or 0, min(now_ms if until is None else until, now_ms) + 1)


@router.get("/markets", responses=described(list[dict[str, Any]]), response_class=Response)
async def markets(request: Request, exchange: str) -> Response:
    """What `fetch_markets` returns, as far as it is known here."""
    deps: Deps = request.app.state.deps
    name = known_exchange(deps, exchange)
    found = (await spot_markets(deps, name)).get(name, [])
    return json_response(sorted((_market(one.instrument) for one in found), key=lambda market: market["symbol"]))


def _market(market: Instrument) -> dict[str, Any]:
    return {
        "id": market.native,
        "symbol": market.symbol,
        "base": market.base,
        "quote": market.quote,
        "settle": None,
        "baseId": market.native_base or market.base,
        "quoteId": market.native_quote or market.quote,
        "type": "spot",
        "spot": True,
        "margin": False,
        "swap": False,
        "future": False,
        "option": False,
        "contract": False,
        "active": market.is_trading,
        "precision": {"price": market.tick_size, "amount": None},
        "limits": {part: {"min": None, "max": None} for part in ("amount", "price", "cost", "leverage")},
        "info": {},
    }
