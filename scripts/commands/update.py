"""`update`: drain closed candles and events from Redis into the database, and post events to webhooks."""

import asyncio
import socket
from typing import Annotated

import typer

from app import wiring
from app.jobs.chronicle import run_chronicle
from app.jobs.update import run_update
from app.jobs.webhooks import run_webhooks
from app.metrics import update as metrics
from app.metrics.exporting import exporting
from app.settings import Settings, load_settings
from app.stores.closed_stream import ClosedStream
from app.stores.events import EventStore, EventStream
from app.stores.webhooks import WebhookStore
from scripts.commands.roles import run_until_stopped


def update(
    log_filename: Annotated[str | None, typer.Option("--log_filename", help="Write the log there.")] = None,
) -> None:
    """Write closed candles from Redis to the database until stopped."""
    settings = load_settings()
    run_until_stopped(settings, _update(settings), log_filename)


async def _update(settings: Settings) -> None:
    redis = wiring.open_redis(settings)
    try:
        async with (
            exporting(settings, redis, "update") as exporter,
            wiring.open_stores(settings, role="update") as stores,
        ):
            host, clock, figures = socket.gethostname(), wiring.clock(settings), metrics.UpdateFigures()
            exporter.show(metrics.FIGURES, figures.tell)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(
                    run_update(
                        ClosedStream(redis, host),
                        stores.candles,
                        stores.symbols,
                        stores.rollups,
                        stores.errors,
                        clock,
                        batch=settings.update_batch,
                        figures=figures,
                    )
                )
                told = EventStream(redis, "database", host)
                tasks.create_task(run_chronicle(told, EventStore(stores.db), clock))
                tasks.create_task(run_webhooks(redis, WebhookStore(stores.db), clock))
    finally:
        await redis.aclose()
