"""The database that a backup is to be restored into: what stands there, and whether it may go."""

import fnmatch
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from app import migrate
from app.backup.archive import Archive
from app.stores.database import open_database
from app.stores.statements import sql
from common.errors import BadInput

NAME = "candlehouse restore"

_MADE = re.compile(
    r"(?:CREATE (?:OR REPLACE )?(?:TABLE|VIEW|MATERIALIZED VIEW|FUNCTION|PROCEDURE|AGGREGATE|TYPE|DOMAIN)"
    r"(?: IF NOT EXISTS)?|RENAME TO) ([\w%$]+)"
)
#: What stands for a part of a name, in a statement that is made by format().
_PART = re.compile(r"%\d\$s")


class Target(NamedTuple):
    """`server` is its major version; `names` are what stands in schema public and is no extension's."""

    server: int
    names: tuple[str, ...]
    holds_candles: bool


async def look(url: str) -> Target:
    database = open_database(url, pool_size=1, name=NAME)
    try:
        async with database.connection() as connection:
            names = tuple(row["name"] for row in await connection.fetch(sql("backup_objects")))
            return Target(connection.get_server_version().major, names, await _holds_candles(connection, names))
    finally:
        await database.close()


async def _holds_candles(connection: Any, names: Iterable[str]) -> bool:
    return "candles" in names and bool(await connection.fetchval("SELECT EXISTS (SELECT FROM public.candles)"))


def must_be_ours(target: Target, archive: Archive) -> None:
    """Raise BadInput when something stands there that neither the backup nor any revision of ours would make."""
    patterns = [_PART.sub("*", name) for name in _MADE.findall(migrate.create_sql())]
    known = [pattern for pattern in patterns if not pattern.startswith("%")]
    foreign = [
        name
        for name in target.names
        if name not in archive.names and not any(fnmatch.fnmatchcase(name, one) for one in known)
    ]
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
