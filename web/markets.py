"""Which market a request means, in anybody's spelling, or one sentence that helps to name it right."""

from difflib import get_close_matches

from common.errors import BadInput
from web.deps import Deps, Stored
from web.errors import NotFound

#: Markets in one request.
MOST_NAMED = 500
NAMING = "exchange:BASE:QUOTE, such as binance:BTC:USDT"


def known_exchange(deps: Deps, exchange: str) -> str:
    """The name in lower case; NotFound with the known ones otherwise."""
    name = exchange.strip().lower()
    if name not in deps.exchanges:
        allowed = ", ".join(deps.exchanges)
        raise NotFound("exchange", f"Unknown exchange {exchange!r}; use one of {allowed}.", allowed)
    return name


async def find_market(deps: Deps, exchange: str, base: str, quote: str, market_type: str = "spot") -> Stored:
    """The market under its normalised names or the exchange's own, in any case of letters."""
    name = known_exchange(deps, exchange)
    for spelling in dict.fromkeys([(base, quote), (base.upper(), quote.upper())]):
        if found := await deps.symbols.find(name, *spelling, market_type):
            return found
    raise await _no_such_market(deps, name, base, quote)


async def named_markets(
    deps: Deps, symbols: str, market_type: str = "spot", most: int = MOST_NAMED
) -> list[Stored]:
    """Those of a list such as `binance:BTC:USDT,bitfinex:BTC/USD`, in its order, each once."""
    names = [name for name in dict.fromkeys(map(str.strip, symbols.split(","))) if name]
    if not 1 <= len(names) <= most:
        sentence = f"symbols must name 1 to {most} markets, not {len(names)}."
        raise BadInput("symbols", sentence, f"1 to {most} markets")
    found: dict[int, Stored] = {}
    for name in names:
        parts = name.replace("/", ":").rsplit(":", 2)
        if len(parts) < 3 or not all(parts):
            raise BadInput("symbols", f"{name!r} names no market; write {NAMING}.", NAMING)
        exchange, base, quote = parts
        market = await find_market(deps, exchange, base, quote, market_type)
        found[market.id] = market
    return list(found.values())


async def _no_such_market(deps: Deps, exchange: str, base: str, quote: str) -> NotFound:
    listed = [stored.instrument for stored in (await deps.symbols.load(exchange)).values()]
    if not listed:
        return NotFound("base_id", f"No market of {exchange} is stored yet.", "")
    names = [instrument.symbol for instrument in listed]
    close = ", ".join(get_close_matches(f"{base}/{quote}".upper(), names, n=5))
    field = "quote_id" if any(instrument.base == base.upper() for instrument in listed) else "base_id"
    hint = f"; did you mean {close}?" if close else "."
    return NotFound(field, f"{exchange} has no market {base}/{quote}{hint}", close)
