"""Which processes stream an exchange: each holds a lease in Redis that it renews while it lives."""

from typing import Any

from redis.asyncio import Redis

from app.stores.redis_errors import translated

#: Real seconds that a lease lasts, by Redis's own clock, and between two renewals.
LEASE_S, RENEW_S = 6.0, 2.0

_RENEW = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
return redis.call('ZRANGE', KEYS[1], 0, -1)
"""


class Roster:
    """The processes that stream `exchange`, as one of them, `member`, sees them."""

    def __init__(self, redis: Redis, exchange: str, member: str) -> None:
        self._redis: Any = redis
        self._key = f"candlehouse:streams:{exchange}"
        self._renew = redis.register_script(_RENEW)
        self.member = member

    async def renew(self) -> set[str]:
        """Say that we live; who else does. Raises Retryable where Redis does not answer."""
        with translated():
            found = await self._renew(keys=[self._key], args=[self.member, round(LEASE_S * 1000)])
        return {member.decode() for member in found}

    async def leave(self) -> None:
        """We end; the others need not wait for our lease to run out."""
        with translated():
            await self._redis.zrem(self._key, self.member)
