"""Which workers are there: each holds a lock of PostgreSQL that ends with its process, however that ends."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from app.stores.database import Database

#: The first half of the locks' key; the second is the hash of the worker's name.
_LOCK = 7_310_005


@asynccontextmanager
async def present(db: Database, worker: str) -> AsyncIterator[Callable[[], bool]]:
    """Be known as `worker`, a name that nobody else ever has, for as long as the context lasts.

    What it gives tells whether that ended early: the connection broke, and others may take what `worker` held.
    """
    async with db.connection() as connection:
        await connection.execute("SELECT pg_advisory_lock($1, hashtext($2))", _LOCK, worker)
        try:
            yield connection.is_closed
        finally:
            if not connection.is_closed():
                await connection.execute("SELECT pg_advisory_unlock($1, hashtext($2))", _LOCK, worker)
