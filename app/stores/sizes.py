"""How many candles there are and will be, and how many bytes one of them takes."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from app import tiers
from app.stores.database import Database
from app.stores.statements import sql
from app.tiers import Tier
from common.span import MINUTE_MS, Span

#: Bytes of a candle with its index and its share of the eleven bars, where too few are stored to measure.
#: Measured on years of full minutes: 134 and 50 in rows; 36 and 14 once they are in columnstore.
TYPICAL = {Tier.PLAIN: 184, Tier.APACHE: 184, Tier.TIMESCALE: 50}
#: With fewer candles than these, empty pages and the catalogue's own tell more than candles do.
ENOUGH = 500_000


class CandleBytes(NamedTuple):
    """Bytes of one candle with indexes and its share of the bars; `measured` here, or else typical of the tier."""

    bytes: int
    tier: Tier
    measured: bool


class Count(NamedTuple):
    """Stored candles of a market; about so many where not `exact`."""

    candles: int
    exact: bool


class SizeStore:
    def __init__(self, db: Database) -> None:
        self._db = db

    async def of_candle(self, enough: int = ENOUGH) -> CandleBytes:
        """By PostgreSQL's own estimate of how many candles there are."""
        async with self._db.connection() as connection:
            tier, stored = await tiers.current(connection), await tiers.candles(connection)
            if stored < enough:
                return CandleBytes(TYPICAL[tier], tier, measured=False)
            return CandleBytes(round(await _stored_bytes(connection, tier) / stored), tier, measured=True)

    async def coming(self, now_ms: int) -> int:
        """Candles of the next seven days: what grew within the last one goes on; fetches bring all they may."""
        async with self._db.connection() as connection:
            candles: int = await connection.fetchval(sql("disk_coming"), now_ms)
        return candles

    async def counts(self, stored: Mapping[int, Span]) -> dict[int, Count]:
        """By symbol id, given the span from its first stored minute through its last one."""
        firsts, ends = (
            [one.start_ms for one in stored.values()],
            [one.end_ms - MINUTE_MS for one in stored.values()],
        )
        async with self._db.connection() as connection:
            rows = await connection.fetch(sql("candles_about"), list(stored), firsts, ends)
        return {row[0]: Count(row[1], row[2]) for row in rows}


async def _stored_bytes(connection: Any, tier: Tier) -> int:
    """Candles and bars with their indexes."""
    size: int = await connection.fetchval(sql("tier_size"), tier is Tier.PLAIN, tier is not Tier.TIMESCALE)
    if tier is not Tier.PLAIN:
        size += await connection.fetchval("SELECT hypertable_size('candles')")
    if tier is Tier.TIMESCALE:
        size += await connection.fetchval(sql("disk_packed"))
    return size
