"""`fetch` and `resume`: plan history, order the workers to get it, and show how far they are."""

import asyncio
import threading
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from redis.asyncio import Redis
from rich.console import Console

from app import log, wiring
from app.jobs import asked, instruments
from app.settings import Settings, load_settings
from app.stores.plan import Progress
from celery_app.configuration import queue_of
from celery_app.orders import has_worker, order_work
from common.clock import Clock
from common.errors import BadInput, Retryable
from common.ports import Exchange
from common.span import Span
from fetchers import registry
from scripts.commands.progress import display, waits

#: A worker that is there answers within this long.
WORKER_S = 2.5
POLL_S = 0.5

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
    """Go on with the unfinished jobs of an exchange."""
    settings = load_settings()
    _finish(_resume(settings, _exchange(settings, exchange), detach))


@dataclass(frozen=True, slots=True)
class _Desk:
    settings: Settings
    exchange: Exchange
    clock: Clock
    redis: Redis
    stores: wiring.Stores
    console: Console

    def say(self, sentence: str) -> None:
        self.console.print(sentence, soft_wrap=True, highlight=False, markup=False)


@asynccontextmanager
async def _open(settings: Settings, exchange: Exchange) -> AsyncIterator[_Desk]:
    redis = wiring.open_redis(settings)
    try:
        async with wiring.open_stores(settings) as stores:
            yield _Desk(settings, exchange, wiring.clock(settings), redis, stores, Console())
    finally:
        await redis.aclose()


async def _fetch(settings: Settings, exchange: Exchange, span: Span, symbols: str | None, detach: bool) -> int:
    async with _open(settings, exchange) as desk:
        await _know_markets(desk)
        stored = await desk.stores.symbols.load(exchange.name)
        chosen = (
            asked.selected(exchange.name, settings.symbols, stored.values())
            if symbols is None
            else asked.named(symbols, stored)
        )
        job_id = await desk.stores.plan.create(exchange.name, [one.id for one in chosen], span)
        what = f"{len(chosen)} market{'s' * (len(chosen) != 1)} of {exchange.name}"
        if (await desk.stores.plan.progress(job_id)).state == "done":
            desk.say(
                f"Already complete: {what}, {asked.time_text(span.start_ms)} to {asked.time_text(span.end_ms)}."
            )
            return 0
        return await _work(desk, [job_id], what, detach)


async def _resume(settings: Settings, exchange: Exchange, detach: bool) -> int:
    async with _open(settings, exchange) as desk:
        jobs = [job.id for job in await desk.stores.plan.unfinished(exchange.name)]
        if not jobs:
            desk.say(f"Nothing to resume: no job of {exchange.name} is unfinished.")
            return 0
        return await _work(
            desk, jobs, f"{len(jobs)} unfinished job{'s' * (len(jobs) != 1)} of {exchange.name}", detach
        )


async def _know_markets(desk: _Desk) -> None:
    http = wiring.open_http(desk.settings, desk.redis)
    try:
        await instruments.ensure_known(
            desk.exchange,
            get=lambda request: http.get_retrying(desk.exchange, request, attempts=2),
            symbols=desk.stores.symbols,
            clock=desk.clock,
        )
    finally:
        await http.close()


async def _work(desk: _Desk, jobs: list[int], what: str, detach: bool) -> int:
    for job_id in jobs:
        await order_work(desk.redis, desk.exchange.name, job_id)
    if detach:
        desk.say(f"Job {_names(jobs)} is planned: {what}. `candlehouse status` shows how far it is.")
        return 0
    try:
        return await _watch(desk, jobs, what)
    except asyncio.CancelledError:
        desk.say(f"Job {_names(jobs)} goes on without this window. `candlehouse status` shows how far it is.")
        raise


async def _watch(desk: _Desk, jobs: list[int], what: str) -> int:
    """Show the jobs until they end; 0 when all minutes were answered."""
    lookout = _Lookout(desk.exchange.name)
    with display(desk.console, what) as shown:
        while True:
            standing = await _standing(desk, jobs)
            shown.show(standing)
            if standing.state not in ("queued", "running"):
                break
            if lookout.saw_nobody() and waits(standing):
                return _no_worker(desk, jobs)
            await asyncio.sleep(POLL_S)
    return _outcome(desk, jobs, what, standing)


class _Lookout:
    """Asks beside everything else whether a worker is there; a fetch that ends sooner does not wait for it."""

    def __init__(self, exchange: str) -> None:
        self._exchange = exchange
        self._seen: bool | None = None
        threading.Thread(target=self._look, daemon=True).start()

    def _look(self) -> None:
        try:
            self._seen = has_worker(self._exchange, WORKER_S)
        except Retryable:
            self._seen = True  # the broker is not there to ask; whoever needs it next says so

    def saw_nobody(self) -> bool:
        return self._seen is False


async def _standing(desk: _Desk, jobs: list[int]) -> Progress:
    """The jobs as if they were one; it runs while any of them does."""
    each = [await desk.stores.plan.progress(job_id) for job_id in jobs]
    states = [one.state for one in each]
    open_ = [state for state in states if state in ("queued", "running")]
    bad = [state for state in states if state in ("cancelled", "failed")]
    return Progress(
        state=(open_ or bad or ["done"])[0],
        **{
            name: sum(getattr(one, name) for one in each)
            for name in ("minutes_total", "minutes_left", "rows_written", "requests", "leased", "errors")
        },
    )


def _no_worker(desk: _Desk, jobs: list[int]) -> int:
    queue = queue_of(desk.exchange.name)
    desk.say(
        f"No worker serves the queue {queue}. Job {_names(jobs)} is planned and starts with the first: make up, or"
        f" celery -A celery_app.celery_main worker -Q {queue} -n {desk.exchange.name}RestWorker@h -l INFO"
    )
    return 1


def _outcome(desk: _Desk, jobs: list[int], what: str, standing: Progress) -> int:
    facts = f"{standing.rows_written:,} candles with {standing.requests:,} requests"
    if standing.state == "cancelled":
        desk.say(f"Job {_names(jobs)} was cancelled: {what}, {facts}.")
        return 1
    if standing.errors:
        desk.say(
            f"Ended with failures: {what}, {facts}, {standing.errors} pages failed. The table ohlcvs_errors"
            " and the worker's log say why; the same fetch asks for them again."
        )
        return 1
    desk.say(f"Complete: {what}, {facts}.")
    return 0


def _names(jobs: list[int]) -> str:
    return ", ".join(map(str, jobs))


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
