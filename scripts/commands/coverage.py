"""`coverage`: how complete each market is, by the states of its minutes."""

import asyncio
from collections.abc import Iterator, Mapping

import msgspec
import typer

from app import wiring
from app.coverage_rows import market_row, percent
from app.jobs import asked
from app.settings import load_settings
from app.stores.minutes import STATES, MarketMinutes
from app.stores.symbols import StoredSymbol
from scripts.commands.chosen import EndOption, ExchangeOption, JsonOption, StartOption, SymbolsOption, choose
from scripts.commands.table import aligned

Markets = Mapping[int, StoredSymbol]
Found = Mapping[int, MarketMinutes]


def coverage(
    exchange: ExchangeOption = "",
    symbols: SymbolsOption = None,
    start: StartOption = None,
    end: EndOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show how complete each market is, in minutes by state; counts candles, so many years take a while."""
    markets, found = asyncio.run(_find(exchange, symbols, start, end))
    if as_json:
        rows = [market_row(markets[symbol_id].instrument, minutes) for symbol_id, minutes in found.items()]
        typer.echo(msgspec.json.encode(rows).decode())
        return
    for line in _lines(markets, found):
        typer.echo(line)


async def _find(exchange: str, symbols: str | None, start: str | None, end: str | None) -> tuple[Markets, Found]:
    settings = load_settings()
    now_ms = wiring.clock(settings).now_ms()
    span = asked.parse_period(start, end, now_ms)
    async with wiring.open_stores(settings, pool_size=1, role="coverage") as stores:
        markets = await choose(stores, exchange, symbols)
        return markets, await stores.minutes.markets(list(markets), span, now_ms)


def _lines(markets: Markets, found: Found) -> Iterator[str]:
    if not found:
        yield "Nothing was fetched or streamed yet: candlehouse fetch --help."
        return
    titles = ["exchange", "market", "listed", "first", "last", "present", *STATES[1:], "of these gaps"]
    rows = [_row(markets[symbol_id], minutes) for symbol_id, minutes in found.items()]
    yield from aligned(titles, rows, left=2)
    yield "Minutes by state; present in percent of all between listing and now. candlehouse gaps tells what to do."


def _row(stored: StoredSymbol, minutes: MarketMinutes) -> list[str]:
    share = percent(minutes.states["present"], minutes.total)
    times = (minutes.listed_ms, minutes.first_ms, minutes.last_ms)
    return [
        stored.instrument.exchange,
        stored.instrument.symbol,
        *("-" if ms is None else asked.time_text(ms)[:16] for ms in times),
        "-" if share is None else f"{share:.3f} %",
        *(f"{minutes.states[state]:,}" for state in STATES[1:]),
        f"{minutes.gaps:,}",
    ]
