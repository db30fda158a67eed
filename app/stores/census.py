"""Which of our processes run, and where each can be asked for its figures: leases that they renew in Redis."""

from typing import Any

import msgspec
from redis.asyncio import Redis

from app.stores.redis_errors import translated

#: Real seconds that a lease lasts, by Redis's own clock, and between two renewals.
LEASE_S, RENEW_S = 15.0, 5.0

_KEY = "candlehouse:processes"

_RENEW = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
"""
_LIVING = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
return redis.call('ZRANGEBYSCORE', KEYS[1], now, '+inf')
"""


class Member(msgspec.Struct, frozen=True):
    """One process. `name` is for people, such as `stream binance`; no two ever share an `id`.

    `address` is `host:port`, empty where nobody can ask it; `queues` are Celery's, which it takes messages of.
    """

    id: str
    role: str
    name: str
    address: str = ""
    queues: tuple[str, ...] = ()


class Census:
    """As `member` is kept in it."""

    def __init__(self, redis: Redis, member: Member) -> None:
        self._redis: Any = redis
        self._renew = redis.register_script(_RENEW)
        self._entry = msgspec.json.encode(member)

    async def renew(self) -> None:
        """Say that we live. Raises Retryable where Redis does not take it."""
        with translated():
            await self._renew(keys=[_KEY], args=[self._entry, round(LEASE_S * 1000)])

    async def leave(self) -> None:
        """We end; nobody need wait for our lease to run out."""
        with translated():
            await self._redis.zrem(_KEY, self._entry)


async def living(redis: Redis) -> list[Member]:
    """Every process that has renewed its lease, by name. Raises Retryable where Redis does not answer."""
    client: Any = redis
    with translated():
        found = await client.eval(_LIVING, 1, _KEY)
    members = [msgspec.json.decode(entry, type=Member) for entry in found]
    return sorted(members, key=lambda one: (one.name, one.address, one.id))
