"""`fetch` and `resume`: plan history, order the workers to get it, and show how far they are."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from redis.asyncio import Redis
from rich.console import Console

from app import log, wiring
from app.jobs import asked, instruments
from app.settings import Settings, load_settings
from celery_app.orders import order_work
from common.clock import Clock
from common.errors import BadInput
from common.ports import Exchange, Priority
from common.span import Span
from fetchers import registry
from scripts.commands.progress import counted
from scripts.commands.watch import Watch

ExchangeOption = Annotated[str, typer.Option(help="Which exchange: " + ", ".join(registry.names()) + ".")]
StartOption = Annotated[str, typer.Option(help=f"First minute, {asked.TIME_FORM} in UTC.")]
EndOption = Annotated[str, typer.Option(help="Minute after the last one, like --start.")]
SymbolsOption = Annotated[
    str | None, typer.Option(help="Such as BTC/USDT,ETH/USDT; without it all that SYMBOLS selects.")
]
DetachOption = Annotated[bool, typer.Option("--detach", help="Do not wait; the workers go on by themselves.")]


def fetch(
    exchange: ExchangeOption = "",
    start: StartOption = "",
    end: EndOption = "",
    symbols: SymbolsOption = None,
    detach: DetachOption = False,
) -> None:
    """Fill the history from --start to --end (excluded), asking only for what was never asked."""
    settings = load_settings()
    adapter = _exchange(settings, exchange)
    span = asked.parse_span(start, end, wiring.clock(settings).now_ms())
    if symbols is not None and not symbols.strip(" ,"):
        raise BadInput("symbols", "--symbols names no market; write them as BTC/USDT,ETH/USDT.")
    _finish(_fetch(settings, adapter, span, symbols, detach))


def resume(exchange: ExchangeOption = "", detach: DetachOption = False) -> None:
    """Go on with the unfinished jobs of an exchange, or of all."""
    settings = load_settings()
    _finish(_resume(settings, _exchange(settings, exchange).name if exchange else None, detach))


@dataclass(frozen=True, slots=True)
class _Desk:
    settings: Settings
    clock: Clock
    redis: Redis
    stores: wiring.Stores
    console: Console

    def say(self, sentence: str) -> None:
        self.console.print(sentence, soft_wrap=True, highlight=False, markup=False)


@asynccontextmanager
async def _open(settings: Settings) -> AsyncIterator[_Desk]:
    redis = wiring.open_redis(settings)
    try:
        async with wiring.open_stores(settings, role="fetch") as stores:
            yield _Desk(settings, wiring.clock(settings), redis, stores, Console())
    finally:
        await redis.aclose()


async def _fetch(settings: Settings, exchange: Exchange, span: Span, symbols: str | None, detach: bool) -> int:
    async with _open(settings) as desk:
        await _know_markets(desk, exchange)
        stored = await desk.stores.symbols.load(exchange.name)
        chosen = (
            asked.selected(exchange.name, settings.symbols, stored.values())
            if symbols is None
            else asked.named(symbols, stored)
        )
        ids = [one.id for one in chosen]
        _tell_horizons(desk, await desk.stores.retention.horizons(ids), len(ids), span)
        job_id = await desk.stores.plan.create(exchange.name, ids, span)
        what = f"{counted(len(chosen), 'market')} of {exchange.name}"
        if (await desk.stores.plan.progress(job_id)).state == "done":
            desk.say(
                f"Already complete: {what}, {asked.time_text(span.start_ms)} to {asked.time_text(span.end_ms)}."
            )
            return 0
        return await _work(desk, {exchange.name: [job_id]}, what, detach)


def _tell_horizons(desk: _Desk, horizons: Mapping[int, int], markets: int, span: Span) -> None:
    """Say what retention has no place for; BadInput when that is all."""
    late = [ms for ms in horizons.values() if ms > span.start_ms]
    if not late:
        return
    kept = f"keep no minutes before {asked.time_text(min(late))} or later"
    if sum(ms >= span.end_ms for ms in late) == markets:
        raise BadInput(
            "end", f"These {counted(markets, 'market')} {kept} or later (retention): nothing is asked for."
        )
    desk.say(
        f"{len(late)} of {counted(markets, 'market')} {kept} or later (retention): what is older is not asked."
    )


async def _resume(settings: Settings, exchange: str | None, detach: bool) -> int:
    async with _open(settings) as desk:
        jobs: dict[str, list[int]] = {}
        for job in await desk.stores.plan.unfinished(exchange):
            jobs.setdefault(job.exchange, []).append(job.id)
        if not jobs:
            desk.say(f"Nothing to resume: no job{f' of {exchange}' if exchange else ''} is unfinished.")
            return 0
        what = f"{counted(sum(map(len, jobs.values())), 'unfinished job')} of {', '.join(jobs)}"
        return await _work(desk, jobs, what, detach)


async def _know_markets(desk: _Desk, exchange: Exchange) -> None:
    http = wiring.open_http(desk.settings, desk.redis)
    try:
        await instruments.ensure_known(
            exchange,
            get=lambda request: http.get_retrying(exchange, request, attempts=2, priority=Priority.LIVE),
            symbols=desk.stores.symbols,
            clock=desk.clock,
        )
    finally:
        await http.close()


async def _work(desk: _Desk, jobs: Mapping[str, list[int]], what: str, detach: bool) -> int:
    for exchange, numbers in jobs.items():
        for number in numbers:
            await order_work(desk.redis, exchange, number)
    watch = Watch(desk.stores.plan, jobs, what, desk.console)
    if detach:
        watch.say(f"{watch.names()} planned: {what}. `candlehouse status` shows how far it is.")
        return 0
    try:
        return await watch.until_over()
    except asyncio.CancelledError:
        watch.say(f"{watch.names()} goes on without this window. `candlehouse status` shows how far it is.")
        raise


def _exchange(settings: Settings, name: str) -> Exchange:
    if not name:
        known = ", ".join(registry.names())
        raise BadInput("exchange", f"Say --exchange, one of {known}.", known)
    exchange = registry.get(name.strip().lower())
    asked.check_open(exchange, settings.rest_url(exchange.name))
    return exchange


def _finish(work: Coroutine[Any, Any, int]) -> None:
    log.configure("WARNING")
    try:
        status = asyncio.run(work)
    except KeyboardInterrupt:
        status = 130
    raise typer.Exit(status)
