"""`update`: drain the closed candles from Redis into the database."""

import socket
from typing import Annotated

import typer

from app import wiring
from app.jobs.update import run_update
from app.settings import Settings, load_settings
from app.stores.closed_stream import ClosedStream
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
        async with wiring.open_stores(settings, role="update") as stores:
            await run_update(
                ClosedStream(redis, socket.gethostname()),
                stores.candles,
                stores.symbols,
                stores.rollups,
                stores.errors,
                wiring.clock(settings),
                batch=settings.update_batch,
            )
    finally:
        await redis.aclose()
