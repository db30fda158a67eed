"""Keeping the stored bars of eleven timeframes in step with the minutes."""

from app.stores.database import Database


class RollupStore:
    def __init__(self, db: Database) -> None:
        self._db = db

    async def refresh(self) -> int:
        """Drain the ledger; how many of its rows. Stopped anywhere, a row leaves after its bars are stored."""
        async with self._db.connection() as connection:
            drained: int = await connection.fetchval("CALL refresh_bars()")
        return drained

    async def dirty_count(self) -> int:
        """How many rows the ledger holds."""
        async with self._db.connection() as connection:
            count: int = await connection.fetchval("SELECT count(*) FROM rollup_dirty")
        return count
