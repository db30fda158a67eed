"""Candles brought from elsewhere: stored where no exchange has answered, and never against its answer."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any, NamedTuple

from app.stores.candles import StoredCandle, lock_symbols, merge_on
from app.stores.coverage import cover_on, want_on
from app.stores.database import Database
from app.stores.statements import sql
from common.span import MINUTE_MS, Span, union


class Brought(NamedTuple):
    """`changed` rows are new or have other values; `answered` were left out: their minutes are answered for."""

    changed: int
    answered: int


class ImportStore:
    """With `covers` the minutes of imported rows count as answered, and nobody asks an exchange for them."""

    def __init__(self, db: Database, *, covers: bool = True) -> None:
        self._db = db
        self._covers = covers

    async def store(self, symbol_id: int, rows: Sequence[StoredCandle], now_ms: int) -> Brought:
        """Store rows of one symbol, in any order, in one transaction; all from the first to the last is wanted.

        Their source is the lowest, so whatever an exchange says of these minutes later takes their place.
        """
        if not rows:
            return Brought(0, 0)
        times = [row.open_ms for row in rows]
        hull = Span(min(times), max(times) + MINUTE_MS)
        async with self._db.begin() as connection:
            await lock_symbols(connection, {symbol_id}, now_ms)
            new = _outside(rows, await _covered(connection, symbol_id, hull))
            result = await merge_on(connection, new)
            await want_on(connection, {symbol_id: hull})
            if self._covers:
                minutes = union(Span(row.open_ms, row.open_ms + MINUTE_MS) for row in new)
                await cover_on(connection, [(symbol_id, span) for span in minutes])
        return Brought(result.changed, len(rows) - len(new))


async def _covered(connection: Any, symbol_id: int, span: Span) -> list[Span]:
    return [Span(*row) for row in await connection.fetch(sql("imports_covered"), symbol_id, *span)]


def _outside(rows: Sequence[StoredCandle], spans: Sequence[Span]) -> Sequence[StoredCandle]:
    """Those of no span; the spans are ascending and do not touch."""
    if not spans:
        return rows
    starts = [span.start_ms for span in spans]
    return [
        row for row in rows if not (at := bisect_right(starts, row.open_ms)) or row.open_ms >= spans[at - 1].end_ms
    ]
