"""Reading what the streams write: every update with its place, and the newest candle of a market."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import structlog
from redis.asyncio import Redis

from app.messages import CandleMessage, decode
from app.stores.latest import EPOCH, live_stream, newest_key
from app.stores.redis_errors import translated
from common.market import Instrument, Source

log = structlog.get_logger(__name__)

#: Entries of one stream in one answer.
MOST = 2000
_START = "0-0"
_PRICES = (b"open", b"high", b"low", b"close", b"volume")


class LiveFeed:
    """A place is `{epoch}:{entry id}`; the epoch changes when Redis was emptied: then every stream starts anew."""

    def __init__(self, redis: Redis) -> None:
        self._redis: Any = redis

    async def read(
        self, cursors: Mapping[str, str], block_ms: int | None = None
    ) -> list[tuple[str, str, CandleMessage]]:
        """What stands behind each exchange's cursor, a place or a bare entry id: (exchange, place, candle).

        Waits up to `block_ms` for something to come.
        """
        with translated():
            epoch = await self._epoch()
            streams = {live_stream(exchange): _entry(place, epoch) for exchange, place in cursors.items()}
            answer = await self._redis.xread(streams, count=MOST, block=block_ms)
            if answer and not epoch:  # the first candle of an empty Redis came while we waited
                epoch = await self._epoch()
        exchanges = {live_stream(exchange).encode(): exchange for exchange in cursors}
        return [
            (exchanges[stream], f"{epoch}:{entry.decode()}", candle)
            for stream, entries in answer
            for entry, fields in entries
            if (candle := _candle(fields)) is not None
        ]

    async def tail_id(self, exchange: str) -> str:
        """The place of the newest entry; reading from there gives only what comes later."""
        with translated():
            epoch = await self._epoch()
            newest = await self._redis.xrevrange(live_stream(exchange), count=1)
        return f"{epoch}:{newest[0][0].decode() if newest else _START}"

    async def latest(
        self, exchange: str, base: str, quote: str, market_type: str = "spot"
    ) -> CandleMessage | None:
        """The newest candle as the market's hash holds it, under either spelling; `received` is not known (0)."""
        with translated():
            found = await self._redis.hgetall(newest_key(exchange, base, quote, market_type))
        return _newest(found, (exchange, market_type, base, quote))

    async def latest_of(self, markets: Sequence[Instrument]) -> list[CandleMessage | None]:
        """The same of many markets in one exchange of messages."""
        names = [(one.exchange, one.market_type, one.base, one.quote) for one in markets]
        pipeline = self._redis.pipeline(transaction=False)
        for exchange, market_type, base, quote in names:
            pipeline.hgetall(newest_key(exchange, base, quote, market_type))
        with translated():
            return [_newest(found, name) for found, name in zip(await pipeline.execute(), names, strict=True)]

    async def _epoch(self) -> str:
        epoch = await self._redis.get(EPOCH)
        return str(epoch, "ascii") if epoch else ""


def _newest(found: Mapping[bytes, bytes], name: tuple[str, str, str, str]) -> CandleMessage | None:
    if not found:
        return None
    candle: list[Any] = [int(found[b"time"]), *(float(found[key]) for key in _PRICES), None, None]
    return CandleMessage(*[*name, *candle, int(Source.RUNNING), 0])


def _candle(fields: Mapping[bytes, bytes]) -> CandleMessage | None:
    try:
        return decode(fields[b"candle"])
    except (KeyError, msgspec.MsgspecError) as error:
        log.warning("An entry of a live stream is no candle", entry=repr(fields)[:200], reason=str(error))
        return None


def _entry(place: str, epoch: str) -> str:
    of, _, entry = place.rpartition(":")
    return _START if of and of != epoch else entry
