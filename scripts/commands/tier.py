"""`candlehouse db raise-tier`: convert the database, with its data in place, to the best that its server has."""

import asyncio
from typing import Annotated

import typer
from rich.filesize import decimal

from app import migrate, tiers, wiring
from app.settings import Settings, load_settings
from app.stores import timescale
from app.tiers import Prospect, Tier
from scripts.commands.writers import must_not_run

#: What a conversion from each tier does.
_STEPS = {
    Tier.PLAIN: "candles becomes a hypertable; its rows are copied in one transaction, and whoever writes waits.",
    Tier.APACHE: "Continuous aggregates are made; until they are filled, bars are right but slow to read.",
}


def raise_tier(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would be done.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Convert the database, with its data in place, to the best storage tier that its server has."""
    settings = load_settings()
    found, advice = asyncio.run(_prospect(settings))
    if found.best.place <= found.now.place:
        typer.echo(advice or f"The database is in tier {found.now}; its server has nothing better.")
        return
    typer.echo(f"The database is in tier {found.now}; its server has {found.best}.")
    for tier in list(Tier)[found.now.place : found.best.place]:
        typer.echo(f"- {_STEPS[tier]}")
    typer.echo(f"- About {decimal(found.size)} are written anew; the server's disk needs room for them.")
    if dry_run:
        return
    asyncio.run(must_not_run(settings, "raise the tier"))
    if not yes:
        typer.confirm("Convert?", abort=True)
    migrate.raise_tier(settings.database_url, found.best, _tell)
    spans = asyncio.run(_refresh(settings))
    typer.echo(f"The database is in tier {found.best}; {spans} spans were rolled up anew.")


def _tell(partition: str, rows: int) -> None:
    if rows:
        typer.echo(f"{partition}: {rows:,} rows")


async def _prospect(settings: Settings) -> tuple[Prospect, str | None]:
    async with wiring.open_stores(settings, pool_size=1) as stores, stores.db.connection() as connection:
        return await tiers.prospect(connection), await timescale.missing(connection)


async def _refresh(settings: Settings) -> int:
    async with wiring.open_stores(settings, pool_size=1) as stores:
        return await stores.rollups.refresh()
