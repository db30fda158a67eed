"""`fetch`: plan history, have the workers get it, and show how far they are; with freqtrade's flags too."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import typer
from rich.console import Console

from app import wiring
from app.jobs import asked, freqtrade
from app.settings import load_settings
from app.stores.symbols import StoredSymbol
from common.errors import BadInput
from common.ports import Exchange
from common.span import Span
from scripts.commands import meant
from scripts.commands.confirm import confirmed
from scripts.commands.desk import Desk, open_desk
from scripts.commands.jobs import DetachOption, JsonOption, one_exchange, work
from scripts.commands.outlook import foretell, tell_room, warn_of_disk
from scripts.commands.progress import Display, counted, display

StartOption = Annotated[str, typer.Option(help=f"First minute, {asked.TIME_FORM} in UTC.")]
EndOption = Annotated[str, typer.Option(help="Minute after the last one, like --start.")]
SymbolsOption = Annotated[
    str | None, typer.Option(help="Such as BTC/USDT,ETH/USDT; without it all that SYMBOLS selects.")
]
PairsOption = Annotated[
    list[str] | None,
    typer.Option("--pairs", "-p", help="A market, or a regular expression such as .*/USDT; several may follow."),
]
DaysOption = Annotated[int | None, typer.Option(help="From midnight so many days ago until now.")]
TimerangeOption = Annotated[str, typer.Option(help=f"{freqtrade.TIMERANGE_FORM}, either end open; or unix times.")]
TimeframesOption = Annotated[
    list[str] | None,
    typer.Option("--timeframes", "-t", help="Minutes are fetched; every other timeframe is made of them."),
]
PrependOption = Annotated[bool, typer.Option("--prepend", help="As always: older minutes are filled.")]
InactiveOption = Annotated[
    bool, typer.Option("--include-inactive-pairs", help="Expressions find markets not under trade too.")
]
EraseOption = Annotated[bool, typer.Option("--erase", help="First delete all that is stored of these markets.")]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask before --erase.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only tell what would be asked for.")]
MoreArgument = Annotated[
    list[str] | None,
    typer.Argument(help="More pairs and timeframes, after --pairs or --timeframes.", metavar="[MORE]"),
]


def fetch(
    more: MoreArgument = None,
    exchange: meant.ExchangeOption = "",
    start: StartOption = "",
    end: EndOption = "",
    symbols: SymbolsOption = None,
    pairs: PairsOption = None,
    days: DaysOption = None,
    timerange: TimerangeOption = "",
    timeframes: TimeframesOption = None,
    prepend: PrependOption = False,
    inactive: InactiveOption = False,
    erase: EraseOption = False,
    yes: YesOption = False,
    dry_run: DryRunOption = False,
    detach: DetachOption = False,
    json: JsonOption = False,
) -> None:
    """Fill the history from --start to --end (excluded), newest first, asking only for what was never asked."""
    settings = load_settings()
    adapter = one_exchange(settings, exchange)
    span = freqtrade.parse_span(start, end, days, timerange or None, wiring.clock(settings).now_ms())
    names, others = _names(symbols, pairs, timeframes, more or [])
    if erase and dry_run:
        raise BadInput("erase", "Say --erase or --dry-run; --erase tells how much it deletes, and asks.")
    if others:
        typer.echo(f"Minutes are fetched, and {', '.join(others)} made of them.", err=True)
    asking = _Asking(adapter, span, names, inactive, erase, yes, dry_run, detach)
    raise typer.Exit(meant.run(_fetch(asking, display(Console(), json=json))))


@dataclass(frozen=True, slots=True)
class _Asking:
    exchange: Exchange
    span: Span
    names: Sequence[str] | None
    inactive: bool
    erase: bool
    yes: bool
    dry_run: bool
    detach: bool


def _names(
    symbols: str | None, pairs: Sequence[str] | None, timeframes: Sequence[str] | None, more: Sequence[str]
) -> tuple[Sequence[str] | None, list[str]]:
    """Markets, None where none is named, and timeframes other than 1m.

    freqtrade's options take several words; those after the first arrive as `more`.
    """
    if symbols is not None and pairs:
        raise BadInput("symbols", "Say --symbols or --pairs, which mean the same.")
    if more and not (pairs or timeframes):
        raise BadInput("more", f"{more[0]!r} belongs to no option; name markets with --symbols or --pairs.")
    if symbols is not None and not symbols.strip(" ,"):
        raise BadInput("symbols", "--symbols names no market; write them as BTC/USDT,ETH/USDT.")
    units = [word for word in more if freqtrade.is_timeframe(word) or not pairs]
    rest = [word for word in more if word not in units]
    listed = [symbols] if symbols is not None else [*pairs, *rest] if pairs else None
    return listed, freqtrade.others_than_minutes([*(timeframes or []), *units])


async def _fetch(asking: _Asking, shown: Display) -> int:
    exchange = asking.exchange
    async with open_desk(load_settings(), "fetch") as desk:
        span, unreached = asked.reached(exchange, asking.span, desk.clock.now_ms())
        _say(shown, unreached)
        chosen = await _choose(desk, asking)
        ids = [one.id for one in chosen]
        _say(shown, asked.kept(await desk.stores.retention.horizons(ids), len(ids), span))
        if asking.dry_run:
            tell_room(await desk.room(), await foretell(desk, exchange, chosen, span, shown), shown)
            return 0
        if asking.erase:
            await _erase(desk, chosen, asking, shown)
        await warn_of_disk(desk, ids, span, shown)
        job_id = await desk.stores.plan.create(exchange.name, ids, span)
        what = f"{counted(len(chosen), 'market')} of {exchange.name}"
        if (await desk.stores.plan.progress(job_id)).state == "done":
            times = f"{asked.time_text(span.start_ms)} to {asked.time_text(span.end_ms)}"
            shown.say(f"Already complete: {what}, {times}.", status=0)
            return 0
        return await work(desk, {exchange.name: [job_id]}, what, asking.detach, shown)


async def _choose(desk: Desk, asking: _Asking) -> list[StoredSymbol]:
    stored = await desk.markets(asking.exchange)
    if asking.names is None:
        return asked.selected(asking.exchange.name, desk.settings.symbols, stored.values())
    return freqtrade.choose_pairs(asking.names, stored, inactive=asking.inactive)


async def _erase(desk: Desk, chosen: Sequence[StoredSymbol], asking: _Asking, shown: Display) -> None:
    ids = [one.id for one in chosen]
    await desk.stores.erase.check(ids)
    candles = await desk.stores.erase.count(ids)
    what = f"{counted(candles, 'candle')} of {counted(len(chosen), 'market')} of {asking.exchange.name}"
    question = f"Delete {what} with all revisions? What is not fetched again does not come back."
    if candles:
        confirmed(question, yes=asking.yes)
    for symbol_id in ids:
        await desk.stores.erase.erase(symbol_id, desk.clock.now_ms())
    await desk.stores.rollups.refresh()
    shown.say(f"Deleted {what}.", deleted=candles)


def _say(shown: Display, sentence: str) -> None:
    if sentence:
        shown.say(sentence)
