"""Keeping the stored bars of eleven timeframes in step with the minutes."""

from collections.abc import AsyncIterator
from typing import NamedTuple

import asyncpg

from app import tiers
from app.stores.database import Database
from app.stores.statements import sql
from app.tiers import Tier


class StoredFrame(NamedTuple):
    """A timeframe that is rolled up: its name and its source's in the database; `bars` is None where not known."""

    name: str
    source: str
    bars: int | None


class Dirty(NamedTuple):
    """What the ledger holds."""

    spans: int
    markets: int
    minutes: int


class RollupStore:
    def __init__(self, db: Database) -> None:
        self._db = db

    async def refresh(self) -> int:
        """Drain the ledger; how many of its rows. Stopped anywhere, a row leaves after its bars are stored."""
        async with self._db.connection() as connection:
            try:
                drained: int = await connection.fetchval("CALL refresh_bars()")
            except asyncpg.PostgresError:
                if not connection.is_closed():  # the lock of a refresh that failed stays with the session
                    await connection.execute("SELECT pg_advisory_unlock_all()")
                raise
        return drained

    async def pack(self, before_ms: int) -> int:
        """Put what ended before into columnstore, where the storage tier has one; how many chunks are there."""
        async with self._db.connection() as connection:
            if await tiers.current(connection) is not Tier.TIMESCALE:
                return 0
            packed: int = await connection.fetchval("CALL pack_history($1)", before_ms)
        return packed

    async def dirty_count(self) -> int:
        """How many rows the ledger holds."""
        async with self._db.connection() as connection:
            count: int = await connection.fetchval("SELECT count(*) FROM rollup_dirty")
        return count

    async def dirty(self) -> Dirty:
        """How much is not rolled up yet."""
        async with self._db.connection() as connection:
            row = await connection.fetchrow(
                "SELECT count(*), count(DISTINCT symbol_id), "
                "coalesce(sum(extract(epoch FROM upper(span) - lower(span)) / 60), 0)::bigint FROM rollup_dirty"
            )
        return Dirty(*row)

    async def frames(self) -> list[StoredFrame]:
        """The timeframes that are rolled up, finest first."""
        async with self._db.connection() as connection:
            return [StoredFrame(*row) for row in await connection.fetch(sql("rollups_state"))]

    async def rebuild(self) -> AsyncIterator[int]:
        """Roll up everything anew, market by market; yields how many spans each had."""
        async with self._db.connection() as connection:
            symbol_ids = [row[0] for row in await connection.fetch("SELECT id FROM symbol_exchange ORDER BY id")]
        for symbol_id in symbol_ids:
            async with self._db.connection() as connection:
                await connection.execute(sql("rollups_mark"), symbol_id)
            yield await self.refresh()
