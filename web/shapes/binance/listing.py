"""exchangeInfo, the server's time, and what is not served."""

from typing import Annotated, Any

from fastapi import Query, Request
from fastapi.responses import Response

from common.market import Instrument
from web.errors import json_response
from web.shapes.binance import asked, route
from web.shapes.binance.route import Refused, deps_of, exchange_of
from web.shapes.names import named, spot_markets
from web.shapes.numbers import DECIMALS, plain

STEP = plain(10.0**-DECIMALS)
LARGEST = "92141578000.00000000"


async def ping(request: Request) -> Response:
    """{}"""
    return json_response({})


async def time(request: Request) -> Response:
    """{"serverTime": UTC ms}"""
    return json_response({"serverTime": deps_of(request).clock.now_ms()})


async def exchange_info(
    request: Request,
    symbol: str | None = None,
    symbols: Annotated[str | None, Query(description='such as ["BTCUSDT","BNBBTC"]')] = None,
    permissions: Annotated[str | None, Query(description="SPOT is all there is")] = None,
    showPermissionSets: str | None = None,
    symbolStatus: Annotated[str | None, Query(description="TRADING or BREAK")] = None,
) -> Response:
    """Spot markets, also those that trade no more (BREAK), with the price step as PRICE_FILTER."""
    asked.only(request, "symbol", "symbols", "permissions", "showPermissionSets", "symbolStatus")
    chosen = await asked.markets(request, symbol, symbols)
    if chosen is None:
        exchange = await exchange_of(request)
        markets = (await spot_markets(deps_of(request), exchange)).get(exchange, [])
        chosen = sorted(named(markets).items())
    if permissions is not None and "SPOT" not in permissions:
        chosen = []
    listed = [_listed(name, stored.instrument) for name, stored in chosen]
    if symbolStatus is not None:
        listed = [one for one in listed if one["status"] == symbolStatus]
    return json_response(
        {
            "timezone": "UTC",
            "serverTime": deps_of(request).clock.now_ms(),
            "rateLimits": [],
            "exchangeFilters": [],
            "symbols": listed,
        }
    )


async def unsupported(request: Request, path: str) -> Response:
    """Whatever else Binance has: trades, order books, accounts."""
    raise Refused(
        route.UNSUPPORTED, f"This operation is not supported: Candlehouse has candles, and no {path}.", 404
    )


def _listed(name: str, market: Instrument) -> dict[str, Any]:
    filters = [{"filterType": "LOT_SIZE", "minQty": STEP, "maxQty": LARGEST, "stepSize": STEP}]
    if market.tick_size:
        tick = plain(market.tick_size)
        filters.insert(0, {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": LARGEST, "tickSize": tick})
    return {
        "symbol": name,
        "status": "TRADING" if market.is_trading else "BREAK",
        "baseAsset": market.base,
        "baseAssetPrecision": DECIMALS,
        "quoteAsset": market.quote,
        "quotePrecision": DECIMALS,
        "quoteAssetPrecision": DECIMALS,
        "baseCommissionPrecision": DECIMALS,
        "quoteCommissionPrecision": DECIMALS,
        "orderTypes": [],
        "icebergAllowed": False,
        "ocoAllowed": False,
        "quoteOrderQtyMarketAllowed": False,
        "isSpotTradingAllowed": market.is_trading,
        "isMarginTradingAllowed": False,
        "filters": filters,
        "permissions": ["SPOT"],
        "permissionSets": [["SPOT"]],
    }
