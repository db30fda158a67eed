"""Markets under one word, `BTCUSDT`, as Binance and TradingView call them on any exchange."""

from collections.abc import Iterable

from web.deps import Deps, Stored

SPOT = "spot"


async def spot_markets(deps: Deps, exchange: str | None = None) -> dict[str, list[Stored]]:
    """By exchange, in the order of their numbers."""
    found: dict[str, list[Stored]] = {}
    for stored in sorted((await deps.symbols.load(exchange)).values(), key=lambda one: one.id):
        if stored.instrument.market_type == SPOT:
            found.setdefault(stored.instrument.exchange, []).append(stored)
    return found


def named(markets: Iterable[Stored]) -> dict[str, Stored]:
    """Markets of one exchange, each under the word by which `Symbols.find_named` finds it.

    Base and quote written together, but the exchange's own name where another market is called so.
    """
    markets = list(markets)
    own = {stored.instrument.native: stored for stored in markets}
    found: dict[str, Stored] = {}
    for stored in markets:
        word = stored.instrument.base + stored.instrument.quote
        if word in found or own.get(word, stored) is not stored:
            word = stored.instrument.native
        found[word] = stored
    return found


async def word_of(deps: Deps, stored: Stored) -> str:
    """The same word, of one market."""
    market = stored.instrument
    word = market.base + market.quote
    found = await deps.symbols.find_named(market.exchange, word)
    return word if found and found.id == stored.id else market.native
