"""Candles in PostgreSQL: written by COPY and one merge, read as bars of any timeframe."""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from app.stores.batch import Batch, batch_of
from app.stores.copy_binary import copy_rows
from app.stores.coverage import cover_on
from app.stores.database import Database
from app.stores.statements import sql
from common.clock import Clock
from common.errors import Retryable
from common.interval import Interval
from common.market import Bar, Candle
from common.span import DAY_MS, Span
from common.timeframe import Timeframe, Unit

_MINUTES = (  # as stored; a sum in numeric holds fifteen digits
    "SELECT time, open, high, low, close, volume, quote_volume, trades "
    "FROM candles WHERE symbol_id = $1 AND time >= $2 AND time < $3 ORDER BY time {order} LIMIT $4"
)
_EXACT_BARS = (
    "SELECT bucket, open, high, low, close, volume::float8, quote_volume::float8, trades "
    "FROM exact_{suffix}($1, $2, $3) ORDER BY bucket {order} LIMIT $4"
)
_ANY_BARS = (
    "SELECT bucket, open, high, low, close, volume, quote_volume, trades "
    "FROM symbol_candles($1, make_interval(months => $2, days => $3, mins => $4), $5, $6, $7, $8, $9) "
    "ORDER BY bucket"
)
_KNOWN = "SELECT lower(span), upper(span) FROM unnest(known_minutes($1)) AS span"
#: 2009-01-01, before which nothing was traded; reads without a start begin here.
FIRST_MS = 1_230_768_000_000
#: 2100-01-01, where reads end.
LAST_MS = 4_102_444_800_000
#: What tables and views of each timeframe end with.
SUFFIXES = {
    Interval.M1: "1min",
    Interval.M5: "5min",
    Interval.M15: "15min",
    Interval.M30: "30min",
    Interval.H1: "1hour",
    Interval.H3: "3hour",
    Interval.H6: "6hour",
    Interval.H12: "12hour",
    Interval.D1: "daily",
    Interval.D7: "7day",
    Interval.D14: "14day",
    Interval.MONTH: "1month",
}
#: A read first looks at as many buckets as bars are wanted, then at this many times more, until it has them.
_WIDEN = 16


class StoredCandle(NamedTuple):
    """A row of `candles`: common.market.Candle with the symbol's id for its instrument."""

    symbol_id: int
    open_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    quote_volume: float | None
    trades: int | None
    source: int


def stored(symbol_id: int, candles: Iterable[Candle]) -> list[StoredCandle]:
    """One market's candles as rows."""
    new, row = tuple.__new__, StoredCandle  # half the time of StoredCandle(…), which counts for millions of rows
    return [new(row, (symbol_id, *candle[1:])) for candle in candles]


class WriteResult(NamedTuple):
    """`changed` rows are new or have other values; `corrected` names the latter as (symbol_id, open_ms).

    `refused` rows are of minutes before their symbol's horizon, which are not kept any more.
    """

    changed: int
    corrected: list[tuple[int, int]]
    refused: int = 0


#: Told of what a write changes.
Tell = Callable[[WriteResult], Awaitable[object]]


class CandleStore:
    def __init__(self, db: Database, clock: Clock | None = None) -> None:
        self._db = db
        self._clock = clock or Clock()

    async def write(
        self, rows: Sequence[StoredCandle], *, cover: Sequence[tuple[int, Span]] = (), tell: Tell | None = None
    ) -> WriteResult:
        """Store `rows` and cover spans in one transaction. Writing twice equals writing once.

        `tell` hears of the result before it is committed: where it fails nothing is stored, so that the next try
        finds the same to tell.
        """
        async with self._db.begin() as connection:
            result = await write_on(connection, rows, cover, now_ms=self._clock.now_ms())
            if tell:
                await tell(result)
        return result

    async def read(
        self,
        symbol_id: int,
        interval: Interval,
        start_ms: int | None,
        end_ms: int,
        limit: int,
        newest: bool = True,
    ) -> list[Bar]:
        """At most `limit` bars whose buckets start in [start_ms, end_ms): the newest or the oldest, ascending.

        Exact at any moment: minutes that no refresh has seen yet are aggregated on the way.
        """
        bars: list[Bar] = []
        async with self._db.connection() as connection:
            for span in _windows(interval, FIRST_MS if start_ms is None else start_ms, end_ms, limit, newest):
                left = limit - len(bars)
                rows = await _read(connection, interval, "DESC" if newest else "", symbol_id, *span, left)
                bars += map(Bar._make, rows)
                if len(bars) >= limit:
                    break
        return bars[::-1] if newest else bars

    async def bars(
        self, symbol_id: int, timeframe: Timeframe, start_ms: int | None, end_ms: int, limit: int
    ) -> list[Bar]:
        """The newest `limit` bars of any timeframe whose buckets start in [start_ms, end_ms), ascending."""
        if stored := timeframe.stored:
            return await self.read(symbol_id, stored, start_ms, end_ms, limit)
        step = [timeframe.count if timeframe.unit is unit else 0 for unit in (Unit.MONTH, Unit.DAY, Unit.MINUTE)]
        counted = (limit, timeframe.zone, timeframe.origin_ms)
        async with self._db.connection() as connection:
            rows = await connection.fetch(_ANY_BARS, symbol_id, *step, start_ms, end_ms, *counted)
        return [Bar(*row) for row in rows]

    async def known(self, symbol_id: int) -> list[Span]:
        """What an exchange has answered for, and all between the first and the last stored minute; ascending."""
        async with self._db.connection() as connection:
            return [Span(*row) for row in await connection.fetch(_KNOWN, symbol_id)]

    async def last_close(self, symbol_ids: Sequence[int]) -> dict[int, tuple[int, float]]:
        """When the newest stored minute of each symbol that has any began, and its close."""
        async with self._db.connection() as connection:
            rows = await connection.fetch(sql("candles_last"), list(symbol_ids))
        return {row["symbol_id"]: (row["time"], row["close"]) for row in rows}

    async def ensure_partitions(self, now_ms: int) -> None:
        """Create the partitions of this year and the two that follow."""
        async with self._db.begin() as connection:
            year = await connection.fetchval("SELECT extract(year FROM $1::timestamptz)::int", now_ms)
            await connection.execute("SELECT ensure_partitions($1)", year + 2)


