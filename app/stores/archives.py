"""Which archives were imported, and the one transaction that imports one."""

from collections.abc import Sequence

from app.stores.candles import StoredCandle, WriteResult, lock_symbols, merge_on
from app.stores.coverage import cover_on, want_on
from app.stores.database import Database
from app.stores.statements import sql
from common.span import MINUTE_MS, Span


class ArchiveStore:
    def __init__(self, db: Database) -> None:
        self._db = db

    async def known(self, symbol_ids: Sequence[int]) -> dict[tuple[int, str], str]:
        """The checksum of each imported file, by symbol and name, as long as its minutes are covered."""
        async with self._db.connection() as connection:
            rows = await connection.fetch(sql("archives_known"), list(symbol_ids))
        return {(symbol_id, file): checksum for symbol_id, file, checksum in rows}

    async def store(
        self, symbol_id: int, file: str, checksum: str, rows: Sequence[StoredCandle], now_ms: int
    ) -> WriteResult:
        """Store an archive's candles, ascending and at least one, and what it answers for, in one transaction.

        It answers for the minutes from its first candle to its last: what lies before or after inside its day or
        month may be before the listing, or may have been cut off, and is left for REST to tell.
        """
        covered = Span(rows[0].open_ms, rows[-1].open_ms + MINUTE_MS)
        async with self._db.begin() as connection:
            await lock_symbols(connection, {symbol_id}, now_ms)
            result = await merge_on(connection, rows)
            await connection.execute(
                sql("archives_remember"), symbol_id, file, checksum, *covered, len(rows), now_ms
            )
            await connection.execute(sql("errors_repaired"), symbol_id, *covered, now_ms)
            await want_on(connection, {symbol_id: covered})
            await cover_on(connection, [(symbol_id, covered)])
        return result
