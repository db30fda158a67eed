"""Horizons of symbols: the minutes before are dropped, and the bars that were made of them stay."""

from collections.abc import Sequence
from typing import NamedTuple

from app import tiers
from app.stores.alone import alone
from app.stores.database import Database
from app.stores.statements import sql
from app.tiers import Tier
from common.span import Span

#: So many symbols' horizons move in one transaction, since writers wait for it.
_BATCH = 100


class Old(NamedTuple):
    """Stored minutes of a symbol before some moment; `fetched`: others are being fetched, so the horizon waits."""

    symbol_id: int
    minutes: int
    span: Span
    fetched: bool


class Horizons(NamedTuple):
    """How many symbols have one, and from when to when these are; None where none has."""

    symbols: int
    first_ms: int | None
    last_ms: int | None


class RetentionStore:
    def __init__(self, db: Database) -> None:
        self._db = db

    async def symbols(self, exchange: str | None = None) -> list[int]:
        """All symbols, or all of an exchange, delisted ones as well."""
        async with self._db.connection() as connection:
            rows = await connection.fetch(
                "SELECT id FROM symbol_exchange WHERE exchange = coalesce($1, exchange) ORDER BY id", exchange
            )
        return [row[0] for row in rows]

    async def size(self, minutes: int) -> int:
        """About how many bytes so many candles take, indexes included."""
        async with self._db.connection() as connection:
            if await tiers.current(connection) is Tier.PLAIN:
                size = await connection.fetchval(sql("retention_size"))
            else:
                size = await connection.fetchval("SELECT hypertable_size('candles')")
            stored = await tiers.candles(connection)
        return int(size * minutes // max(stored, minutes, 1))

    async def find(self, symbol_ids: Sequence[int], before_ms: int) -> list[Old]:
        """What moving these symbols' horizons there would drop; symbols without such minutes are left out."""
        async with self._db.connection() as connection:
            rows = await connection.fetch(sql("retention_find"), list(symbol_ids), before_ms)
        return [Old(row[0], row[1], Span(row[2], row[3]), row[4]) for row in rows]

    async def move(self, symbol_ids: Sequence[int], horizon_ms: int) -> list[int]:
        """Move horizons to a UTC midnight, of those symbols that have minutes before it to drop; which they were.

        A symbol waits whose older minutes are being fetched, or are not rolled up yet. A horizon never goes back.
        """
        moved: list[int] = []
        for at in range(0, len(symbol_ids), _BATCH):
            async with alone(self._db, "retention") as connection:
                batch = list(symbol_ids[at : at + _BATCH])
                found = [row[0] for row in await connection.fetch(sql("retention_move"), batch, horizon_ms)]
                await connection.execute(sql("retention_errors"), found, horizon_ms)
                moved += found
        return moved

    async def left(self) -> list[tuple[int, Span]]:
        """Symbols that have minutes before their horizon: from the first of these up to it."""
        async with self._db.connection() as connection:
            return [(row[0], Span(row[1], row[2])) for row in await connection.fetch(sql("retention_left"))]

    async def drop_whole(self) -> int:
        """Drop the partitions or chunks in which no symbol keeps anything; how many they were."""
        async with alone(self._db, "retention") as connection:
            dropped: int = await connection.fetchval("SELECT drop_whole_chunks()")
        return dropped

    async def drop(self, symbol_id: int, span: Span) -> int:
        """Delete the minutes of a span that lies before the symbol's horizon; how many there were."""
        async with self._db.begin() as connection:
            done: str = await connection.execute(
                "DELETE FROM candles WHERE symbol_id = $1 AND time >= $2 AND time < least($3, horizon_of($1))",
                *(symbol_id, *span),
            )
        return int(done.split()[-1])

    async def horizons(self, symbol_ids: Sequence[int]) -> dict[int, int]:
        """The horizon of each of these symbols that has one."""
        async with self._db.connection() as connection:
            return dict(map(tuple, await connection.fetch(sql("candles_horizons"), list(symbol_ids), 0)))

    async def state(self) -> Horizons:
        async with self._db.connection() as connection:
            return Horizons(*await connection.fetchrow(sql("retention_state")))
