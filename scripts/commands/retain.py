"""`candlehouse db retain`: drop the minutes of long ago and keep the bars that were made of them."""

import asyncio
import re
import sys
from typing import Annotated

import typer
from rich.filesize import decimal

from app import log, wiring
from app.jobs import asked
from app.jobs.retain import horizon_ms
from app.jobs.retain import retain as retain_minutes
from app.settings import Settings, load_settings
from app.settings_checks import FEWEST_DAYS
from app.stores.retention import Old
from app.wiring import Stores
from common.errors import BadInput
from fetchers import registry
from scripts.commands.progress import counted

_FORM = f"a number of days from {FEWEST_DAYS} on, such as 730d"


def retain(
    older_than: Annotated[str, typer.Option(help="Age of what is dropped, such as 730d.")] = "",
    exchange: Annotated[str, typer.Option(help="Only this exchange's markets.")] = "",
    symbols: Annotated[str, typer.Option(help="Only these of it, such as BTC/USDT,ETH/USDT.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would be dropped.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing.")] = False,
) -> None:
    """Drop 1-minute candles older than so many days; the bars made of them stay. It cannot be undone."""
    log.configure("WARNING")
    settings = load_settings()
    before_ms = horizon_ms(_days(older_than, settings), wiring.clock(settings))
    chosen, found, size = asyncio.run(_find(settings, exchange, symbols, before_ms))
    _tell(found, size, before_ms)
    if dry_run or not any(not one.fetched for one in found):
        return
    if not yes:
        if not sys.stdin.isatty():
            raise BadInput("yes", "Dropped minutes do not come back: say --yes as well where nobody can be asked.")
        typer.confirm("Drop them? They do not come back.", abort=True)
    deleted = asyncio.run(_retain(settings, chosen, before_ms))
    typer.echo(f"Dropped. {counted(deleted, 'minute')} one by one, the others with their partitions or chunks.")


def _days(older_than: str, settings: Settings) -> int:
    if not older_than and settings.retain_minutes_days:
        return settings.retain_minutes_days
    if not older_than:
        raise BadInput("older-than", f"Say --older-than, {_FORM}; RETAIN_MINUTES_DAYS says nothing.", _FORM)
    given = re.fullmatch(r"(\d{1,5})d?", older_than.strip())
    if not given or int(given[1]) < FEWEST_DAYS:
        raise BadInput("older-than", f"--older-than {older_than!r} must be {_FORM}.", _FORM)
    return int(given[1])


async def _find(
    settings: Settings, exchange: str, symbols: str, before_ms: int
) -> tuple[list[int], list[Old], int]:
    async with wiring.open_stores(settings, pool_size=1, role="retain") as stores:
        chosen = await _chosen(stores, exchange, symbols)
        found = await stores.retention.find(chosen, before_ms)
        return chosen, found, await stores.retention.size(sum(one.minutes for one in found))


async def _chosen(stores: Stores, exchange: str, symbols: str) -> list[int]:
    name = registry.get(exchange.strip().lower()).name if exchange else None
    if not symbols:
        return await stores.retention.symbols(name)
    if name is None:
        raise BadInput("exchange", "Say --exchange as well: --symbols names markets of one exchange.")
    return [one.id for one in asked.named(symbols, await stores.symbols.load(name))]


def _tell(found: list[Old], size: int, before_ms: int) -> None:
    before = f"before {asked.time_text(before_ms)} UTC"
    if not found:
        typer.echo(f"Nothing to drop: no minutes {before} are stored.")
        return
    first, last = min(one.span.start_ms for one in found), max(one.span.end_ms for one in found)
    minutes = counted(sum(one.minutes for one in found), "minute")
    typer.echo(f"{minutes} of {counted(len(found), 'market')} {before} would go, about {decimal(size)}:")
    typer.echo(f"from {asked.time_text(first)} to {asked.time_text(last)}. Bars from 5m to 1M stay.")
    if fetched := sum(one.fetched for one in found):
        typer.echo(f"{counted(fetched, 'market')} of these must wait until older minutes are fetched.")


async def _retain(settings: Settings, symbol_ids: list[int], before_ms: int) -> int:
    async with wiring.open_stores(settings, pool_size=1, role="retain") as stores:
        return (await retain_minutes(stores, symbol_ids, before_ms)).deleted
