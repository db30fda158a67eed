"""How much work waits in Redis: closed candles for the database, and Celery's messages for the workers."""

from collections.abc import Iterable
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from app.stores.closed_stream import GROUP
from app.stores.latest import CLOSED_CANDLES
from app.stores.redis_errors import translated


async def closed_candles(redis: Redis) -> int:
    """Those that the database does not hold yet: given to the updater and not acknowledged, and not yet given."""
    client: Any = redis
    with translated():
        try:
            groups = {one["name"]: one for one in await client.xinfo_groups(CLOSED_CANDLES)}
        except ResponseError:  # no stream yet
            return 0
        length: int = await client.xlen(CLOSED_CANDLES)
    ours = groups.get(GROUP.encode())
    if ours is None or ours["lag"] is None:  # nobody reads yet, or Redis cannot tell: at most what is there
        return length
    return int(ours["pending"] + ours["lag"])


async def queue_lengths(broker: Redis, names: Iterable[str]) -> dict[str, int]:
    """Messages that no worker has taken yet."""
    client: Any = broker
    with translated():
        return {name: await client.llen(name) for name in names}
