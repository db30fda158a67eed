"""When the workers of an exchange last took a message: proof that they work, not only that they live."""

from redis.asyncio import Redis

from app.stores.redis_errors import translated

#: In the Clock's time: beat has a pulse sent so often, and one older than this is none any more. Work is in slices
#: of seconds, but a request can wait for minutes for its turn.
EVERY_S, SILENT_MS = 60, 15 * 60_000


async def beat(redis: Redis, exchange: str, now_ms: int) -> None:
    with translated():
        await redis.set(_key(exchange), now_ms)


async def last_ms(redis: Redis, exchange: str) -> int | None:
    """None where no worker has ever said anything in this Redis."""
    with translated():
        found = await redis.get(_key(exchange))
    return int(found) if found else None


def trouble(exchange: str, pulse_ms: int | None, now_ms: int) -> str:
    """One sentence where the exchange's workers take no messages; empty where they do, or nobody knows."""
    if pulse_ms is None or now_ms - pulse_ms <= SILENT_MS:
        return ""
    minutes = (now_ms - pulse_ms) // 60_000
    return (
        f"No worker of {exchange} has taken a message for {minutes} minutes: it hangs, or beat does not run."
        " Start both again; their logs tell more."
    )


def _key(exchange: str) -> str:
    return f"candlehouse:pulse:{exchange}"
