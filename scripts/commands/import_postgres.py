"""`candlehouse import postgres`: a predecessor's candles into this database."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from app import log, wiring
from app.imports.bring import Planned, Progress, bring, plan
from app.imports.predecessor import Named, Predecessor, open_predecessor
from app.jobs import asked
from app.jobs.refresh import refresh
from app.settings import Settings, load_settings
from app.stores.imports import ImportStore
from common.span import MINUTE_MS, Span, floor_minute
from fetchers import registry
from scripts.commands.confirm import confirmed
from scripts.commands.import_markets import know_markets
from scripts.commands.progress import counted
from scripts.commands.row_bar import row_bar

#: Lines of the summary, and examples of rows that were left out.
_SHOWN, _EXAMPLES = 20, 5


@dataclass(frozen=True, slots=True)
class _Asked:
    settings: Settings
    address: str
    password_file: Path | None
    span: Span
    symbols: str | None
    covers: bool
    dry_run: bool
    yes: bool


def postgres(
    address: Annotated[str, typer.Argument(metavar="DSN", help="postgresql://user@host:5432/database")],
    symbols: Annotated[
        str | None, typer.Option(help="Only these, such as binance:BTC:USDT,bitfinex:*; else all.")
    ] = None,
    start: Annotated[str, typer.Option(help=f"First minute, {asked.TIME_FORM} in UTC; else the first.")] = "",
    end: Annotated[str, typer.Option(help="Minute after the last one; else now.")] = "",
    password_file: Annotated[
        Path | None, typer.Option(help="A file with the password; else PGPASSWORD or ~/.pgpass.")
    ] = None,
    ask_again: Annotated[
        bool, typer.Option("--ask-again", help="Leave the minutes to be asked by REST, which replaces them.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would be imported.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing.")] = False,
) -> None:
    """Import the table `ohlcvs` of a predecessor's database, checking each row; nothing there is changed."""
    settings = load_settings()
    now_ms = wiring.clock(settings).now_ms()
    first = start or asked.time_text(asked.EARLIEST_MS)
    span = asked.parse_span(first, end or asked.time_text(floor_minute(now_ms)), now_ms)
    log.configure("WARNING")
    try:
        asyncio.run(_run(_Asked(settings, address, password_file, span, symbols, not ask_again, dry_run, yes)))
    except KeyboardInterrupt:
        typer.echo("Stopped; what was imported stays. The same command goes on from here.", err=True)
        raise typer.Exit(130) from None


async def _run(asking: _Asked) -> None:
    async with (
        wiring.open_stores(asking.settings, role="import") as stores,
        open_predecessor(asking.address, asking.password_file) as there,
    ):
        names = await _names(asking.settings, stores, there)
        planned = await plan(there, names, asking.span, asking.symbols, stores.symbols)
        _tell_plan(planned)
        if not planned or asking.dry_run:
            typer.echo("Nothing was changed.")
            return
        confirmed("Import?", yes=asking.yes)
        sums, clock = _Sums(), wiring.clock(asking.settings)
        imports = ImportStore(stores.db, covers=asking.covers)
        with row_bar("candles", sum(one.span.minutes() for one in planned)) as more:

            def add(progress: Progress) -> None:
                sums.add(progress)
                more(progress.rows + len(progress.faults))

            await bring(there, planned, imports, stores.symbols, clock, add)
        await refresh(stores.db, clock)
        sums.tell()


async def _names(settings: Settings, stores: wiring.Stores, there: Predecessor) -> list[Named]:
    """The markets there, of exchanges that are known here and have told their markets' names."""
    names, known = await there.markets(), (*registry.names(), *settings.exchange_names)
    for exchange in sorted({name.exchange for name in names}):
        if exchange not in known:
            typer.echo(f"Left out: the exchange {exchange}, which has no adapter here.")
            continue
        adapter = registry.get(exchange)
        if not adapter.closed or settings.rest_url(exchange) != adapter.rest_url:
            await know_markets(settings, stores, adapter)
    return [name for name in names if name.exchange in known]


def _tell_plan(planned: Sequence[Planned]) -> None:
    minutes = sum(one.span.minutes() for one in planned)
    typer.echo(f"{counted(len(planned), 'market')}, up to {counted(minutes, 'candle')}:")
    for one in planned[:_SHOWN]:
        here = one.instrument.symbol + (" (new here)" if one.is_new else "")
        as_there = f"{one.there.base}/{one.there.quote}"
        renamed = f" (there {as_there})" if as_there != one.instrument.symbol else ""
        times = f"{asked.time_text(one.span.start_ms)} to {asked.time_text(one.span.end_ms - MINUTE_MS)}"
        typer.echo(f"  {one.instrument.exchange} {here}{renamed}: {times}")
    if len(planned) > _SHOWN:
        typer.echo(f"  and {len(planned) - _SHOWN:,} more")


@dataclass(slots=True)
class _Sums:
    rows: int = 0
    changed: int = 0
    answered: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    def add(self, progress: Progress) -> None:
        self.rows += progress.rows
        self.changed += progress.changed
        self.answered += progress.answered
        self.faults.update(why for _, why in progress.faults)
        self.examples += _examples(progress, _EXAMPLES - len(self.examples))

    def tell(self) -> None:
        typer.echo(f"Imported {counted(self.changed, 'candle')} of {self.rows:,}.")
        if self.answered:
            typer.echo(f"{self.answered:,} were left out, for their minutes are answered for here.")
        for why, count in self.faults.most_common():
            typer.echo(f"{counted(count, 'row')} left out: {why}.")
        for example in self.examples:
            typer.echo(f"  {example}")


def _examples(progress: Progress, most: int) -> Iterable[str]:
    for open_ms, why in progress.faults[: max(0, most)]:
        yield f"{progress.market.key} at {asked.time_text(open_ms)}: {why}"
