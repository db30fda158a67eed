"""What reconciling asks about the markets of a feed: what only the feed has told, and which are traded most."""

from collections import defaultdict
from collections.abc import Sequence

from app.stores.database import Database
from app.stores.statements import sql
from common.span import DAY_MS, MINUTE_MS, Span, union


async def unconfirmed(db: Database, symbol_ids: Sequence[int], within: Span) -> dict[int, list[Span]]:
    """Stored minutes that no record has confirmed yet."""
    async with db.connection() as connection:
        rows = await connection.fetch(sql("streamed_unconfirmed"), list(symbol_ids), *within)
    spans: dict[int, list[Span]] = defaultdict(list)
    for symbol_id, open_ms in rows:
        spans[symbol_id].append(Span(open_ms, open_ms + MINUTE_MS))
    return {symbol_id: union(each) for symbol_id, each in spans.items()}


async def traded(db: Database, symbol_ids: Sequence[int], now_ms: int) -> dict[int, float]:
    """What the last day's trade of each symbol was worth in dollars; symbols without any are left out."""
    async with db.connection() as connection:
        rows = await connection.fetch(sql("streamed_traded"), list(symbol_ids), now_ms - DAY_MS, now_ms)
    return dict(map(tuple, rows))
