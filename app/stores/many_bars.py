"""Bars of many markets by one statement, for those who would otherwise ask for each."""

from collections.abc import Sequence

from app.stores.candles import SUFFIXES
from app.stores.database import Database
from common.interval import Interval
from common.market import Bar
from common.timeframe import Timeframe, Unit

_VALUES = "open, high, low, close, volume::float8, quote_volume::float8, trades"
_MINUTES = (
    f"SELECT symbol_id, time, {_VALUES} FROM candles "
    "WHERE symbol_id = ANY($1::int[]) AND time >= $2 AND time < $3 ORDER BY symbol_id, time"
)
_STORED = (
    f"SELECT id, bucket, {_VALUES} FROM unnest($1::int[]) AS id "
    "CROSS JOIN LATERAL exact_{suffix}(id, $2, $3) ORDER BY id, bucket"
)
_ANY = (
    f"SELECT id, bucket, {_VALUES} FROM unnest($1::int[]) AS id CROSS JOIN LATERAL "
    "symbol_candles(id, make_interval(months => $4, days => $5, mins => $6), $2, $3, NULL, $7, $8) "
    "ORDER BY id, bucket"
)


class ManyBars:
    def __init__(self, db: Database) -> None:
        self._db = db

    async def read(
        self, symbol_ids: Sequence[int], timeframe: Timeframe | Interval, start_ms: int, end_ms: int
    ) -> dict[int, list[Bar]]:
        """All bars whose buckets start in [start_ms, end_ms), ascending; a market without any is not there."""
        interval = timeframe if isinstance(timeframe, Interval) else timeframe.stored
        asked: tuple[object, ...] = (list(symbol_ids), start_ms, end_ms)
        if interval is Interval.M1:
            query = _MINUTES
        elif interval is not None:
            query = _STORED.format(suffix=SUFFIXES[interval])
            asked = (list(symbol_ids), interval.after(start_ms - 1), interval.after(end_ms - 1))
        else:
            query, asked = _ANY, (*asked, *_step(timeframe))
        async with self._db.connection() as connection:
            rows = await connection.fetch(query, *asked)
        found: dict[int, list[Bar]] = {}
        for row in rows:
            found.setdefault(row[0], []).append(Bar._make(row[1:]))
        return found


def _step(timeframe: Timeframe | Interval) -> tuple[object, ...]:
    assert isinstance(timeframe, Timeframe)
    counts = [timeframe.count if timeframe.unit is unit else 0 for unit in (Unit.MONTH, Unit.DAY, Unit.MINUTE)]
    return (*counts, timeframe.zone, timeframe.origin_ms)
