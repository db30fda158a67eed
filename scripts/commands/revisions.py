"""`candlehouse revisions`: what minutes were before they were corrected."""

from collections.abc import AsyncIterator

import msgspec
import typer

from app import wiring
from app.jobs.asked import time_text
from app.settings import Settings, load_settings
from app.stores.revisions import Revision, RevisionStore
from common.market import Source
from common.span import Span
from scripts.commands import meant

PAGE = 5000
_SOURCES = {
    Source.CLOSED_BY_TIME: "closed by time",
    Source.CLOSING_MESSAGE: "closing message",
    Source.RECORD: "record",
}
_HEAD = ("minute", "open", "high", "low", "close", "volume", "told by", "known from", "superseded at")


def revisions(
    exchange: meant.ExchangeOption = "",
    symbols: meant.SymbolsOption = None,
    start: meant.StartOption = None,
    end: meant.EndOption = None,
    json: meant.JsonOption = False,
) -> None:
    """List the values that corrections replaced, in the order of the corrections, the newest last."""
    settings = load_settings()
    span = meant.minutes(start, end, wiring.clock(settings).now_ms())
    found = meant.run(_read(settings, meant.one_exchange(exchange), symbols, span))
    if json:
        rows = [{"market": name, **one._asdict()} for name, each in found.items() for one in each]
        typer.echo(msgspec.json.encode(rows).decode())
        return
    for name, each in found.items():
        _show(name, each)
    if not found:
        typer.echo("No stored minute of this was ever corrected.")


async def _read(settings: Settings, exchange: str, symbols: str | None, span: Span) -> dict[str, list[Revision]]:
    """By market; markets without any are left out."""
    found = {}
    async with wiring.open_stores(settings, role="revisions") as stores:
        asked = RevisionStore(stores.db)
        for market in await meant.markets(stores, exchange, symbols):
            if rows := [row async for row in _pages(asked, market.id, span)]:
                found[f"{exchange} {market.instrument.symbol}"] = rows
    return found


async def _pages(asked: RevisionStore, symbol_id: int, span: Span) -> AsyncIterator[Revision]:
    after = 0
    while page := await asked.revisions(symbol_id, span, PAGE, after):
        for one in page:
            yield one
        after = page[-1].id


def _show(name: str, rows: list[Revision]) -> None:
    cells = [_HEAD, *(_cells(one) for one in rows)]
    widths = [max(len(row[place]) for row in cells) for place in range(len(_HEAD))]
    typer.echo(name)
    for row in cells:
        typer.echo("  " + "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())


def _cells(one: Revision) -> tuple[str, ...]:
    figures = (repr(value) for value in (one.open, one.high, one.low, one.close, one.volume))
    told_by = _SOURCES.get(Source(one.source), str(one.source))
    return (time_text(one.time), *figures, told_by, time_text(one.known_from), time_text(one.superseded_at))
