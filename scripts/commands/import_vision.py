"""`candlehouse import binance-vision`: Binance's archives into the database, and the rest by REST."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from app import log, wiring
from app.imports.mirror import FolderMirror, HostMirror, Mirror
from app.imports.vision import State, VisionImport, kept
from app.jobs import asked
from app.jobs.refresh import refresh
from app.settings import Settings, load_settings
from app.settings_exchanges import archive_url, has_own_archives
from app.stores.archives import ArchiveStore
from app.stores.symbols import StoredSymbol
from celery_app.orders import order_work
from common.errors import BadInput
from common.span import Span
from fetchers import registry
from fetchers.binance_vision import months
from fetchers.files import FileHost
from scripts.commands import progress
from scripts.commands.desk import open_desk
from scripts.commands.import_display import Display, display
from scripts.commands.import_markets import know_markets
from scripts.commands.progress import counted
from scripts.commands.watch import Watch

EXCHANGE = "binance"


@dataclass(frozen=True, slots=True)
class _Asked:
    settings: Settings
    span: Span
    symbols: str | None
    folder: Path | None
    dry_run: bool
    json: bool
    rest: str


def binance_vision(
    start: Annotated[str, typer.Option(help=f"First minute, {asked.TIME_FORM} in UTC.")] = "",
    end: Annotated[str, typer.Option(help="Minute after the last one, like --start.")] = "",
    symbols: Annotated[
        str | None, typer.Option(help="Such as BTC/USDT,ETH/USDT; without it all that SYMBOLS selects.")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option("--from", help="A folder that mirrors the archives, instead of the host.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only tell which archives would be imported.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="A line of JSON for each archive.")] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Do not wait for what is asked by REST.")] = False,
    no_rest: Annotated[bool, typer.Option("--no-rest", help="Ask nothing by REST.")] = False,
) -> None:
    """Import Binance's public archives, each checked by its checksum; what they lack is asked by REST."""
    settings = load_settings()
    span = asked.parse_span(start, end, wiring.clock(settings).now_ms())
    if folder is None and settings.market == "simulated" and has_own_archives(settings, EXCHANGE):
        raise BadInput("MARKET", "MARKET is simulated, and Binance's real archives must not mix with it.")
    rest = "none" if no_rest else "detached" if detach else "watched"
    log.configure("WARNING")
    try:
        status = asyncio.run(_run(_Asked(settings, span, symbols, folder, dry_run, json, rest)))
    except KeyboardInterrupt:
        typer.echo("Stopped; what was imported stays. The same command goes on from here.", err=True)
        status = 130
    raise typer.Exit(status)


async def _run(asking: _Asked) -> int:
    async with (
        wiring.open_stores(asking.settings, role="import") as stores,
        _mirror(asking) as mirror,
    ):
        markets = await _markets(asking, stores)
        horizons = await stores.retention.horizons([one.id for one in markets])
        count = sum(len(months(one.instrument.native, kept(one, asking.span, horizons))) for one in markets)
        with display(Console(), count, json=asking.json, every_file=asking.dry_run) as shown:
            job = VisionImport(
                mirror,
                ArchiveStore(stores.db),
                stores.errors,
                wiring.clock(asking.settings),
                shown.tell,
                shown.month_over,
                every_day=asking.folder is not None,
                horizons=horizons,
            )
            if asking.dry_run:
                await job.plan(markets, asking.span)
                shown.say(shown.sums.estimate(), bytes=shown.sums.bytes, rows=shown.sums.rows)
                return 0
            await job.run(markets, asking.span)
            await stores.coverage.want({one.id: asking.span for one in markets})
            if shown.sums.changed:
                await refresh(stores.db, wiring.clock(asking.settings))
        shown.say(shown.sums.sentence(), rows=shown.sums.rows, changed=shown.sums.changed)
        return await _rest(asking, stores, markets, shown)


@asynccontextmanager
async def _mirror(asking: _Asked) -> AsyncIterator[Mirror]:
    if asking.folder is not None:
        yield FolderMirror(asking.folder)
        return
    host = FileHost(archive_url(asking.settings, EXCHANGE), wiring.clock(asking.settings))
    try:
        yield HostMirror(host)
    finally:
        await host.close()


async def _markets(asking: _Asked, stores: wiring.Stores) -> list[StoredSymbol]:
    await know_markets(asking.settings, stores, registry.get(EXCHANGE))
    stored = await stores.symbols.load(EXCHANGE)
    if asking.symbols is None:
        return asked.selected(EXCHANGE, asking.settings.symbols, stored.values())
    return asked.named(asking.symbols, stored)


async def _rest(asking: _Asked, stores: wiring.Stores, markets: list[StoredSymbol], shown: Display) -> int:
    """Have what no archive answered for asked by REST, from where the archives begin; the exit status."""
    first_ms = [shown.sums.first_ms.get(one.id, asking.span.start_ms) for one in markets]
    span = Span(max(asking.span.start_ms, min(first_ms)), asking.span.end_ms)
    missing = await stores.coverage.missing([one.id for one in markets], span)
    minutes = sum(piece.minutes() for pieces in missing.values() for piece in pieces)
    refused = shown.sums.files[State.REFUSED]
    if not minutes:
        return 0
    what = f"{counted(minutes, 'minute')} that no archive answers for"
    if asking.rest == "none":
        shown.say(f"{what[0].upper()}{what[1:]}: `candlehouse fetch --exchange {EXCHANGE}` asks for them.")
        return 1 if refused else 0
    async with open_desk(asking.settings, "import") as desk:
        job_id = await desk.stores.plan.create(EXCHANGE, [one.id for one in markets], span)
        await order_work(desk.redis, EXCHANGE, job_id)
        shown.say(f"Job {job_id} asks Binance's REST for {what}.", job=job_id, minutes=minutes)
        if asking.rest == "detached":
            return 1 if refused else 0
        rest = f"the rest of {counted(len(markets), 'market')}"
        return await Watch(
            desk, {EXCHANGE: [job_id]}, rest, progress.display(Console(), json=asking.json)
        ).until_over()
