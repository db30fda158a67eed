"""`gaps`: which wanted minutes are missing, why, and what to do about them."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

import msgspec
import typer

from app import wiring
from app.coverage_rows import market_name, span_row
from app.jobs import asked
from app.settings import load_settings
from app.stores.minutes import StateSpan
from app.stores.symbols import StoredSymbol
from scripts.commands.chosen import EndOption, ExchangeOption, JsonOption, StartOption, SymbolsOption, choose
from scripts.commands.progress import counted

#: Of more spans alike one line tells all.
MOST_LINES = 3
#: Of more markets a command to copy names none.
MOST_NAMES = 8

Markets = Mapping[int, StoredSymbol]


def gaps(
    exchange: ExchangeOption = "",
    symbols: SymbolsOption = None,
    start: StartOption = None,
    end: EndOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what was wanted and is not answered, why, and what to do. The last five minutes are still settling."""
    markets, found = asyncio.run(_find(exchange, symbols, start, end))
    if as_json:
        rows = [market_name(markets[gap.symbol_id].instrument) | span_row(gap) for gap in found]
        typer.echo(msgspec.json.encode(rows).decode())
        return
    for line in _lines(markets, found):
        typer.echo(line)


async def _find(
    exchange: str, symbols: str | None, start: str | None, end: str | None
) -> tuple[Markets, list[StateSpan]]:
    settings = load_settings()
    now_ms = wiring.clock(settings).now_ms()
    span = asked.parse_period(start, end, now_ms)
    async with wiring.open_stores(settings, pool_size=1, role="gaps") as stores:
        markets = await choose(stores, exchange, symbols)
        return markets, await stores.minutes.gaps(list(markets), span, now_ms)


def _lines(markets: Markets, found: Sequence[StateSpan]) -> Iterator[str]:
    if not found:
        yield f"No gap: all that was wanted of {counted(len(markets), 'market')} is answered."
        return
    for symbol_id, spans in groupby(found, key=lambda gap: gap.symbol_id):
        market = markets[symbol_id].instrument
        yield f"{market.exchange} {market.symbol}"
        yield from _of_market(list(spans))
    yield ""
    yield from _summary(markets, found)


def _of_market(spans: list[StateSpan]) -> Iterator[str]:
    spans.sort(key=lambda gap: (gap.state, gap.reason or "", gap.span))
    for (state, reason), group in groupby(spans, key=lambda gap: (gap.state, gap.reason)):
        alike = list(group)
        why = f"{_words(state)}: {_one_line(reason)}"
        if len(alike) > MOST_LINES:
            minutes = sum(gap.span.minutes() for gap in alike)
            yield _line(alike[0].span.start_ms, alike[-1].span.end_ms, minutes, f"in {len(alike):,} spans, {why}")
        else:
            for gap in alike:
                yield _line(*gap.span, gap.span.minutes(), why)


def _line(start_ms: int, end_ms: int, minutes: int, why: str) -> str:
    return f"  {asked.time_text(start_ms)} to {asked.time_text(end_ms)}  {counted(minutes, 'minute'):>16}  {why}"


def _summary(markets: Markets, found: Sequence[StateSpan]) -> Iterator[str]:
    total = sum(gap.span.minutes() for gap in found)
    yield f"{counted(len({gap.symbol_id for gap in found}), 'market')} with {counted(total, 'minute')} in gaps."
    kinds = {(gap.state, (gap.reason or "").startswith("planned")) for gap in found}
    if kinds & {("fetching", False), ("not_asked", True)}:
        yield "What is asked for now or planned comes by itself while workers run; candlehouse status tells."
    open_ = [gap for gap in found if gap.state != "fetching" and not (gap.reason or "").startswith("planned")]
    open_.sort(key=lambda gap: markets[gap.symbol_id].instrument.exchange)
    if open_:
        yield "To ask for the rest, also for what was refused:"
    for exchange, group in groupby(open_, key=lambda gap: markets[gap.symbol_id].instrument.exchange):
        yield f"  {_command(exchange, markets, list(group))}"


def _command(exchange: str, markets: Markets, gaps_: Sequence[StateSpan]) -> str:
    names = sorted({markets[gap.symbol_id].instrument.symbol for gap in gaps_})
    start_ms, end_ms = min(gap.span.start_ms for gap in gaps_), max(gap.span.end_ms for gap in gaps_)
    chosen = f" --symbols {','.join(names)}" if len(names) <= MOST_NAMES else ""
    bounds = f"--start {asked.time_text(start_ms)} --end {asked.time_text(end_ms)}"
    return f"candlehouse fetch --exchange {exchange} {bounds}{chosen}"


def _words(state: str) -> str:
    return state.replace("_", " ")


def _one_line(reason: str | None) -> str:
    return " ".join((reason or "").split())[:160]
