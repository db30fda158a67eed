"""A transaction during which nobody refreshes bars, plans, leases, or changes minutes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from app.stores import plan
from app.stores.database import Database
from common.errors import Retryable

#: Held by whoever refreshes bars, and (shared by these) by whoever changes minutes.
_REFRESH_LOCK, _MINUTES_LOCK = 7_310_003, 7_310_006


@asynccontextmanager
async def alone(db: Database, work: str) -> AsyncIterator[Any]:
    """While it waits for a refresh it keeps nobody waiting; the other locks it must have soon.

    Raises Retryable, in the name of `work`, where it does not get them.
    """
    try:
        async with db.begin() as connection:
            for lock, limit_s in ((_REFRESH_LOCK, 600), (plan.LOCK, 5), (_MINUTES_LOCK, 5)):
                await connection.execute(f"SET LOCAL lock_timeout = '{limit_s}s'")
                await connection.execute("SELECT pg_advisory_xact_lock($1)", lock)
            yield connection
    except asyncpg.LockNotAvailableError:
        raise Retryable(f"Candles are being written or read in one long go; {work} waits for it.") from None
