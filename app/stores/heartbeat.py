"""What a live job says about itself, and the bell it rings for minutes that it may have missed."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from redis.asyncio import Redis

from app.stores.redis_errors import translated
from common.span import Span

#: Real seconds until a job that says nothing any more is forgotten.
TTL_S = 120
#: Holes that nobody has looked at yet; more would tell reconciling nothing new.
MOST_HEALS = 1000


class Heartbeat:
    """The hash `candlehouse:stream:{exchange}` and the list `candlehouse:heals:{exchange}`."""

    def __init__(self, redis: Redis, exchange: str) -> None:
        self._redis: Any = redis
        self._exchange = exchange

    async def tell(self, fields: Mapping[str, str | int], holes: Sequence[Span] = ()) -> None:
        """Both or neither."""
        key, heals = f"candlehouse:stream:{self._exchange}", f"candlehouse:heals:{self._exchange}"
        with translated():
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.hset(key, mapping=dict(fields))
                pipe.expire(key, TTL_S)
                for hole in holes:
                    pipe.rpush(heals, msgspec.json.encode({"exchange": self._exchange, **hole._asdict()}))
                pipe.ltrim(heals, -MOST_HEALS, -1)
                await pipe.execute()
