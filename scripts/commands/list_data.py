"""`list-data`: of which markets candles are stored, and from when to when."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import typer

from app import wiring
from app.jobs import asked
from app.settings import load_settings
from app.stores.sizes import Count, SizeStore
from app.stores.symbols import StoredSymbol
from common.errors import BadInput
from common.span import MINUTE_MS, Span
from fetchers import registry
from scripts.commands.chosen import ExchangeOption
from scripts.commands.progress import counted
from scripts.commands.table import aligned

NOTHING = "No candles are stored yet: candlehouse fetch --help tells how to get some, candlehouse up streams them."


@dataclass(frozen=True, slots=True)
class _Found:
    """Markets with candles: from the first minute through the last; their counts only where asked for."""

    markets: Mapping[int, StoredSymbol]
    spans: Mapping[int, Span]
    counts: Mapping[int, Count]


def list_data(
    exchange: ExchangeOption = "",
    symbols: Annotated[str | None, typer.Option(help="Such as BTC/USDT,ETH/USDT; without it all.")] = None,
    timerange: Annotated[
        bool, typer.Option("--show-timerange", help="First and last minute, and about how many candles.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="A line of JSON a market for programs; times in UTC milliseconds.")
    ] = False,
) -> None:
    """List the markets of which candles are stored. Every timeframe is made of their minutes."""
    found = asyncio.run(_find(exchange, symbols, timerange))
    if as_json:
        for row in _rows(found):
            typer.echo(msgspec.json.encode(row).decode())
        return
    for line in _lines(found) if found.spans else [NOTHING]:
        typer.echo(line)


async def _find(exchange: str, symbols: str | None, timerange: bool) -> _Found:
    settings = load_settings()
    name = registry.get(exchange.strip().lower()).name if exchange else None
    if symbols is not None and name is None:
        known = registry.choices()
        raise BadInput("exchange", f"Say whose {symbols} is meant: --exchange, one of {known}.", known)
    async with wiring.open_stores(settings, pool_size=1, role="list-data") as stores:
        stored = await stores.symbols.load(name)
        chosen = asked.named(symbols, stored) if symbols is not None else list(stored.values())
        markets = {one.id: one for one in sorted(chosen, key=lambda one: one.instrument.key)}
        spans = await stores.minutes.stored(list(markets))
        counts = await SizeStore(stores.db).counts(spans) if timerange else {}
    return _Found(markets, {one: spans[one] for one in markets if one in spans}, counts)


def _rows(found: _Found) -> Iterator[dict[str, Any]]:
    for symbol_id, span in found.spans.items():
        market = found.markets[symbol_id].instrument
        row: dict[str, Any] = {
            "exchange": market.exchange,
            "base_id": market.base,
            "quote_id": market.quote,
            "symbol": market.native,
        }
        if count := found.counts.get(symbol_id):
            row |= {"first": span.start_ms, "last": span.end_ms - MINUTE_MS}
            row |= {"candles": count.candles, "exact": count.exact}
        yield row


def _lines(found: _Found) -> Iterator[str]:
    titles = ["exchange", "market", *(["first", "last", "candles"] if found.counts else [])]
    yield from aligned(titles, [_cells(found, symbol_id, span) for symbol_id, span in found.spans.items()], left=2)
    about = " Of more than a month a dozen days are counted, hence about." if _any_about(found) else ""
    yield f"{counted(len(found.spans), 'market')} with 1-minute candles, of which every timeframe is made.{about}"


def _cells(found: _Found, symbol_id: int, span: Span) -> list[str]:
    market = found.markets[symbol_id].instrument
    cells = [market.exchange, market.symbol]
    if count := found.counts.get(symbol_id):
        times = (span.start_ms, span.end_ms - MINUTE_MS)
        number = f"{'' if count.exact else 'about '}{count.candles:,}"
        cells += [*(asked.time_text(ms)[:16] for ms in times), number]
    return cells


def _any_about(found: _Found) -> bool:
    return not all(count.exact for count in found.counts.values())
