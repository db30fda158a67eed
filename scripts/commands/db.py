"""`candlehouse db …`: what is done to the database by hand."""

import asyncio

import typer

from app import migrate, wiring
from app.jobs.refresh import refresh as refresh_all
from app.settings import Settings, load_settings
from app.stores import market_kind
from scripts.commands.tier import raise_tier

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)
app.command("raise-tier")(raise_tier)


@app.command()
def upgrade() -> None:
    """Bring the database to the newest schema; nothing changes where it is already."""
    settings = load_settings()
    migrate.upgrade(settings.database_url)
    asyncio.run(_claim(settings))
    typer.echo("The database has the newest schema.")


@app.command("create-sql")
def create_sql() -> None:
    """Print the newest schema as one SQL file, as scripts/database/init/create.sql holds it."""
    typer.echo(migrate.create_sql(), nl=False)


@app.command()
def refresh() -> None:
    """Roll up what is not yet rolled up, and refresh the analytics."""
    spans = asyncio.run(_refresh())
    typer.echo(f"Rolled up {spans} changed spans and refreshed the analytics.")


async def _claim(settings: Settings) -> None:
    async with wiring.open_stores(settings, pool_size=1) as stores:
        await market_kind.claim(stores.db, settings.market)


async def _refresh() -> int:
    settings = load_settings()
    async with wiring.open_stores(settings) as stores:
        return await refresh_all(stores.db, wiring.clock(settings))
