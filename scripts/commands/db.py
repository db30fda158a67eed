"""`candlehouse db …`: what is done to the database by hand."""

import asyncio
import sys
from typing import Annotated

import typer

from app import migrate, wiring
from app.jobs.refresh import refresh as refresh_all
from app.settings import Settings, load_settings
from app.stores import market_kind
from app.stores.candles import SUFFIXES
from app.stores.rollups import Dirty, StoredFrame
from common.errors import BadInput
from scripts.commands.progress import counted
from scripts.commands.retain import retain
from scripts.commands.tier import raise_tier

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True)
app.command("raise-tier")(raise_tier)
app.command()(retain)


@app.command()
def upgrade() -> None:
    """Bring the database to the newest schema; nothing changes where it is already.

    A new one takes the best storage tier that its server has.
    """
    settings = load_settings()
    migrate.upgrade(settings.database_url, typer.echo)
    asyncio.run(_claim(settings))
    typer.echo("The database has the newest schema.")


@app.command("create-sql")
def create_sql() -> None:
    """Print the newest schema as one SQL file, as scripts/database/init/create.sql holds it."""
    typer.echo(migrate.create_sql(), nl=False)


@app.command()
def timeframes() -> None:
    """List the timeframes that are stored, what each is made from, and what is not rolled up yet."""
    frames, dirty = asyncio.run(_look())
    names = {suffix: interval.value for interval, suffix in SUFFIXES.items()}
    typer.echo(f"{'timeframe':10} {'made from':10} {'bars, about':>15}  view")
    for frame in frames:
        bars = "?" if frame.bars is None else f"{frame.bars:,}"
        typer.echo(f"{names[frame.name]:10} {names[frame.source]:10} {bars:>15}  ohlcvs_summary_{frame.name}")
    typer.echo(f"Not rolled up yet: {_told(dirty)}. Readers aggregate these from the minutes meanwhile.")
    typer.echo("Any other timeframe is made on request: candles() in SQL, interval= at /api/ohlcvs.")


@app.command()
def refresh(
    every: Annotated[bool, typer.Option("--all", help="Roll up everything anew, not only what changed.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
) -> None:
    """Roll up what is not yet rolled up, and refresh the analytics."""
    what = "all bars of every market anew" if every else _told(asyncio.run(_look())[1])
    if dry_run:
        typer.echo(f"Would roll up {what}, and refresh the analytics. Nothing was changed.")
        return
    if every and not yes:
        if not sys.stdin.isatty():
            raise BadInput("yes", "--all may take hours: say --yes as well where nobody can be asked.")
        typer.confirm(
            "Roll up all bars of every market anew? It may take hours; readers are right all the while.",
            abort=True,
        )
    spans = asyncio.run(_refresh(every))
    typer.echo(f"Rolled up {counted(spans, 'changed span')} and refreshed the analytics.")


def _told(dirty: Dirty) -> str:
    spans, markets = counted(dirty.spans, "span"), counted(dirty.markets, "market")
    return f"{spans} of {markets}, {counted(dirty.minutes, 'minute')}"


async def _claim(settings: Settings) -> None:
    async with wiring.open_stores(settings, pool_size=1) as stores:
        await market_kind.claim(stores.db, settings.market)


async def _look() -> tuple[list[StoredFrame], Dirty]:
    async with wiring.open_stores(load_settings(), pool_size=1) as stores:
        return await stores.rollups.frames(), await stores.rollups.dirty()


async def _refresh(every: bool) -> int:
    settings = load_settings()
    spans = 0
    async with wiring.open_stores(settings) as stores:
        if every:
            async for found in stores.rollups.rebuild():
                spans += found
        return spans + await refresh_all(stores.db, wiring.clock(settings))
