"""`stream`: keep an exchange's live candles flowing into Redis."""

import asyncio
import os
import secrets
import socket
from contextlib import suppress
from functools import partial
from typing import Annotated

import typer
from redis.asyncio import Redis

from app import wiring
from app.jobs import instruments
from app.jobs.live import Live
from app.jobs.sharing import Sharing
from app.metrics import requests
from app.metrics import stream as metrics
from app.metrics.exporting import exporting
from app.settings import Settings, load_settings
from app.stores.heartbeat import ring
from app.stores.roster import Roster
from celery_app.orders import order
from common.clock import Clock
from common.errors import BadInput, Retryable
from common.ports import Exchange, Priority
from fetchers import registry
from fetchers.http import HttpClient
from scripts.commands.roles import run_until_stopped

#: In the Clock's time, how often new markets and names are looked for; beat brings them into the database.
LOOK_EVERY_S = 15


def stream(
    exchange: Annotated[str, typer.Option(help="Which exchange: " + registry.choices() + ".")] = "",
    log_filename: Annotated[str | None, typer.Option("--log_filename", help="Write the log there.")] = None,
) -> None:
    """Stream the live candles of what SYMBOLS selects until stopped."""
    settings = load_settings()
    if not exchange:
        known = registry.choices()
        raise BadInput("exchange", f"Say --exchange, one of {known}.", known)
    if reason := registry.why_no_live(exchange.strip().lower()):
        raise BadInput("exchange", reason)
    run_until_stopped(settings, _stream(settings, registry.get(exchange.strip().lower())), log_filename)


async def _stream(settings: Settings, exchange: Exchange) -> None:
    redis, clock = wiring.open_redis(settings), wiring.clock(settings)
    http = wiring.open_http(settings, redis)
    try:
        async with (
            exporting(settings, redis, "stream", exchange.name) as exporter,
            wiring.open_stores(settings, role=f"stream {exchange.name}") as stores,
        ):
            exporter.show(requests.FIGURES, requests.requests_of(http))
            known = await instruments.wait_for_markets(
                exchange,
                get=lambda request: http.get_retrying(exchange, request, attempts=2, priority=Priority.LIVE),
                symbols=stores.symbols,
                clock=clock,
            )
            live, sharing = _shared(settings, exchange, http, redis, clock)
            exporter.show(metrics.FIGURES, live.tell)
            await sharing.join()
            sharing.stream(instruments.streamed(known, settings.symbols))
            with suppress(Retryable):  # without Redis nothing streams either, and the job tells it
                await _heal(redis, exchange.name, clock)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(live.run())
                tasks.create_task(sharing.run())
                tasks.create_task(_follow_listings(sharing, settings, stores, exchange, clock))
    finally:
        await http.close()
        await redis.aclose()


def _shared(
    settings: Settings, exchange: Exchange, http: HttpClient, redis: Redis, clock: Clock
) -> tuple[Live, Sharing]:
    """This process's part of the exchange, and who tells it how large that is."""
    member = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
    live = Live(
        exchange,
        ws_url=settings.ws_url(exchange.name),
        http=http,
        redis=redis,
        clock=clock,
        missed=partial(_heal, redis, exchange.name, clock),
        member=member,
    )
    return live, Sharing(Roster(redis, exchange.name, member), live.carry, exchange.name)


async def _follow_listings(
    sharing: Sharing, settings: Settings, stores: wiring.Stores, exchange: Exchange, clock: Clock
) -> None:
    """Take up what is listed, leave what is delisted, and learn new names, while the stream runs."""
    seen: int | None = None
    while True:
        await clock.sleep(LOOK_EVERY_S)
        try:
            if (version := await stores.symbols.version()) == seen:
                continue
            stored = await stores.symbols.load(exchange.name, trading_only=True)
        except Retryable:
            continue  # the stream goes on without its database
        seen = version
        # None at all is no delisting: the database was emptied, or could not be told of them yet.
        if now := instruments.streamed((one.instrument for one in stored.values()), settings.symbols):
            sharing.stream(now)


async def _heal(redis: Redis, exchange: str, clock: Clock) -> None:
    """Have REST asked at once for what the feed may have missed; the bell is for when no message gets through."""
    await ring(redis, exchange, clock.now_ms())
    await asyncio.to_thread(order, "heal", exchange)
