"""`estimate`: what history would take of requests, time and disk, before anybody fetches it."""

from typing import Annotated

import typer
from rich.console import Console

from app import wiring
from app.jobs import asked
from app.settings import Settings, load_settings
from app.stores.symbols import StoredSymbol
from common.errors import BadInput
from common.ports import Exchange
from common.span import DAY_MS, Span, floor_minute
from fetchers import registry
from scripts.commands import meant
from scripts.commands.desk import Desk, open_desk
from scripts.commands.jobs import JsonOption, one_exchange
from scripts.commands.outlook import foretell, tell_room
from scripts.commands.progress import Display, display

YEAR_MS = round(365.25 * DAY_MS)


def estimate(
    exchange: Annotated[
        str, typer.Option(help="One of " + registry.choices() + "; without it those of EXCHANGES.")
    ] = "",
    symbols: Annotated[
        str | None, typer.Option(help="Such as BTC/USDT,ETH/USDT; without it all that SYMBOLS selects.")
    ] = None,
    years: Annotated[float | None, typer.Option(help="So many years back from now, such as 3 or 0.5.")] = None,
    start: meant.StartOption = None,
    end: meant.EndOption = None,
    json: JsonOption = False,
) -> None:
    """Tell requests, hours, rows and bytes of what is not stored yet, and whether the disk has place for it."""
    settings = load_settings()
    span = _span(years, start, end, wiring.clock(settings).now_ms())
    meant.run(_estimate(settings, _exchanges(settings, exchange), symbols, span, display(Console(), json=json)))


def _span(years: float | None, start: str | None, end: str | None, now_ms: int) -> Span:
    """The minutes that --years, or --start and --end mean."""
    if (years is None) == (start is None) or (years is not None and end is not None):
        raise BadInput("years", "Say --years N, or --start and, unless it is now, --end.")
    if years is None:
        return meant.minutes(start, end, now_ms)
    most = (now_ms - asked.EARLIEST_MS) / YEAR_MS
    if not 1 / 365 <= years <= most:
        raise BadInput("years", f"--years {years:g} must be from 0.003 (a day) to {most:.1f} (the first coin).")
    return Span(floor_minute(now_ms - round(years * YEAR_MS)), floor_minute(now_ms))


def _exchanges(settings: Settings, name: str) -> list[Exchange]:
    """The named one, or those of EXCHANGES that can be asked."""
    if name:
        return [one_exchange(settings, name)]
    return [registry.get(one) for one in settings.streaming]


async def _estimate(
    settings: Settings, exchanges: list[Exchange], symbols: str | None, span: Span, shown: Display
) -> None:
    rows = 0
    refused: dict[str, BadInput] = {}
    async with open_desk(settings, "estimate") as desk:
        for exchange in exchanges:
            try:
                chosen = await _choose(desk, exchange, symbols)
            except BadInput as error:
                refused[exchange.name] = error
                continue
            rows += await foretell(desk, exchange, chosen, span, shown)
        if len(refused) == len(exchanges):
            raise next(iter(refused.values()))
        for name, reason in refused.items():
            shown.say(f"{name} is left out: {reason}", exchange=name)
        tell_room(await desk.room(), rows, shown)


async def _choose(desk: Desk, exchange: Exchange, symbols: str | None) -> list[StoredSymbol]:
    stored = await desk.markets(exchange)
    if symbols is None:
        return asked.selected(exchange.name, desk.settings.symbols, stored.values())
    return asked.named(symbols, stored)
