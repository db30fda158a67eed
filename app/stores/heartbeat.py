"""What a live job says of itself, the bell it rings when its feed may have missed something; beat's first word."""

from collections.abc import Mapping
from typing import Any

from redis.asyncio import Redis

from app.stores.redis_errors import translated

#: Real seconds until a job that says nothing any more is forgotten.
TTL_S = 120
#: An exchange whose newest candle began longer ago than this, in the Clock's time, is not live.
FRESH_MS = 180_000

_BEAT = "candlehouse:beat"


async def tell(redis: Redis, exchange: str, fields: Mapping[str, str | int]) -> None:
    """How the exchange's stream is, as the hash `candlehouse:stream:{exchange}`."""
    client: Any = redis
    with translated():
        async with client.pipeline(transaction=True) as pipe:
            pipe.hset(_stream(exchange), mapping=dict(fields))
            pipe.expire(_stream(exchange), TTL_S)
            await pipe.execute()


async def told(redis: Redis, exchange: str) -> dict[str, str]:
    """What `tell` was last given; empty when that is too long ago."""
    client: Any = redis
    with translated():
        found = await client.hgetall(_stream(exchange))
    return {name.decode(): value.decode() for name, value in found.items()}


async def ring(redis: Redis, exchange: str) -> None:
    """A feed begins anew: reconciling is to look soon at what it missed, which the coverage knows."""
    with translated():
        await redis.set(_bell(exchange), 1)


async def rung(redis: Redis, exchange: str) -> bool:
    """Whether the bell rang since the last look."""
    with translated():
        return bool(await redis.getdel(_bell(exchange)))


async def tell_beat(redis: Redis, now_ms: int) -> None:
    """Beat has begun, and orders from now on."""
    with translated():
        await redis.set(_BEAT, now_ms)


async def beat_began(redis: Redis) -> bool:
    """Whether a beat began since the last `forget_beat`."""
    with translated():
        return bool(await redis.exists(_BEAT))


async def forget_beat(redis: Redis) -> None:
    with translated():
        await redis.delete(_BEAT)


def _stream(exchange: str) -> str:
    return f"candlehouse:stream:{exchange}"


def _bell(exchange: str) -> str:
    return f"candlehouse:heal:{exchange}"
