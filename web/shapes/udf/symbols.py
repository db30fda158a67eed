"""Markets as TradingView's charts know them: how to resolve, describe, list and search them."""

from collections.abc import Iterable
from typing import Any

from web.api.search import split
from web.deps import Deps, Stored
from web.errors import NotFound
from web.markets import known_exchange
from web.search import Index
from web.shapes.names import SPOT, named, spot_markets, word_of
from web.shapes.numbers import DECIMALS, price_scale

MINUTES = ["1", "3", "5", "15", "30", "60", "120", "180", "240", "360", "480", "720"]
RESOLUTIONS = [*MINUTES, "1D", "3D", "1W", "1M"]
CRYPTO = "crypto"


async def resolve(deps: Deps, symbol: str) -> Stored:
    """`BINANCE:BTCUSDT`, in any case; or without the exchange, then of the first that has it."""
    exchange, name = split(deps, symbol.strip())
    for spelling in dict.fromkeys([name, name.upper()]):
        for one in [exchange] if exchange else deps.exchanges:
            if found := await deps.symbols.find_named(one, spelling):
                return found
    prefix, colon, _ = name.partition(":")
    if colon and not exchange:
        known_exchange(deps, prefix)
    has = f"{exchange} has no market" if exchange else "no exchange has a market"
    raise NotFound("symbol", f"unknown_symbol: {has} {name!r}.", "such as BINANCE:BTCUSDT; ask /udf/search")


async def described(deps: Deps, stored: Stored) -> dict[str, Any]:
    """LibrarySymbolInfo of a market."""
    word = await word_of(deps, stored)
    minmov, scale = price_scale(stored.instrument.tick_size, (await _closes(deps, [stored])).get(stored.id))
    return {
        **found(word, stored),
        "name": word,
        "listed_exchange": stored.instrument.exchange.upper(),
        "session": "24x7",
        "timezone": "Etc/UTC",
        "minmov": minmov,
        "pricescale": scale,
        "has_intraday": True,
        "intraday_multipliers": MINUTES,
        "has_daily": True,
        "daily_multipliers": ["1", "3"],
        "has_weekly_and_monthly": True,
        "supported_resolutions": RESOLUTIONS,
        "volume_precision": DECIMALS,
        "format": "price",
        "visible_plots_set": "ohlcv",
        "data_status": "streaming",
    }


async def table(deps: Deps, group: str) -> dict[str, Any]:
    """All markets of an exchange, a column for each property that differs."""
    exchange = known_exchange(deps, group)
    markets = named((await spot_markets(deps, exchange)).get(exchange, []))
    closes = await _closes(deps, markets.values())
    scales = [price_scale(one.instrument.tick_size, closes.get(one.id)) for one in markets.values()]
    return {
        "symbol": list(markets),
        "ticker": [_ticker(word, one) for word, one in markets.items()],
        "description": [_description(one) for one in markets.values()],
        "exchange-listed": exchange.upper(),
        "exchange-traded": exchange.upper(),
        "minmovement": [minmov for minmov, _ in scales],
        "pricescale": [scale for _, scale in scales],
        "has-intraday": True,
        "has-daily": True,
        "has-weekly-and-monthly": True,
        "intraday-multipliers": MINUTES,
        "supported-resolutions": RESOLUTIONS,
        "volume-precision": DECIMALS,
        "visible-plots-set": "ohlcv",
        "type": CRYPTO,
        "timezone": "Etc/UTC",
        "session-regular": "24x7",
    }


async def search(deps: Deps, index: Index, query: str, exchange: str, limit: int) -> list[dict[str, str]]:
    """In the order of /api/symbols/search."""
    told, text = split(deps, query.strip())
    wanted = known_exchange(deps, exchange) if exchange else told
    markets = [one.stored for one in index.find(text, wanted, limit)]
    return [found(await word_of(deps, one), one) for one in markets if one.instrument.market_type == SPOT]


def found(word: str, stored: Stored) -> dict[str, str]:
    """SearchSymbolResultItem of a market."""
    return {
        "symbol": word,
        "full_name": _ticker(word, stored),
        "ticker": _ticker(word, stored),
        "description": _description(stored),
        "exchange": stored.instrument.exchange.upper(),
        "type": CRYPTO,
    }


def _ticker(word: str, stored: Stored) -> str:
    return f"{stored.instrument.exchange.upper()}:{word}"


def _description(stored: Stored) -> str:
    return f"{stored.instrument.symbol} on {stored.instrument.exchange.capitalize()}"


async def _closes(deps: Deps, markets: Iterable[Stored]) -> dict[int, float]:
    """Where no step is stated, a price tells how many decimals are needed."""
    asked = [one.id for one in markets if not one.instrument.tick_size]
    closes = await deps.candles.last_close(asked) if asked else {}
    return {symbol_id: close for symbol_id, (_, close) in closes.items()}
