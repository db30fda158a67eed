"""What reconciling asks about the markets of a feed: what only the feed has told, and which are traded most."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from app.stores.database import Database
from app.stores.statements import sql
from common.market import Instrument
from common.span import DAY_MS, MINUTE_MS, Span, union

#: Quote currencies that are worth about one another.
DOLLARS = ("USD", "USDT", "USDC", "FDUSD", "TUSD")


async def unconfirmed(db: Database, symbol_ids: Sequence[int], within: Span) -> dict[int, list[Span]]:
    """Stored minutes that no record has confirmed yet."""
    async with db.connection() as connection:
        rows = await connection.fetch(sql("streamed_unconfirmed"), list(symbol_ids), *within)
    spans: dict[int, list[Span]] = defaultdict(list)
    for symbol_id, open_ms in rows:
        spans[symbol_id].append(Span(open_ms, open_ms + MINUTE_MS))
    return {symbol_id: union(each) for symbol_id, each in spans.items()}


async def traded(db: Database, markets: Mapping[int, Instrument], now_ms: int) -> dict[int, float]:
    """The last day's trade in dollars, 0 where the quote currency's price is not known."""
    async with db.connection() as connection:
        rows = await connection.fetch(sql("streamed_traded"), list(markets), now_ms - DAY_MS, now_ms)
    prices = {markets[one].base: price for one, _, price in rows if markets[one].quote in DOLLARS}
    prices |= dict.fromkeys(DOLLARS, 1.0)
    return {one: value * prices.get(markets[one].quote, 0) for one, value, _ in rows}
