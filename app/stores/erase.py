"""Takes back all that is known of markets' minutes, so that they can be asked for anew."""

from collections.abc import Sequence
from typing import Any

from app.stores.candles import lock_symbols
from app.stores.database import Database
from app.stores.plan import LOCK
from app.stores.statements import sql
from common.errors import BadInput


class EraseStore:
    def __init__(self, db: Database) -> None:
        self._db = db

    async def count(self, symbol_ids: Sequence[int]) -> int:
        """Stored candles of these markets."""
        async with self._db.connection() as connection:
            return int(await connection.fetchval(sql("erase_count"), list(symbol_ids)))

    async def check(self, symbol_ids: Sequence[int]) -> None:
        """BadInput while a job asks for one of these markets: so that all of them are erased, or none."""
        async with self._db.connection() as connection:
            await _check_on(connection, symbol_ids)

    async def erase(self, symbol_id: int, now_ms: int) -> None:
        """Minutes of a market with their revisions, and what was wanted, answered, imported or has failed of them.

        One transaction; the bars follow by the ledger. What a horizon has dropped stays dropped, its bars stay.
        BadInput while a job asks for the market.
        """
        async with self._db.begin() as connection:
            await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
            await _check_on(connection, [symbol_id])
            # What a stream writes meanwhile is erased with the rest, or comes after.
            await lock_symbols(connection, {symbol_id}, now_ms)
            await connection.execute("DELETE FROM candles WHERE symbol_id = $1", symbol_id)
            await connection.execute(sql("erase_coverage"), symbol_id)
            await connection.execute(sql("erase_ledgers"), symbol_id)


async def _check_on(connection: Any, symbol_ids: Sequence[int]) -> None:
    if jobs := await connection.fetchval(sql("erase_jobs"), list(symbol_ids)):
        advice = f"wait for it, or: candlehouse cancel {jobs[0]}"
        raise BadInput("erase", f"Job {jobs[0]} asks for what is to be erased; {advice}")
