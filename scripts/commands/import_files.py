"""`candlehouse import csv` and `candlehouse import parquet`: candles from files, after telling what they hold."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from app import log, wiring
from app.imports import file_rows
from app.imports.columns import parse_told
from app.imports.files import File, Findings, examine
from app.imports.naming import meant
from app.imports.tables import Table, open_csv, open_parquet
from app.jobs import asked
from app.jobs.refresh import refresh
from app.settings import Settings, load_settings
from app.stores.imports import ImportStore
from app.stores.symbols import StoredSymbol
from common.errors import BadInput
from common.market import Instrument
from common.span import MINUTE_MS
from common.symbols import parse_symbol
from fetchers import registry
from scripts.commands.confirm import confirmed
from scripts.commands.import_markets import know_markets
from scripts.commands.progress import counted
from scripts.commands.row_bar import row_bar

Files = Annotated[list[Path], typer.Argument(help="One market's one-minute candles.")]
ExchangeOption = Annotated[str, typer.Option(help="Which exchange: " + registry.choices() + ".")]
SymbolOption = Annotated[str, typer.Option(help="Which market, such as BTC/USDT.")]
ColumnOption = Annotated[
    list[str] | None, typer.Option("--column", help="FIELD=NAME, such as open=Price; may be said again.")
]
NewOption = Annotated[
    bool, typer.Option("--new-market", help="Also a market that the exchange does not list (any more).")
]
SkipOption = Annotated[bool, typer.Option("--skip-bad", help="Leave bad rows out instead of refusing the file.")]
AgainOption = Annotated[
    bool, typer.Option("--ask-again", help="Leave the minutes to be asked by REST, which replaces them.")
]
DryOption = Annotated[bool, typer.Option("--dry-run", help="Only tell what would be imported.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing.")]


@dataclass(frozen=True, slots=True)
class _Asked:
    settings: Settings
    files: Sequence[Path]
    open: Callable[[Path], Table]
    exchange: str
    symbol: str
    columns: Sequence[str]
    new_market: bool
    skip_bad: bool
    covers: bool
    dry_run: bool
    yes: bool


def csv(
    files: Files,
    exchange: ExchangeOption = "",
    symbol: SymbolOption = "",
    column: ColumnOption = None,
    new_market: NewOption = False,
    skip_bad: SkipOption = False,
    ask_again: AgainOption = False,
    dry_run: DryOption = False,
    yes: YesOption = False,
) -> None:
    """Import CSV files of ccxt, Binance, TradingView, pandas, freqtrade or your own, also packed by gzip."""
    options = exchange, symbol, column or [], new_market, skip_bad, not ask_again, dry_run, yes
    _finish(_Asked(load_settings(), files, open_csv, *options))


def parquet(
    files: Files,
    exchange: ExchangeOption = "",
    symbol: SymbolOption = "",
    column: ColumnOption = None,
    new_market: NewOption = False,
    skip_bad: SkipOption = False,
    ask_again: AgainOption = False,
    dry_run: DryOption = False,
    yes: YesOption = False,
) -> None:
    """Import Parquet files."""
    options = exchange, symbol, column or [], new_market, skip_bad, not ask_again, dry_run, yes
    _finish(_Asked(load_settings(), files, open_parquet, *options))


def _finish(asking: _Asked) -> None:
    log.configure("WARNING")
    try:
        asyncio.run(_run(asking))
    except KeyboardInterrupt:
        typer.echo("Stopped; what was imported stays. The same command goes on from here.", err=True)
        raise typer.Exit(130) from None


async def _run(asking: _Asked) -> None:
    told, clock = parse_told(asking.columns), wiring.clock(asking.settings)
    async with wiring.open_stores(asking.settings, role="import") as stores:
        market = await _market(asking, stores)
        files = [File(path, asking.open, told, market) for path in asking.files]
        found = [await asyncio.to_thread(examine, file, clock.now_ms()) for file in files]
        for one in found:
            typer.echo(_summary(one, market))
        _refuse_bad(found, skip=asking.skip_bad)
        if asking.dry_run or not any(one.good for one in found):
            typer.echo("Nothing was changed.")
            return
        confirmed("Import?", yes=asking.yes)
        stored = await _stored(market, stores, clock.now_ms())
        imports = ImportStore(stores.db, covers=asking.covers)
        with row_bar("candles", sum(one.good for one in found)) as more:
            brought = [await file_rows.store(file, stored.id, imports, clock, more) for file in files]
        await refresh(stores.db, clock)
    rows, answered = sum(one.good for one in found), sum(one.answered for one in brought)
    left = f" {answered:,} were left out, for their minutes are answered for here." if answered else ""
    typer.echo(f"Imported {counted(sum(one.changed for one in brought), 'candle')} of {rows:,}.{left}")


async def _market(asking: _Asked, stores: wiring.Stores) -> Instrument:
    known = registry.choices()
    if not asking.exchange:
        raise BadInput("exchange", f"Say --exchange, one of {known}.", known)
    if not asking.symbol:
        raise BadInput("symbol", "Say --symbol, such as BTC/USDT.", "BTC/USDT")
    adapter = registry.get(asking.exchange.strip().lower())
    if not adapter.closed or asking.settings.rest_url(adapter.name) != adapter.rest_url:
        await know_markets(asking.settings, stores, adapter)
    listed = [one.instrument for one in (await stores.symbols.load(adapter.name)).values()]
    base, slash, quote = asking.symbol.strip().partition("/")
    if asking.new_market and slash:
        return meant(adapter.name, base.upper(), quote.upper(), "", listed)
    return parse_symbol(asking.symbol, listed)


async def _stored(market: Instrument, stores: wiring.Stores, now_ms: int) -> StoredSymbol:
    await stores.symbols.add([market], now_ms)
    return (await stores.symbols.load(market.exchange))[market.key]


def _summary(one: Findings, market: Instrument) -> str:
    if one.span is None:
        return f"{one.path}: no candle in {counted(one.rows, 'row')}; {one.how}."
    times = f"{asked.time_text(one.span.start_ms)} to {asked.time_text(one.span.end_ms - MINUTE_MS)}"
    facts = [f"{one.repeated:,} of them a minute once more" if one.repeated else "", one.order]
    facts += [f"{counted(one.absent, 'minute')} absent in between" if one.absent else "", one.how]
    what = f"{counted(one.good, 'candle')} of {market.exchange} {market.symbol}, {times}"
    return f"{one.path}: {what}; {'; '.join(filter(None, facts))}."


def _refuse_bad(found: Sequence[Findings], *, skip: bool) -> None:
    """Tell of bad rows; without `skip` raise BadInput for them."""
    for one in (one for one in found if one.bad):
        more = f"; and {one.bad - len(one.named):,} more" if one.bad > len(one.named) else ""
        sentence = f"{one.path}: {one.bad:,} of {counted(one.rows, 'row')} bad ({'; '.join(one.named)}{more})"
        if not skip:
            raise BadInput(
                "file", f"{sentence}. Nothing was changed: mend them, or leave them out with --skip-bad."
            )
        typer.echo(f"{sentence}, left out.")
