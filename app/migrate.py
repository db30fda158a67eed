"""Brings a database to the newest schema: Alembic revisions that execute scripts/database/revisions/*.sql."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from alembic import command, op
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from app.stores import timescale
from app.stores.database import open_database
from app.tiers import Tier, best, raise_to

FOLDER = Path(__file__).parents[1] / "scripts" / "database"
#: Revisions that set what belongs to the database itself and stands in no schema; running one twice is once.
_OF_THE_DATABASE = ("0007",)
#: Any number: two upgrades of one database wait for each other.
_LOCK = 7_310_001


def upgrade(url: str, tell: Callable[[str], None] = lambda _: None) -> None:
    """Bring the database at `url` to the newest revision, in one transaction. Not for use inside an event loop.

    A new one takes the best storage tier that it can have; `tell` hears what would help it to a better one.
    """
    asyncio.run(_upgrade(url, tell))


async def _upgrade(url: str, tell: Callable[[str], None]) -> None:
    database = open_database(url, pool_size=1)
    try:
        async with database.core() as connection:
            await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            bare = (await connection.get_raw_connection()).driver_connection
            is_new = await connection.scalar(text("SELECT to_regclass('alembic_version') IS NULL"))
            if is_new:
                await timescale.create(bare)
            await timescale.must_be_new_enough(connection)
            await connection.run_sync(_run)
            if is_new:
                if (tier := await best(bare)) is not Tier.PLAIN:
                    await raise_to(bare, tier, lambda *_: None)
                if advice := await timescale.missing(bare):
                    tell(advice)
    finally:
        await database.close()


def raise_tier(url: str, tier: Tier, tell: Callable[[str, int], None] = lambda *_: None) -> None:
    """Convert the migrated database at `url` to `tier`, in one transaction. Not for use inside an event loop."""
    asyncio.run(_raise_tier(url, tier, tell))


async def _raise_tier(url: str, tier: Tier, tell: Callable[[str, int], None]) -> None:
    database = open_database(url, pool_size=1, name="candlehouse raise-tier")
    try:
        async with database.begin() as connection:
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
            await raise_to(connection, tier, tell)
    finally:
        await database.close()


def _run(connection: Connection) -> None:
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(FOLDER / "alembic").replace("%", "%%"))
    return config


def run_revision(revision: str) -> None:
    """Called by an Alembic revision: execute its SQL file, which may hold many statements."""
    sql = _file(revision).read_text()
    pooled: Any = op.get_bind().connection.dbapi_connection
    pooled.run_async(lambda connection: connection.execute(sql))


def _file(revision: str) -> Path:
    (file,) = (FOLDER / "revisions").glob(f"{revision}_*.sql")
    return file


def create_sql() -> str:
    """All revisions as one script that psql runs on an empty database, stamped as the newest revision."""
    return _CREATE.format(schema=schema_sql(revisions()[-1]))


def schema_sql(newest: str) -> str:
    """The revisions up to `newest` as statements for a transaction on an empty database, stamped as that."""
    files = [_file(revision) for revision in revisions() if revision <= newest]
    parts = [f"-- {file.name}\n{file.read_text()}" for file in files]
    return _SCHEMA.format(body="\n\n".join(parts), head=newest)


def revisions() -> list[str]:
    """Every revision that there is, oldest first."""
    script = ScriptDirectory.from_config(_config())
    return [step.revision for step in reversed(list(script.walk_revisions()))]


def database_settings() -> str:
    """What the revisions set on the database itself, as SQL; a backup of its schema does not hold that."""
    return "\n".join(_file(revision).read_text() for revision in _OF_THE_DATABASE)


_CREATE = """-- Generated from scripts/database/revisions; a test compares. To write it again:
--   python -c "from app.migrate import create_sql; print(create_sql(), end='')" > scripts/database/init/create.sql
BEGIN;

{schema}COMMIT;
"""
_SCHEMA = """{body}

CREATE TABLE alembic_version (
    version_num varchar(32) NOT NULL,
    CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO alembic_version VALUES ('{head}');
"""
