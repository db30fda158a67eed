"""Put a backup into a database: all of it in one transaction, or nothing.

psql is given `restore_begin.sql`, which locks and drops what stands there, then what pg_restore makes of the
archive, and COMMIT only once pg_restore has ended well: wherever any of us stops before, nothing has changed.
"""

import re
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from app import migrate, postgres_programs
from app.backup.archive import Archive
from app.backup.process import CHUNK, child
from app.backup.target import NAME
from app.stores.database import open_database
from app.stores.statements import sql
from common.errors import BadInput, CandlehouseError, Rejected

#: pg_restore writes it at the start from version 17 on; older servers do not know it.
_SINCE_17 = b"SET transaction_timeout = 0;\n"

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
    url: str, given: Mapping[str, str], archive: Archive, server: int, replace: bool, course: Course
) -> None:
    """Afterwards the schema is as old as the archive's."""
    environment = postgres_programs.environment(url, given, NAME) | _SESSION
    psql = archive.pg_restore.with_name("psql")
    arguments = ("--schema=public", "--no-owner", "--no-privileges", "--file=-", archive.file)
    async with (
        child(psql, *_PSQL, environment=environment, reads=True) as into,
        child(archive.pg_restore, *arguments, environment=environment, tells=True) as out,
    ):
        assert into.process.stdin and out.process.stdout
        with suppress(BrokenPipeError, ConnectionResetError):  # psql has given up, and says why
            into.process.stdin.write(_begin(replace))
            await feed(out.process.stdout, into.process.stdin, server, course.fed)
            if await out.process.wait():
                sentence = f"{archive.file} is damaged or cut off, and nothing was changed"
                raise BadInput("FILE", f"{sentence}: {out.reason()}.")
            course.stopped = "whether the backup is in its place, `candlehouse status` tells"
            into.process.stdin.write(b"\nCOMMIT;\n")
            await into.process.stdin.drain()
            into.process.stdin.close()
        if await into.process.wait():
            raise _meaning(into.reason())
        course.stopped = "the backup is in its place; `candlehouse db upgrade` does what is left"


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


async def feed(source: StreamReader, sink: StreamWriter, server: int, fed: Callable[[int], None]) -> None:
    count = 0
    head = await source.read(CHUNK)
    while len(head) < 4096 and (more := await source.read(CHUNK)):
        head += more
    chunk = head.replace(_SINCE_17, b"", 1) if server < 17 else head
    while chunk:
        sink.write(chunk)
        await sink.drain()
        count += len(chunk)
        fed(count)
        chunk = await source.read(CHUNK)


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
