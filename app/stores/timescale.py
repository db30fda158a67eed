"""What of TimescaleDB a database has, if any."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from common.errors import BadInput

#: The oldest whose features we count on.
OLDEST = (2, 18)


async def must_be_new_enough(connection: AsyncConnection) -> None:
    """Raise BadInput when the database was made with an older TimescaleDB than ours; it is not touched then."""
    found = await connection.scalar(text("SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'"))
    if found and tuple(int(part) for part in found.split("-")[0].split(".")[:2]) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        sentence = f"The database was made with TimescaleDB {found} and {oldest} is the oldest that works"
        advice = "as its superuser run ALTER EXTENSION timescaledb UPDATE; it was not touched"
        raise BadInput("DATABASE_URL", f"{sentence}: {advice}.", f"TimescaleDB from {oldest}")
