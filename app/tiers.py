"""How a database keeps its candles: plain, apache or timescale; see docs/adr/0011-three-storage-tiers.md."""

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from app.stores.statements import sql

FOLDER = Path(__file__).parents[1] / "scripts" / "database" / "tiers"


class Tier(StrEnum):
    """From the poorest to the richest."""

    PLAIN = "plain"
    APACHE = "apache"
    TIMESCALE = "timescale"

    @property
    def place(self) -> int:
        return list(Tier).index(self)


class Prospect(NamedTuple):
    """`size`: bytes that the conversion to `best` writes anew, beside what is there until it commits."""

    now: Tier
    best: Tier
    size: int


async def current(connection: Any) -> Tier:
    """The tier that the database is in."""
    return Tier(await connection.fetchval("SELECT tier FROM storage"))


async def best(connection: Any) -> Tier:
    """The tier that the server has the means for."""
    if not await connection.fetchval("SELECT count(*) FROM pg_extension WHERE extname = 'timescaledb'"):
        return Tier.PLAIN
    licence = await connection.fetchval("SELECT current_setting('timescaledb.license', true)")
    return Tier.TIMESCALE if licence == "timescale" else Tier.APACHE if licence else Tier.PLAIN


async def prospect(connection: Any) -> Prospect:
    """What raising the database's tier would mean."""
    now, then = await current(connection), await best(connection)
    size: int = await connection.fetchval(sql("tier_size"), now is Tier.PLAIN, then is Tier.TIMESCALE)
    return Prospect(now, then, size if then.place > now.place else 0)


async def candles(connection: Any) -> int:
    """About how many candles are stored."""
    counted: int = (await connection.fetchrow(sql("status_counts")))[0]
    if await current(connection) is Tier.TIMESCALE:
        counted += await connection.fetchval(sql("status_packed"))
    return counted


async def shortage(connection: Any) -> str | None:
    """What to say when people's own policies have too few workers to run; Candlehouse itself needs none."""
    if await best(connection) is Tier.PLAIN:
        return None
    jobs, workers, processes, others = await connection.fetchrow(sql("tier_jobs"))
    needed = max(workers, jobs + 1) + others
    if not jobs or (workers > jobs and processes >= needed):
        return None
    told = f"timescaledb.max_background_workers is {workers} and max_worker_processes is {processes}"
    return f"TimescaleDB has {jobs} jobs of yours to run, and {told}: set them to {needed - others} and {needed}."


async def raise_to(connection: Any, tier: Tier, tell: Callable[[str, int], None]) -> None:
    """Convert with the rows in place, in the caller's transaction; `tell` hears each partition and its rows."""
    if await current(connection) is Tier.PLAIN and tier is not Tier.PLAIN:
        await connection.execute(_script("candles_next"))
        for name in await _partitions(connection):
            copied = await connection.execute(
                f'INSERT INTO candles_next SELECT * FROM "{name}" ORDER BY symbol_id, time'
            )
            tell(name, int(copied.split()[-1]))
        await connection.execute(_script("candles_swap"))
    if tier is Tier.TIMESCALE and await current(connection) is Tier.APACHE:
        await connection.execute(_script("timescale"))


async def _partitions(connection: Any) -> list[str]:
    found = await connection.fetch(
        "SELECT relname FROM pg_inherits JOIN pg_class AS c ON c.oid = inhrelid "
        "WHERE inhparent = 'candles'::regclass ORDER BY relname DESC"
    )
    return [row["relname"] for row in found]


def hypertable_sql() -> str:
    """As one script for a plain database without candles: what makes it one of tier apache."""
    return "\n".join((_script("candles_next"), _script("candles_swap")))


def all_sql() -> str:
    """Every script of every tier."""
    return "\n".join(file.read_text() for file in sorted(FOLDER.glob("*.sql")))


def _script(name: str) -> str:
    return (FOLDER / f"{name}.sql").read_text()
