"""Which markets and minutes a person means, where leaving something out means all of it."""

import asyncio
from collections.abc import Coroutine
from typing import Annotated, Any, TypeVar

import typer

from app import log, wiring
from app.jobs import asked
from app.stores.symbols import StoredSymbol
from common.errors import BadInput
from common.span import MINUTE_MS, Span, floor_minute
from fetchers import registry

T = TypeVar("T")

ExchangeOption = Annotated[str, typer.Option(help="Which exchange: " + registry.choices() + ".")]
SymbolsOption = Annotated[
    str | None, typer.Option(help="Such as BTC/USDT,ETH/USDT; without it all that are stored.")
]
StartOption = Annotated[
    str | None, typer.Option(help=f"First minute, {asked.TIME_FORM} in UTC; without it the first.")
]
EndOption = Annotated[str | None, typer.Option(help="Minute after the last one, like --start; without it now.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON document instead of words.")]


def one_exchange(name: str) -> str:
    """The exchange that must be named."""
    known = registry.choices()
    if not name:
        raise BadInput("exchange", f"Say --exchange, one of {known}.", known)
    return registry.get(name.strip().lower()).name


def minutes(start: str | None, end: str | None, now_ms: int) -> Span:
    """The whole minutes from --start to --end, each of which may be left out."""
    if start and end:
        return asked.parse_span(start, end, now_ms)
    if start:
        return asked.parse_span(start, asked.time_text(floor_minute(now_ms)), now_ms)
    end_ms = asked.parse_time("end", end) if end else now_ms
    if end_ms > now_ms:
        raise BadInput("end", f"--end {end} is in the future; it is {asked.time_text(now_ms)} UTC now.")
    return Span(asked.EARLIEST_MS, floor_minute(end_ms + MINUTE_MS - 1) if end else floor_minute(now_ms))


async def markets(stores: wiring.Stores, exchange: str, symbols: str | None) -> list[StoredSymbol]:
    """The named ones, or every one that is stored."""
    stored = await stores.symbols.load(exchange)
    if not stored:
        raise BadInput("exchange", f"No market of {exchange} is stored yet; `candlehouse fetch` begins.")
    return list(stored.values()) if symbols is None else asked.named(symbols, stored)


def run(work: Coroutine[Any, Any, T]) -> T:
    """The result of `work`; Ctrl-C ends with status 130."""
    log.configure("WARNING")
    try:
        return asyncio.run(work)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
