"""Closed candles wait in Redis until the database has them, and not longer."""

import redis.asyncio

from app.messages import CandleMessage
from app.stores.closed_stream import ClosedStream, Entry
from app.stores.latest import LiveSink
from common.clock import Clock
from common.errors import Malformed
from tests.fixtures.live import BTC, message


def closed(count: int, start: int = 0) -> list[CandleMessage]:
    return [message(minute, 1, 2) for minute in range(start, start + count)]


def candles(entries: list[Entry]) -> list[CandleMessage | Malformed]:
    return [one for _, one in entries]


async def left(client: redis.asyncio.Redis) -> int:
    return int(await client.xlen("closed_candles"))


async def filled(client: redis.asyncio.Redis, count: int) -> ClosedStream:
    await LiveSink(client, Clock(), [BTC]).write(closed(count))
    stream = ClosedStream(client, "one")
    await stream.ensure_group()
    return stream


async def test_a_group_begins_with_what_was_closed_before_it_was_there(redis_client: redis.asyncio.Redis) -> None:
    stream = await filled(redis_client, 3)
    await stream.ensure_group()
    assert candles(await stream.read(10, 1000)) == closed(3)
    assert await stream.read(10, 0) == []


async def test_what_was_not_acknowledged_is_found_again(redis_client: redis.asyncio.Redis) -> None:
    """W6: `ws_sub_processing` was never read again."""
    stream = await filled(redis_client, 3)
    taken = await stream.read(2, 1000)
    again = ClosedStream(redis_client, "one")
    assert await again.pending(10) == taken
    assert await again.pending(10, after=taken[0][0]) == taken[1:]


async def test_what_another_consumer_left_is_claimed(redis_client: redis.asyncio.Redis) -> None:
    stream = await filled(redis_client, 2)
    taken = await stream.read(2, 1000)
    other = ClosedStream(redis_client, "other")
    assert await other.claim_stale(60_000) == []
    assert await other.claim_stale(0) == taken
    assert await stream.pending(10) == []


async def test_the_stream_is_trimmed_only_below_what_is_acknowledged(redis_client: redis.asyncio.Redis) -> None:
    """W27: memory is given back, and nothing is lost for it."""
    stream = await filled(redis_client, 6)
    taken = await stream.read(4, 1000)
    ids = [entry_id for entry_id, _ in taken]
    await stream.ack(ids[2:])
    assert await left(redis_client) == 6, "two older ones are not done"
    await stream.ack(ids[:2])
    assert await left(redis_client) == 3, "the last done one, and two that nobody was given"
    assert candles(await stream.read(10, 0)) == closed(2, start=4)


async def test_another_group_keeps_what_it_has_not_seen(redis_client: redis.asyncio.Redis) -> None:
    stream = await filled(redis_client, 4)
    await redis_client.xgroup_create("closed_candles", "later", id="0")
    await stream.ack([entry_id for entry_id, _ in await stream.read(10, 1000)])
    assert await left(redis_client) == 4
    await redis_client.xreadgroup("later", "x", {"closed_candles": ">"}, count=3, noack=True)
    await stream.ack(["0-1"])
    assert await left(redis_client) == 2


async def test_more_than_a_thousand_are_acknowledged_at_once(redis_client: redis.asyncio.Redis) -> None:
    stream = await filled(redis_client, 2500)
    await stream.ack([entry_id for entry_id, _ in await stream.read(5000, 1000)])
    assert (await redis_client.xpending("closed_candles", "update"))["pending"] == 0
    assert await left(redis_client) == 1


async def test_an_emptied_redis_has_its_group_again(redis_client: redis.asyncio.Redis) -> None:
    stream = await filled(redis_client, 2)
    ids = [entry_id for entry_id, _ in await stream.read(10, 1000)]
    await redis_client.flushdb()
    await stream.ack(ids)
    assert await stream.claim_stale(0) == []
    assert await stream.read(10, 0) == []
    await LiveSink(redis_client, Clock(), [BTC]).write(closed(1))
    assert candles(await stream.read(10, 1000)) == closed(1)


async def test_an_entry_that_is_no_candle_comes_as_malformed(redis_client: redis.asyncio.Redis) -> None:
    stream = await filled(redis_client, 1)
    await redis_client.xadd("closed_candles", {"candle": '{"exchange":1}'})
    await redis_client.xadd("closed_candles", {"other": "x"})
    first, *others = candles(await stream.read(10, 1000))
    assert first == message(0, 1, 2)
    assert [type(one) for one in others] == [Malformed, Malformed]
