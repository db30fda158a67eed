"""Write a backup: the whole of schema public as it was at one moment, while everything goes on running."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from app import postgres_programs
from app.backup.archive import OURS
from app.backup.file import new_file
from app.backup.process import child
from app.stores.database import open_database
from app.stores.statements import sql
from common.errors import BadInput, Rejected, Retryable

NAME = "candlehouse backup"

#: Neither owners nor rights: whoever restores owns what comes. The first level of gzip is four times as fast as
#: its default and a tenth larger, and every pg_dump has it.
_OPTIONS = ("--format=custom", "--compress=1", "--no-owner", "--no-privileges", "--schema=public")


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
            await _must_be_dumpable(connection)
            program = postgres_programs.find("pg_dump", connection.get_server_version().major)
            snapshot = await connection.fetchval("SELECT pg_export_snapshot()")
            environment = postgres_programs.environment(url, given, NAME)
            with new_file(file) as partial:
                await _dump(program, snapshot, partial, environment)
                candles, until_ms = await connection.fetchrow("SELECT count(*), max(time) FROM candles")
                made = Made(file, partial.stat().st_size, candles, until_ms)
            return made
    finally:
        await database.close()


async def _must_be_dumpable(connection: Any) -> None:
    """Raise where a dump of schema public would not be the whole truth."""
    there = "SELECT count(*) FROM unnest($1::text[]) AS name WHERE to_regclass('public.' || name) IS NOT NULL"
    if await connection.fetchval(there, list(OURS)) < len(OURS):
        raise BadInput("DATABASE_URL", "The database has no tables of Candlehouse's: there is nothing to back up.")
    if await connection.fetchval("SELECT to_regclass('timescaledb_information.hypertables')") is None:
        return
    # A hypertable's rows are in tables of TimescaleDB's own schema, which a dump of public lacks. Whoever turns
    # tables into hypertables changes this place; docs/adr/0009-backup-and-restore.md says how.
    if names := await connection.fetchval(sql("backup_hypertables")):
        sentence = f"This version cannot back up what TimescaleDB keeps in chunks ({names}); nothing was written"
        raise Rejected(f"{sentence}: use pg_dump of the whole database, as TimescaleDB's documentation says.")


async def _dump(program: Path, snapshot: str, file: Path, environment: Mapping[str, str]) -> None:
    arguments = (*_OPTIONS, f"--snapshot={snapshot}", "--file", file)
    async with child(program, *arguments, environment=environment) as run:
        if await run.process.wait():
            raise Retryable(f"pg_dump failed, and no backup was written: {run.reason()}.")
