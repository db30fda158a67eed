"""What of TimescaleDB a database has, if any, and what it could have."""

from typing import Any

import asyncpg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.stores.statements import sql
from common.errors import BadInput

#: The oldest whose features we count on.
OLDEST = (2, 18)


async def must_be_new_enough(connection: AsyncConnection) -> None:
    """Raise BadInput when the database was made with an older TimescaleDB than ours; it is not touched then."""
    found = await connection.scalar(text("SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'"))
    if found and not _is_new_enough(found):
        oldest = ".".join(map(str, OLDEST))
        sentence = f"The database was made with TimescaleDB {found} and {oldest} is the oldest that works"
        advice = "as its superuser run ALTER EXTENSION timescaledb UPDATE; it was not touched"
        raise BadInput("DATABASE_URL", f"{sentence}: {advice}.", f"TimescaleDB from {oldest}")


async def create(connection: Any) -> None:
    """Make the extension in the database, where the server has it and our role may; else change nothing."""
    version, loaded = await connection.fetchrow(sql("timescale_state"))
    if version is None or not loaded or not _is_new_enough(version):
        return
    try:
        async with connection.transaction():
            await connection.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
    except asyncpg.InsufficientPrivilegeError:
        return  # `missing` says what helps


async def missing(connection: Any) -> str | None:
    """What to do where the server has TimescaleDB and the database does not; None where there is nothing to do."""
    version, loaded = await connection.fetchrow(sql("timescale_state"))
    if version is None or await connection.fetchval("SELECT true FROM pg_extension WHERE extname = 'timescaledb'"):
        return None
    steps = ["CREATE EXTENSION timescaledb in it as a superuser", "candlehouse db raise-tier"]
    if not _is_new_enough(version):
        steps.insert(0, f"another package of it, for {'.'.join(map(str, OLDEST))} is the oldest that works")
    if not loaded:
        steps.insert(-2, "timescaledb in shared_preload_libraries and a restart")
    sentence = f"The server has TimescaleDB {version} and this database does not, so that its tier is plain"
    return f"{sentence}; for a better one: {', then '.join(steps)}."


def _is_new_enough(version: str) -> bool:
    return tuple(int(part) for part in version.split("-")[0].split(".")[:2]) >= OLDEST
