"""How much work waits in Redis, and for how long: closed candles for the database, messages for the workers."""

from collections.abc import Iterable
from typing import Any

import msgspec
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from app.stores.closed_stream import GROUP
from app.stores.latest import CLOSED_CANDLES
from app.stores.redis_errors import translated

#: The header of a message of ours that tells when it was ordered, in real UTC milliseconds.
ORDERED_MS = "ordered_ms"


class _Message(msgspec.Struct):
    headers: dict[str, Any] = {}


_decode = msgspec.json.Decoder(_Message).decode


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


async def oldest_ms(broker: Redis, names: Iterable[str]) -> dict[str, int]:
    """When the oldest message of each queue was ordered; without queues that have none, or one of others."""
    client: Any = broker
    with translated():
        last = {name: await client.lindex(name, -1) for name in names}
    found = {name: _ordered_ms(message) for name, message in last.items() if message}
    return {name: ordered_ms for name, ordered_ms in found.items() if ordered_ms is not None}


async def stream_lengths(redis: Redis, names: Iterable[str]) -> dict[str, int]:
    """Entries of each stream; 0 where there is none."""
    client: Any = redis
    with translated():
        return {name: await client.xlen(name) for name in names}


def _ordered_ms(message: bytes) -> int | None:
    try:
        told = _decode(message).headers.get(ORDERED_MS)
    except msgspec.MsgspecError:
        return None
    return told if isinstance(told, int) else None
