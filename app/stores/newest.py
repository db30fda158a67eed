"""The newest candle of many markets at once, as it was told."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis

from app.messages import CandleMessage, decode
from app.stores.latest import name_of, newest_messages
from app.stores.redis_errors import translated
from common.market import Instrument


async def newest(redis: Redis, markets: Sequence[Instrument]) -> list[CandleMessage | None]:
    """One for each of `markets`, in their order, in one round trip; None where nothing was told of it.

    Another market may have borne its name before: what was told of that one is not this one's.
    """
    fields: defaultdict[str, list[str]] = defaultdict(list)
    for one in markets:
        fields[one.exchange].append(name_of(one))
    pipeline: Any = redis.pipeline(transaction=False)
    for exchange, names in fields.items():
        pipeline.hmget(newest_messages(exchange), names)
    with translated():
        answers = await pipeline.execute() if fields else []
    told: dict[str, bytes | None] = {}
    for names, values in zip(fields.values(), answers, strict=True):
        told |= zip(names, values, strict=True)
    return [_own(one, told[name_of(one)]) for one in markets]


def _own(market: Instrument, told: bytes | None) -> CandleMessage | None:
    message = None if told is None else decode(told)
    return message if message is None or message.native in ("", market.native) else None