def _windows(interval: Interval, start_ms: int, end_ms: int, limit: int, newest: bool) -> Iterator[Span]:
    """Ever wider spans on bounds of buckets, one beside the other, that together are [start_ms, end_ms).

    The first has room for `limit` buckets.
    """
    first = interval.after(max(start_ms, FIRST_MS) - 1)
    last = interval.after(min(end_ms, LAST_MS) - 1)
    size_ms = max(limit, 1) * (interval.ms or 31 * DAY_MS)
    while first < last:
        if size_ms >= last - first:
            yield Span(first, last)
            return
        if newest:
            start_ms = interval.floor(last - size_ms)
            yield Span(start_ms, last)
            last = start_ms
        else:
            end_ms = interval.floor(first + size_ms)
            yield Span(first, end_ms)
            first = end_ms
        size_ms *= _WIDEN


async def _read(connection: Any, interval: Interval, order: str, *asked: int) -> list[Any]:
    """Rows of bars of `asked`: a symbol, a span on bounds of buckets, and at most how many."""
    words = {"suffix": SUFFIXES[interval], "order": order}
    if interval is Interval.M1:
        return list(await connection.fetch(_MINUTES.format(**words), *asked))
    rows = await connection.fetch(sql("bars_stored").format(**words), *asked)
    if rows and rows[0]["bucket"] is None:
        rows = await connection.fetch(_EXACT_BARS.format(**words), *asked)
    return list(rows)


async def write_on(
    connection: Any, rows: Sequence[StoredCandle], cover: Sequence[tuple[int, Span]] = (), *, now_ms: int
) -> WriteResult:
    """`CandleStore.write` inside the transaction of an asyncpg connection, as its last statements."""
    await lock_symbols(connection, {*map(itemgetter(0), rows), *map(itemgetter(0), cover)}, now_ms)
    result = await merge_on(connection, rows)
    await cover_on(connection, cover)
    return result


async def lock_symbols(connection: Any, symbol_ids: set[int], now_ms: int) -> None:
    """Begin a write at `now_ms`: nobody else writes these symbols until the transaction ends.

    Raises Retryable where one was joined to another meanwhile: whoever asks for it by name again learns which.
    """
    if gone := await connection.fetchval(sql("candles_lock"), list(symbol_ids), now_ms):
        raise Retryable(f"Market {gone[0]} was renamed and joined to another meanwhile; begin again.")


async def merge_on(connection: Any, rows: Sequence[StoredCandle]) -> WriteResult:
    """Merge `rows`, whose symbols are locked: new minutes at once, the others by the rule of sources."""
    if not rows:
        return WriteResult(0, [])
    batch = batch_of(rows)
    horizons = dict(await connection.fetch(sql("candles_horizons"), batch.columns()[0], batch.bounds[0]))
    kept = [row for row in rows if row[1] >= horizons.get(row[0], 0)] if horizons else rows
    if len(kept) < len(rows):
        return (await merge_on(connection, kept))._replace(refused=len(rows) - len(kept))
    if batch.minutes < len(rows) or await connection.fetchval(sql("candles_any"), *batch.columns(), *batch.bounds):
        return await _merge(connection, rows, batch)
    # Nothing is stored in the neighbourhood: straight in, at a third of the work.
    await copy_rows(connection, "candles", rows)
    await connection.execute(sql("ledger_add"), *batch.columns())
    return WriteResult(batch.minutes, [])


async def _merge(connection: Any, rows: Sequence[StoredCandle], batch: Batch) -> WriteResult:
    await connection.execute(sql("candles_stage"))
    await copy_rows(connection, "staged_candles", rows)
    if batch.minutes < len(rows):
        await connection.execute(sql("candles_dedupe"))
    await connection.execute("SET LOCAL enable_seqscan = off")  # else new statistics may mislead it
    known: int = await connection.fetchval(sql("candles_same"), *batch.bounds)
    if known == batch.minutes:
        return WriteResult(0, [])
    new: int = await connection.fetchval(sql("candles_insert"))
    if known + new == batch.minutes:
        return WriteResult(new, [])
    found = await connection.fetch(sql("candles_correct"), *batch.bounds)
    return WriteResult(new + len(found), [(row["symbol_id"], row["time"]) for row in found])
