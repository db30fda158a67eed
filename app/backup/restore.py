"""Put a backup into a database: all of it in one transaction, or nothing.

psql is given `restore_begin.sql`, which locks and drops what stands there, then what the backup is made of, and
COMMIT only once all that was read to its end: wherever any of us stops before, nothing has changed.
"""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from app import migrate, postgres_programs
from app.backup.archive import Archive
from app.backup.pour import Pour, into_tables, whole
from app.backup.process import child
from app.backup.target import NAME, Target
from app.stores.database import open_database
from app.stores.statements import sql
from common.errors import BadInput, CandlehouseError, Rejected

#: As on the program's own connections: compiling the analytics takes longer than answering them.
_SESSION = {"PGTZ": "UTC", "PGOPTIONS": "-c jit=off"}
_PSQL = ("--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--file=-")
_RAISED = re.compile(r"candlehouse: (\w+): ?(.*)")

HELD = "The database already holds candles: --replace drops them all and puts the backup in their place."


@dataclass(slots=True)
class Course:
    """`fed` hears how many bytes of SQL psql was given; `stopped` says what is true if it ends now."""

    fed: Callable[[int], None]
    stopped: str = "nothing was changed"


class Held(NamedTuple):
    """`until_ms` is the minute of the newest candle, None where there is none."""

    candles: int
    until_ms: int | None


async def restore(
    url: str, given: Mapping[str, str], archive: Archive, target: Target, replace: bool, course: Course
) -> None:
    """Afterwards the schema is as old as the archive's, and `finish` is to be called."""
    environment = postgres_programs.environment(url, given, NAME) | _SESSION
    psql = archive.pg_restore.with_name("psql")
    async with child(psql, *_PSQL, environment=environment, reads=True) as into:
        assert into.process.stdin
        with suppress(BrokenPipeError, ConnectionResetError):  # psql has given up, and says why
            into.process.stdin.write(_begin(replace))
            pour = Pour(archive, environment, into.process.stdin, target.server, course.fed)
            await (into_tables(pour, target.tier) if archive.tables else whole(pour))
            course.stopped = "whether the backup is in its place, `candlehouse status` tells"
            into.process.stdin.write(b"\nCOMMIT;\n")
            await into.process.stdin.drain()
            into.process.stdin.close()
        if await into.process.wait():
            raise _meaning(into.reason())
        course.stopped = "the backup is in its place; `candlehouse db upgrade` and `db raise-tier` do what is left"


def finish(url: str, target: Target) -> None:
    """Bring what was restored to the newest schema, and to the tier of its database. Not inside an event loop."""
    migrate.upgrade(url)
    migrate.raise_tier(url, target.tier)


async def settle(url: str) -> Held:
    """Once all is in its place: set what no schema holds, let the planner know what there is, and count it."""
    database = open_database(url, pool_size=1, name=NAME)
    try:
        async with database.connection() as connection:
            await connection.execute(migrate.database_settings())
            await connection.execute("ANALYZE")
            return Held(*await connection.fetchrow("SELECT count(*), max(time) FROM candles"))
    finally:
        await database.close()


def in_use(names: str, then: str = "restore") -> BadInput:
    """`names` of those who would go on with numbers of markets that are others' after a restore."""
    stop = f"stop Candlehouse (Ctrl-C where `make up` runs, or `docker compose stop coin-app`), then {then}"
    return BadInput("DATABASE_URL", f"The database is in use by {names}: {stop}.")


def _begin(replace: bool) -> bytes:
    return f"SET candlehouse.replace = '{'yes' if replace else 'no'}';\n{sql('restore_begin')}\n".encode()


def _meaning(reason: str) -> CandlehouseError:
    """What psql ended with, for people. Nothing was changed."""
    raised = _RAISED.search(reason)
    kind, names = (raised[1], raised[2]) if raised else ("", "")
    if kind == "busy":
        return in_use(names)
    if kind == "held":
        return BadInput("replace", HELD)
    if kind == "depends":
        sentence = f"Other schemas hold what depends on what would be replaced ({names}); nothing was changed"
        return BadInput("DATABASE_URL", f"{sentence}: drop that, restore, and make it again.")
    if "lock timeout" in reason:
        sentence = "Somebody else holds a table of the database, and nothing was changed"
        return BadInput("DATABASE_URL", f"{sentence}: `candlehouse psql -c 'TABLE pg_stat_activity'` shows who.")
    return Rejected(f"PostgreSQL refused the backup, and nothing was changed: {reason}.")
