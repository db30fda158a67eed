"""The stream of closed candles, read by a consumer group that acknowledges what the database holds."""

from collections.abc import Mapping
from typing import Any

import msgspec
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from app.messages import CandleMessage, decode
from app.stores.group_stream import GroupStream
from app.stores.latest import CLOSED_CANDLES
from app.stores.redis_errors import translated
from common.errors import Malformed

GROUP = "update"

Entry = tuple[str, CandleMessage | Malformed]


class ClosedStream(GroupStream[CandleMessage]):
    def __init__(self, redis: Redis, consumer: str) -> None:
        super().__init__(redis, CLOSED_CANDLES, GROUP, consumer, _candle)


async def readers(redis: Redis, within_ms: int) -> list[str]:
    """The consumers that looked for entries in the last `within_ms` of real time."""
    client: Any = redis
    with translated():
        try:
            found = await client.xinfo_consumers(CLOSED_CANDLES, GROUP)
        except ResponseError:  # no stream or no group: nobody reads
            return []
    return [one["name"].decode() for one in found if one["idle"] <= within_ms]


def _candle(fields: Mapping[bytes, bytes]) -> CandleMessage | Malformed:
    try:
        return decode(fields[b"candle"])
    except (KeyError, msgspec.MsgspecError) as error:
        return Malformed("closed candle entry", f"{fields!r:.200}: {error}")
