"""Two markets that are one, under a former and a present name, become one series."""

from typing import Any, NamedTuple

from app.stores.alone import alone
from app.stores.database import Database
from app.stores.statements import sql
from app.stores.symbols import LISTING_LOCK
from common.errors import BadInput, Retryable

_BOTH_HAD = "SELECT count(*) FROM candles WHERE symbol_id = $1 AND $2::text::tstzmultirange @> time"


class Joined(NamedTuple):
    """Minutes that moved, and how many of them both had."""

    minutes: int
    both_had: int


class JoinStore:
    def __init__(self, db: Database) -> None:
        self._db = db

    async def join(self, symbol_id: int, later_id: int, now_ms: int) -> Joined:
        """All that is known of `later_id` becomes `symbol_id`'s, which bears its names from now on.

        One transaction; the bars follow by the ledger. Where both have a minute the higher source stays, and of
        equal ones the later market's. BadInput where retention has dropped minutes that would have to move.
        """
        async with alone(self._db, "rename") as connection:
            pair = (symbol_id, later_id)
            await _lock(connection, pair, now_ms)
            since_ms, cut, both = await connection.fetchrow(sql("join_bounds"), *pair, now_ms)
            if cut:
                raise BadInput("new", "Retention has dropped minutes of the new market: the two cannot be joined.")
            both_had = await connection.fetchval(_BOTH_HAD, later_id, both)
            await connection.execute(sql("join_coverage"), *pair, since_ms)
            await connection.execute(sql("join_sought"), *pair, since_ms)
            await connection.execute(sql("join_notes"), *pair, both)
            await connection.execute(sql("join_plan"), *pair)
            await connection.execute(sql("join_candles"), *pair)
            moved = await connection.execute("DELETE FROM candles WHERE symbol_id = $1", later_id)
            await connection.execute(sql("join_names"), *pair, now_ms, since_ms)
            await connection.execute(sql("join_take"), *pair)
            await connection.execute("DELETE FROM symbol_exchange WHERE id = $1", later_id)
            await connection.execute(sql("errors_repaired"), symbol_id, None, None, now_ms)
        return Joined(int(moved.split()[-1]), both_had)


async def _lock(connection: Any, pair: tuple[int, int], now_ms: int) -> None:
    """Nobody lists markets, or notes failures, outages or wanted minutes of them meanwhile."""
    await connection.execute("SELECT lock_symbols($1, $2)", list(pair), now_ms)
    await connection.execute("SELECT pg_advisory_xact_lock($1)", LISTING_LOCK)
    found = await connection.fetch(
        "SELECT FROM symbol_exchange WHERE id = ANY ($1) AND delisted_at IS NULL FOR UPDATE", list(pair)
    )
    if len(found) < len(pair):
        raise Retryable("One of the markets was joined or delisted a moment ago.")
    noted = "ohlcvs_errors, exchange_outages, outages_sought, coverage"
    await connection.execute(f"LOCK TABLE {noted} IN SHARE ROW EXCLUSIVE MODE")
    await connection.execute("SET LOCAL timescaledb.max_tuples_decompressed_per_dml_transaction = 0")
