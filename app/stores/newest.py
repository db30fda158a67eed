"""The newest candle of many markets at once, as it was told."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis

from app.messages import CandleMessage, decode
from app.stores.latest import market_field, newest_messages
from app.stores.redis_errors import translated
from common.market import Instrument


async def newest(redis: Redis, markets: Sequence[Instrument]) -> list[CandleMessage | None]:
    """One for each of `markets`, in their order, in one round trip; None where nothing was told of it."""
    fields: defaultdict[str, list[str]] = defaultdict(list)
    for one in markets:
        fields[one.exchange].append(market_field(one))
    pipeline: Any = redis.pipeline(transaction=False)
    for exchange, names in fields.items():
        pipeline.hmget(newest_messages(exchange), names)
    with translated():
        answers = await pipeline.execute() if fields else []
    told: dict[str, bytes | None] = {}
    for names, values in zip(fields.values(), answers, strict=True):
        told |= zip(names, values, strict=True)
    found = [told[market_field(one)] for one in markets]
    return [None if message is None else decode(message) for message in found]
