"""Bars out of PostgreSQL as they are read, by COPY: any number of them in bounded memory."""

from collections.abc import Awaitable, Callable
from typing import Any, Literal, NamedTuple

from app.stores.candles import FIRST_MS, LAST_MS, SUFFIXES
from app.stores.database import Database
from common.interval import Interval
from common.timeframe import Timeframe, Unit

#: Takes bytes as they come, and is waited for.
Sink = Callable[[bytes], Awaitable[None]]

_MINUTES = """
SELECT time AS bucket, open, high, low, close, volume, quote_volume, trades::int8, false AS partial
FROM candles WHERE symbol_id = $1 AND time >= $2 AND time < $3"""
_EXACT = """
SELECT b.bucket, b.open, b.high, b.low, b.close, b.volume::float8, b.quote_volume::float8, b.trades,
    NOT k.known @> tstzrange(b.bucket, bucket_{suffix}_end(b.bucket)) AS partial
FROM (SELECT known_minutes($1) AS known) AS k CROSS JOIN exact_{suffix}($1, $2, $3) AS b"""
_ANY = """
SELECT * FROM symbol_candles($1, make_interval(months => $4, days => $5, mins => $6), $2, $3, $7, $8, $9)"""
_AS_OF = """
SELECT * FROM symbol_candles_as_of(
    $1, $10, make_interval(months => $4, days => $5, mins => $6), $2, $3, $7, $8, $9)"""
#: Which bars of those asked for, ascending: all, the newest so many, or the oldest.
_TAKEN = {
    "all": "{bars} ORDER BY bucket",
    "newest": "SELECT * FROM ({bars} ORDER BY bucket DESC LIMIT {limit}) AS newest ORDER BY bucket",
    "oldest": "{bars} ORDER BY bucket LIMIT {limit}",
}
_SIX = "bucket, open, high, low, close, volume"
#: NULL has no width, so what is not known is a value that cannot be.
_DETAILS = ", coalesce(quote_volume, 'NaN') AS quote_volume, coalesce(trades, -1) AS trades, partial"


class Bars(NamedTuple):
    """All bars whose buckets start in [start_ms, end_ms), or the newest or oldest `limit` of them, ascending.

    With `as_of_ms` as they would have been answered then; with `details` also quote_volume, trades and partial.
    """

    timeframe: Timeframe
    start_ms: int | None
    end_ms: int
    limit: int | None = None
    take: Literal["newest", "oldest"] = "newest"
    as_of_ms: int | None = None
    details: bool = False


class BarStream:
    def __init__(self, db: Database) -> None:
        self._db = db

    async def binary(self, symbol_id: int, bars: Bars, sink: Sink) -> None:
        """COPY's binary format into `sink`, in pieces of any size, all rows of one width.

        Cancelled it ends on the server as well.
        """
        query, arguments = _query(symbol_id, bars)
        columns = _SIX + (_DETAILS if bars.details else "")
        await self._copy(f"SELECT {columns} FROM ({query}) AS b", arguments, sink, "binary")

    async def csv(
        self, symbol_id: int, bars: Bars, sink: Sink, *, unit_ms: int, names: tuple[str, ...] = ()
    ) -> None:
        """Lines without a header; `names` begin each of them. Times are in `unit_ms`."""
        query, arguments = _query(symbol_id, bars)
        at = len(arguments)
        first = "".join(f"${at + number}::text, " for number in range(1, len(names) + 1))
        time = f"(extract(epoch FROM bucket) * {1000 // unit_ms})::int8 AS time"
        more = ", quote_volume, trades, partial::text" if bars.details else ""
        columns = f"{first}{time}, open, high, low, close, volume{more}"
        await self._copy(f"SELECT {columns} FROM ({query}) AS b", (*arguments, *names), sink, "csv")

    async def _copy(self, query: str, arguments: tuple[Any, ...], sink: Sink, form: str) -> None:
        async with self._db.connection() as connection:
            await connection.copy_from_query(query, *arguments, output=sink, format=form)


def _query(symbol_id: int, bars: Bars) -> tuple[str, tuple[Any, ...]]:
    start_ms = FIRST_MS if bars.start_ms is None else max(bars.start_ms, FIRST_MS)
    end_ms = min(bars.end_ms, LAST_MS)
    interval = bars.timeframe.stored
    query, arguments = _counted(symbol_id, bars, start_ms, end_ms)
    if bars.as_of_ms is None and interval is Interval.M1:
        query, arguments = _MINUTES, (symbol_id, start_ms, max(start_ms, end_ms))
    elif bars.as_of_ms is None and interval is not None:
        first_ms = interval.after(start_ms - 1)
        query = _EXACT.format(suffix=SUFFIXES[interval])
        arguments = (symbol_id, first_ms, max(first_ms, interval.after(end_ms - 1)))
    taken = "all" if bars.limit is None else bars.take
    return _TAKEN[taken].format(bars=query, limit=bars.limit), arguments


def _counted(symbol_id: int, bars: Bars, start_ms: int, end_ms: int) -> tuple[str, tuple[Any, ...]]:
    """The functions that count buckets of any size; they are told how many of the newest are wanted."""
    frame = bars.timeframe
    step = (frame.count if frame.unit is unit else 0 for unit in (Unit.MONTH, Unit.DAY, Unit.MINUTE))
    newest = bars.limit if bars.take == "newest" else None
    arguments = (symbol_id, start_ms, end_ms, *step, newest, frame.zone, frame.origin_ms)
    return (_ANY, arguments) if bars.as_of_ms is None else (_AS_OF, (*arguments, bars.as_of_ms))
