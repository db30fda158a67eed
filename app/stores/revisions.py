"""What was known when: values that corrections replaced, and bars as they would have been answered at a moment."""

from typing import NamedTuple

from app.stores.database import Database
from app.stores.statements import sql
from common.market import Bar
from common.span import Span
from common.timeframe import Timeframe, Unit

_BARS = (
    "SELECT bucket, open, high, low, close, volume, quote_volume, trades "
    "FROM symbol_candles_as_of($1, $2, make_interval(months => $3, days => $4, mins => $5), $6, $7, $8, $9, $10) "
    "ORDER BY bucket"
)
_KNOWN = "SELECT lower(span), upper(span) FROM unnest(known_minutes_as_of($1, $2)) AS span"


class Revision(NamedTuple):
    """Values of a minute that were the known ones from `known_from` until `superseded_at`, in UTC milliseconds."""

    id: int
    time: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    quote_volume: float | None
    trades: int | None
    source: int
    known_from: int
    superseded_at: int


class RevisionStore:
    def __init__(self, db: Database) -> None:
        self._db = db

    async def revisions(self, symbol_id: int, span: Span, limit: int, after: int = 0) -> list[Revision]:
        """At most `limit` corrections of minutes in `span`, in the order in which they came, after id `after`."""
        async with self._db.connection() as connection:
            rows = await connection.fetch(sql("revisions"), symbol_id, *span, after, limit)
        return [Revision(*row) for row in rows]

    async def bars(
        self,
        symbol_id: int,
        timeframe: Timeframe,
        start_ms: int | None,
        end_ms: int,
        limit: int,
        as_of_ms: int,
    ) -> list[Bar]:
        """What CandleStore.bars would have answered at `as_of_ms`."""
        step = [timeframe.count if timeframe.unit is unit else 0 for unit in (Unit.MONTH, Unit.DAY, Unit.MINUTE)]
        counted = (limit, timeframe.zone, timeframe.origin_ms)
        async with self._db.connection() as connection:
            rows = await connection.fetch(_BARS, symbol_id, as_of_ms, *step, start_ms, end_ms, *counted)
        return [Bar(*row) for row in rows]

    async def known(self, symbol_id: int, as_of_ms: int) -> list[Span]:
        """CandleStore.known without what had not ended or not arrived by then."""
        async with self._db.connection() as connection:
            return [Span(*row) for row in await connection.fetch(_KNOWN, symbol_id, as_of_ms)]
