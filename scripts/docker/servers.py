"""Waits for the servers that the settings name. A password that they refuse is not waited for."""

import asyncio
from collections.abc import Awaitable, Callable

from redis.exceptions import AuthenticationError

from app import wiring
from app.settings import Settings
from app.stores import heartbeat
from app.stores.redis_errors import translated
from common.errors import Rejected, Retryable

#: Real seconds that a server may take to come.
LIMIT_S = 30

_ADVICE = "Put the {} into .env that the server was made with."


async def until_database_answers(settings: Settings) -> None:
    """Raise Retryable when PostgreSQL does not answer in LIMIT_S, Rejected at once when it refuses us."""

    async def ask() -> None:
        async with wiring.open_stores(settings, pool_size=1) as stores, stores.db.connection() as connection:
            await connection.execute("SELECT 1")

    try:
        await _until(ask)
    except Rejected as error:
        raise Rejected(f"{error}. {_ADVICE.format('POSTGRES_PASSWORD')}") from error


async def until_redis_answers(settings: Settings) -> None:
    """The same of Redis."""

    async def ask() -> None:
        async with wiring.open_redis(settings) as redis:
            with translated():
                try:
                    await redis.ping()
                except AuthenticationError as error:
                    raise Rejected(
                        f"Redis refuses: {str(error).rstrip('.')}. {_ADVICE.format('REDIS_PASSWORD')}"
                    ) from error

    await _until(ask)


async def forget_beat(settings: Settings) -> None:
    """What an earlier beat said is not true of the one that we are about to start."""
    async with wiring.open_redis(settings) as redis:
        await heartbeat.forget_beat(redis)


async def _until(ask: Callable[[], Awaitable[None]]) -> None:
    loop = asyncio.get_running_loop()
    end_s = loop.time() + LIMIT_S
    while True:
        try:
            return await ask()
        except Retryable:
            if loop.time() > end_s:
                raise
        await asyncio.sleep(1)
