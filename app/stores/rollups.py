"""Keeping the stored bars of eleven timeframes in step with the minutes."""

from app import tiers
from app.stores.database import Database
from app.tiers import Tier


class RollupStore:
    def __init__(self, db: Database) -> None:
        self._db = db

    async def refresh(self) -> int:
        """Drain the ledger; how many of its rows. Stopped anywhere, a row leaves after its bars are stored."""
        async with self._db.connection() as connection:
            drained: int = await connection.fetchval("CALL refresh_bars()")
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
