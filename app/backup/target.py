"""The database that a backup is to be restored into: what stands there, and whether it may go."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from app import migrate, tiers
from app.backup.archive import Archive
from app.backup.ours import is_ours
from app.stores import timescale
from app.stores.database import open_database
from app.stores.statements import sql
from app.tiers import Tier
from common.errors import BadInput

NAME = "candlehouse restore"


class Target(NamedTuple):
    """`server` is its major version; `names` are what stands in schema public and is no extension's.

    `tier` is what the database keeps; one that is new takes the best that it has the means for.
    """

    server: int
    names: tuple[str, ...]
    holds_candles: bool
    tier: Tier


async def look(url: str) -> Target:
    """What is there; a database without anything of ours is given TimescaleDB where its server has that."""
    database = open_database(url, pool_size=1, name=NAME)
    try:
        async with database.connection() as connection:
            names = tuple(row["name"] for row in await connection.fetch(sql("backup_objects")))
            return Target(
                connection.get_server_version().major,
                names,
                await _holds_candles(connection, names),
                await _tier(connection, names),
            )
    finally:
        await database.close()


async def _holds_candles(connection: Any, names: Iterable[str]) -> bool:
    return "candles" in names and bool(await connection.fetchval("SELECT EXISTS (SELECT FROM public.candles)"))


async def _tier(connection: Any, names: Iterable[str]) -> Tier:
    if "storage" in names:
        return await tiers.current(connection)
    if "alembic_version" in names:
        return Tier.PLAIN
    await timescale.create(connection)
    return await tiers.best(connection)


def must_be_ours(target: Target, archive: Archive) -> None:
    """Raise BadInput when something stands there that neither the backup nor any revision of ours would make."""
    foreign = [name for name in target.names if name not in archive.names and not is_ours(name)]
    if foreign:
        shown = ", ".join(foreign[:5]) + (" and others" if len(foreign) > 5 else "")
        sentence = f"Schema public of the database also holds what is not Candlehouse's: {shown}"
        raise BadInput(
            "DATABASE_URL", f"{sentence}. Restore into a database of its own, or move that to another schema."
        )


def must_be_known(archive: Archive) -> None:
    """Raise BadInput when the backup is of a newer schema than ours."""
    known = migrate.revisions()
    if archive.revision not in known:
        sentence = (
            f"{archive.file} has the schema {archive.revision} and this program knows those up to {known[-1]}"
        )
        raise BadInput("FILE", f"{sentence}: update Candlehouse, then restore.")
