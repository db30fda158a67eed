"""Write a backup: the whole of schema public as it was at one moment, while everything goes on running."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from app import postgres_programs
from app.backup.archive import OURS
from app.backup.file import new_file
from app.backup.ours import is_ours
from app.backup.packed import NewPack, copy
from app.backup.process import CHUNK, Child, child
from app.stores.database import open_database
from app.stores.statements import sql
from common.errors import BadInput, Rejected, Retryable

NAME = "candlehouse backup"

#: Neither owners nor rights: whoever restores owns what comes. The first level of gzip is four times as fast as
#: its default and a tenth larger, and every pg_dump has it.
_OPTIONS = ("--format=custom", "--compress=1", "--no-owner", "--no-privileges", "--schema=public")

#: As pg_dump's own session: every value comes back as it was, whatever somebody set on the database.
_EXACT = "SET LOCAL extra_float_digits = 3; SET LOCAL datestyle = 'ISO'"


class Made(NamedTuple):
    """A backup; `until_ms` is the minute of its newest candle, None where there is none."""

    file: Path
    size: int
    candles: int
    until_ms: int | None


def default_name(now_ms: int) -> Path:
    """`backups/candlehouse-20210131T235959Z.dump`"""
    return Path("backups") / f"candlehouse-{datetime.fromtimestamp(now_ms // 1000, UTC):%Y%m%dT%H%M%SZ}.dump"


async def make(url: str, given: Mapping[str, str], file: Path) -> Made:
    """Write the database at `url` to `file`."""
    database = open_database(url, pool_size=1, name=NAME)
    one_moment = {"isolation": "repeatable_read", "readonly": True}
    try:
        async with database.connection() as connection, connection.transaction(**one_moment):
            await connection.execute("SET LOCAL idle_in_transaction_session_timeout = 0")
            await connection.execute("SET LOCAL statement_timeout = 0")
            await _must_be_ours(connection)
            tables = await _beside_the_dump(connection)
            program = postgres_programs.find("pg_dump", connection.get_server_version().major)
            snapshot = await connection.fetchval("SELECT pg_export_snapshot()")
            environment = postgres_programs.environment(url, given, NAME)
            with new_file(file) as partial:
                if tables:
                    await _pack(connection, tables, program, snapshot, partial, environment)
                else:
                    await _dump(program, snapshot, partial, environment)
                candles, until_ms = await connection.fetchrow("SELECT count(*), max(time) FROM candles")
                made = Made(file, partial.stat().st_size, candles, until_ms)
            return made
    finally:
        await database.close()


async def _must_be_ours(connection: Any) -> None:
    there = "SELECT count(*) FROM unnest($1::text[]) AS name WHERE to_regclass('public.' || name) IS NOT NULL"
    if await connection.fetchval(there, list(OURS)) < len(OURS):
        raise BadInput("DATABASE_URL", "The database has no tables of Candlehouse's: there is nothing to back up.")


async def _beside_the_dump(connection: Any) -> dict[str, str]:
    """Tables whose rows pg_dump is not to write, and what gives these: none where there are no hypertables."""
    if await connection.fetchval("SELECT to_regclass('timescaledb_information.hypertables')") is None:
        return {}
    chunked = [row["name"] for row in await connection.fetch(sql("backup_chunked"))]
    if foreign := [name for name in chunked if not is_ours(name)]:
        sentence = f"Schema public has hypertables that are not Candlehouse's ({', '.join(foreign)})"
        raise Rejected(f"{sentence}, and no backup was written: move them to another schema.")
    if not chunked:
        return {}
    return {row["name"]: row["query"] for row in await connection.fetch(sql("backup_rows"))}


async def _dump(program: Path, snapshot: str, file: Path, environment: Mapping[str, str]) -> None:
    """All of it, as pg_dump's archive."""
    arguments = (*_OPTIONS, f"--snapshot={snapshot}", "--file", file)
    async with child(program, *arguments, environment=environment) as run:
        if await run.process.wait():
            raise _failed(run)


async def _pack(
    connection: Any,
    tables: Mapping[str, str],
    program: Path,
    snapshot: str,
    file: Path,
    environment: Mapping[str, str],
) -> None:
    """pg_dump's archive of the rest and the rows of `tables`, all of the snapshot that `connection` is in."""
    without = [f'--exclude-table-data=public."{name}"' for name in tables]
    arguments = (*_OPTIONS, *without, f"--snapshot={snapshot}")
    with NewPack(file) as pack:
        async with child(program, *arguments, environment=environment, tells=True) as run:
            assert run.process.stdout
            with pack.rest() as member:
                while chunk := await run.process.stdout.read(CHUNK):
                    member.write(chunk)
            if await run.process.wait():
                raise _failed(run)
        await connection.execute(_EXACT)
        for name, query in tables.items():
            with pack.rows(name) as member:
                await copy(connection, query, member)


def _failed(run: Child) -> Retryable:
    return Retryable(f"pg_dump failed, and no backup was written: {run.reason()}.")
