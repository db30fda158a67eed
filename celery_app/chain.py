"""One chain of messages for a piece of work: each slice of it orders the next, and no second chain grows.

A message carries its chain's token. Who starts a chain anew (a person, a starting worker) writes a new token, and
messages of the older chain then end at once. A token is forgotten when its chain shows no life for `QUIET_S`.
"""

import uuid

from redis.asyncio import Redis

QUIET_S = 120


async def begin(redis: Redis, work: str) -> str:
    """A new chain; whatever chain this work had ends."""
    token = uuid.uuid4().hex
    await redis.set(_key(work), token, ex=QUIET_S)
    return token


async def begin_alone(redis: Redis, work: str) -> str | None:
    """A new chain, or None where one lives."""
    token = uuid.uuid4().hex
    return token if await redis.set(_key(work), token, ex=QUIET_S, nx=True) else None


async def begin_instead(redis: Redis, work: str) -> str | None:
    """A new chain in place of the one that this work has, or None where it has none."""
    token = uuid.uuid4().hex
    return token if await redis.set(_key(work), token, ex=QUIET_S, xx=True) else None


async def is_current(redis: Redis, work: str, token: str) -> bool:
    """Whether the chain of `token` may go on; it is adopted where Redis knows of none."""
    await redis.set(_key(work), token, ex=QUIET_S, nx=True)
    if await redis.get(_key(work)) != token.encode():
        return False
    await redis.expire(_key(work), QUIET_S)
    await redis.delete(_waiting(work))
    return True


async def wait(redis: Redis, work: str) -> None:
    """The chain of this work waits for another try, and may be taken the place of meanwhile."""
    await redis.set(_waiting(work), 1, ex=QUIET_S)


async def begin_instead_of_waiting(redis: Redis, work: str) -> str | None:
    """A new chain in place of one that waits for another try, or None where none waits."""
    return await begin(redis, work) if await redis.delete(_waiting(work)) else None


async def end(redis: Redis, work: str) -> None:
    await redis.delete(_key(work), _waiting(work))


def of_job(job_id: int) -> str:
    return f"job:{job_id}"


def of_pass(exchange: str) -> str:
    return f"reconcile:{exchange}"


def of_audit(exchange: str) -> str:
    return f"audit:{exchange}"


def _key(work: str) -> str:
    return f"candlehouse:chain:{work}"


def _waiting(work: str) -> str:
    return f"{_key(work)}:waiting"
