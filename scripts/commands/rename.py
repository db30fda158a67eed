"""`rename`: say that a market goes on under another name, where no exchange says so in a listing."""

from dataclasses import dataclass
from typing import Annotated

import typer

from app import wiring
from app.jobs import asked
from app.settings import load_settings
from app.stores import analytics
from app.stores.join import JoinStore
from app.stores.symbols import StoredSymbol
from common.errors import BadInput
from common.span import MINUTE_MS, Span
from scripts.commands import meant
from scripts.commands.confirm import confirmed
from scripts.commands.progress import counted


def rename(
    old: Annotated[str, typer.Argument(help="What the market was called, such as MATIC/USDT.")],
    new: Annotated[str, typer.Argument(help="What the exchange lists it as now, such as POL/USDT.")],
    exchange: meant.ExchangeOption = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would be joined.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing.")] = False,
) -> None:
    """Join two markets of an exchange into one series under the new name. It cannot be undone."""
    meant.run(_rename(meant.one_exchange(exchange), old, new, dry_run, yes))


@dataclass(frozen=True, slots=True)
class _Pair:
    before: StoredSymbol
    now: StoredSymbol


async def _rename(exchange: str, old: str, new: str, dry_run: bool, yes: bool) -> None:
    settings = load_settings()
    async with wiring.open_stores(settings, pool_size=2, role="rename") as stores:
        pair = _checked(await meant.markets(stores, exchange, old), await meant.markets(stores, exchange, new))
        before, now = pair.before.instrument.symbol, pair.now.instrument.symbol
        if pair.before.id == pair.now.id:
            typer.echo(f"{exchange} {old} is {now} already; nothing is to be done.")
            return
        spans = await stores.minutes.stored([pair.before.id, pair.now.id])
        for one in (pair.before, pair.now):
            typer.echo(f"{one.instrument.symbol} ({one.instrument.native}): {_minutes(spans.get(one.id))}")
        typer.echo(f"They become one series, {now}, which {before} finds as well.")
        if dry_run:
            return
        confirmed("Join them? They cannot be parted again.", yes=yes)
        joined = await JoinStore(stores.db).join(pair.before.id, pair.now.id, wiring.clock(settings).now_ms())
        await stores.rollups.refresh()
        await analytics.refresh(stores.db, wiring.clock(settings).now_ms())
    both = f", of which both had {joined.both_had:,}" if joined.both_had else ""
    typer.echo(f"Renamed. {counted(joined.minutes, 'minute')} moved{both}.")


def _checked(olds: list[StoredSymbol], news: list[StoredSymbol]) -> _Pair:
    """BadInput where the two cannot be one market."""
    for field, found in (("old", olds), ("new", news)):
        if len(found) != 1:
            raise BadInput(field, "Name one market before and one after, such as MATIC/USDT POL/USDT.")
    before, now = olds[0].instrument, news[0].instrument
    if olds[0].id == news[0].id:
        return _Pair(olds[0], news[0])
    if before.market_type != now.market_type:
        raise BadInput("new", f"{before.key} and {now.key} are markets of different types, not one renamed.")
    if before.is_trading and now.is_trading:
        raise BadInput("new", f"{before.symbol} and {now.symbol} are both under trade: they are two markets.")
    if before.is_trading:
        sentence = f"{before.symbol} is under trade and {now.symbol} is not: say the former name first."
        raise BadInput("old", sentence)
    return _Pair(olds[0], news[0])


def _minutes(span: Span | None) -> str:
    if span is None:
        return "no candles"
    return f"candles from {asked.time_text(span.start_ms)} to {asked.time_text(span.end_ms - MINUTE_MS)}"
