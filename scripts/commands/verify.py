"""`candlehouse verify`: does the exchange still say what is stored?"""

import random
from typing import Annotated, Any

import msgspec
import typer

from app import wiring
from app.jobs import asked
from app.jobs.verify import Checked, check, sample
from app.settings import Settings, load_settings
from app.stores.retention import RetentionStore
from common.errors import BadInput
from common.market import Bar
from common.ports import Exchange
from common.span import Span
from fetchers import registry
from scripts.commands import meant
from scripts.commands.desk import Desk, open_desk
from scripts.commands.progress import counted

MOST_LINES = 50


def verify(
    exchange: meant.ExchangeOption = "",
    symbols: meant.SymbolsOption = None,
    start: meant.StartOption = None,
    end: meant.EndOption = None,
    sample: Annotated[int, typer.Option(help="How many page-sized ranges to ask for again.")] = 10,
    seed: Annotated[int | None, typer.Option(help="The same number picks the same ranges.")] = None,
    repair: Annotated[bool, typer.Option("--repair", help="Store what the exchange says now.")] = False,
    json: meant.JsonOption = False,
) -> None:
    """Ask random ranges of stored history again and compare each value. Exit with 1 when anything differs."""
    settings = load_settings()
    adapter = registry.get(meant.one_exchange(exchange))
    asked.check_open(adapter, settings.rest_url(adapter.name))
    span = meant.minutes(start, end, wiring.clock(settings).now_ms())
    if sample < 1:
        raise BadInput("sample", f"--sample must be at least 1, and is {sample}.")
    number = random.randrange(10**6) if seed is None else seed
    found = meant.run(_verify(settings, adapter, symbols, span, sample, number, repair))
    typer.echo(_document(found, number) if json else _words(found, number, repair))
    if any(one.differences or one.refused for one in found):
        raise typer.Exit(1)


async def _verify(
    settings: Settings, exchange: Exchange, symbols: str | None, span: Span, count: int, seed: int, repair: bool
) -> list[Checked]:
    async with open_desk(settings, "verify") as desk:
        markets = {one.id: one for one in await meant.markets(desk.stores, exchange.name, symbols)}
        covered = await desk.stores.coverage.covered(list(markets))
        horizons = await RetentionStore(desk.stores.db).horizons(list(markets))
        kept = {one: span.clip(Span(horizons.get(one, 0), span.end_ms)) for one in markets}
        within = {one: [piece.clip(kept[one]) for piece in pieces] for one, pieces in covered.items()}
        ranges = sample(random.Random(seed), within, exchange.limits.page_minutes, count)
        if not ranges:
            raise BadInput("start", "Nothing of this was ever answered for, so there is nothing to verify.")
        found = [await _check(desk, exchange, markets[one], piece, repair) for one, piece in ranges]
        if repair and any(one.differences for one in found):
            await desk.stores.rollups.refresh()
        return found


async def _check(desk: Desk, exchange: Exchange, market: Any, piece: Span, repair: bool) -> Checked:
    sink = desk.sink if repair else None
    return await check(
        exchange, market, piece, get=desk.get(exchange), stores=desk.stores, clock=desk.clock, repair_with=sink
    )


def _document(found: list[Checked], seed: int) -> str:
    ranges = [
        {
            "market": one.market.instrument.key,
            "start": one.span.start_ms,
            "end": one.span.end_ms,
            "refused": one.refused or None,
            "differences": [
                {"time": at, "ours": ours and ours._asdict(), "theirs": theirs and theirs._asdict()}
                for at, ours, theirs in one.differences
            ],
        }
        for one in found
    ]
    return msgspec.json.encode({"seed": seed, "ranges": ranges}).decode()


def _words(found: list[Checked], seed: int, repair: bool) -> str:
    lines = [f"{_name(one)}: not asked: {one.refused}" for one in found if one.refused]
    different = [(one, each) for one in found for each in one.differences]
    for one, (at, ours, theirs) in different[:MOST_LINES]:
        lines.append(f"{_market(one)} {asked.time_text(at)}  ours {_values(ours)}  theirs {_values(theirs)}")
    if len(different) > MOST_LINES:
        lines.append(f"… and {len(different) - MOST_LINES:,} more; --json lists all.")
    minutes = sum(one.span.minutes() for one in found if not one.refused)
    stored = ", what the exchange says is stored now" if repair and different else ""
    what = f"{counted(len(found), 'range')}, {counted(minutes, 'minute')}"
    lines.append(f"Verified {what}: {len(different):,} differ{stored} (--seed {seed}).")
    return "\n".join(lines)


def _name(one: Checked) -> str:
    return f"{_market(one)} {asked.time_text(one.span.start_ms)} to {asked.time_text(one.span.end_ms)}"


def _market(one: Checked) -> str:
    return f"{one.market.instrument.exchange} {one.market.instrument.symbol}"


def _values(bar: Bar | None) -> str:
    return "none" if bar is None else " ".join(repr(value) for value in bar[1:8] if value is not None)
