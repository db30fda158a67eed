"""The Redis contract: names and bytes that other programs rely on."""

import asyncio
from dataclasses import replace as replace_market

import pytest
import redis.asyncio
from msgspec.structs import replace

from app.messages import decode, encode
from app.stores.latest import LiveSink
from app.stores.live_feed import LiveFeed
from common.clock import Clock
from common.errors import Retryable
from common.market import Instrument
from common.span import MINUTE_MS
from tests.fixtures.live import BTC, T0, UST, eventually, impatient_redis, message

CLOSED = 2
PERP = Instrument("binance", "BTC", "USDT", "BTCUSDT", "BTC", "USDT", market_type="perp")
SHIB = Instrument("binance", "SHIB", "BTC", "SHIBBTC", "SHIB", "BTC")


def stored(one: object) -> dict[bytes, bytes]:
    fields = ("time", "open", "high", "low", "close", "volume")
    return {name.encode(): repr(getattr(one, name)).encode() for name in fields}


async def test_the_newest_candle_stands_in_two_hashes(redis_client: redis.asyncio.Redis) -> None:
    await LiveSink(redis_client, Clock(), [BTC]).write([message(0, 3)])
    expected = {
        b"time": b"1715776440000",
        b"open": b"1",
        b"high": b"2",
        b"low": b"0.5",
        b"close": b"1.5",
        b"volume": b"3",
    }
    assert await redis_client.hgetall("ws_send_binance;;BTC;;USDT") == expected
    assert await redis_client.hgetall("ws_serve_binance;;BTC;;USDT") == expected


async def test_prices_reach_redis_to_the_last_bit(redis_client: redis.asyncio.Redis) -> None:
    """W2: 0.00001234 became 0.0000."""
    tiny = replace(
        message(instrument=SHIB), open=0.00001234, low=5e-324, close=0.1 + 0.2, volume=123456789.123456789
    )
    await LiveSink(redis_client, Clock(), [SHIB]).write([tiny])
    found = await redis_client.hgetall("ws_send_binance;;SHIB;;BTC")
    assert {name: float(value) for name, value in found.items()} == {
        name: float(value) for name, value in stored(tiny).items()
    }


async def test_the_exchanges_own_spelling_is_an_alias(redis_client: redis.asyncio.Redis) -> None:
    sink = LiveSink(redis_client, Clock(), [UST])
    await sink.write([message(0, 3, instrument=UST)])
    keys = set(await redis_client.keys("ws_*"))
    assert keys == {
        b"ws_send_bitfinex;;BTC;;USDT",
        b"ws_serve_bitfinex;;BTC;;USDT",
        b"ws_send_bitfinex;;BTC;;UST",
        b"ws_serve_bitfinex;;BTC;;UST",
    }
    values = [await redis_client.hgetall(key) for key in keys]
    assert values == [stored(message(0, 3, instrument=UST))] * 4


async def test_a_writer_that_knows_no_markets_keeps_the_alias_in_step(redis_client: redis.asyncio.Redis) -> None:
    """A correction from another process concerns every name of its market."""
    await LiveSink(redis_client, Clock(), [UST]).write([message(0, 3, instrument=UST)])
    fixed = message(0, 4, CLOSED, UST, corrected=True)
    await LiveSink(redis_client, Clock()).write([fixed])
    assert await redis_client.hgetall("ws_serve_bitfinex;;BTC;;UST") == stored(fixed)


async def test_a_former_name_is_an_alias_and_a_channel_until_another_market_bears_it(
    redis_client: redis.asyncio.Redis,
) -> None:
    usdt = replace_market(UST, former=(replace_market(UST, base="XBT", quote="USD"),))
    sink = LiveSink(redis_client, Clock(), [])
    sink.know([usdt])
    async with redis_client.pubsub() as channel:
        await channel.subscribe("ws_send_bitfinex;;XBT;;USD")
        await channel.get_message(timeout=5)
        await sink.write([message(0, 3, instrument=usdt)])
        heard = await channel.get_message(ignore_subscribe_messages=True, timeout=5)
    assert heard and heard["data"] == encode(message(0, 3, instrument=usdt))
    fixed = message(0, 4, CLOSED, usdt, corrected=True)
    await LiveSink(redis_client, Clock()).write([fixed])
    assert await redis_client.hgetall("ws_send_bitfinex;;XBT;;USD") == stored(fixed)
    assert await redis_client.hgetall("ws_send_bitfinex;;BTC;;UST") == stored(fixed)
    other = Instrument("bitfinex", "XBT", "USD", "XBTUSD", "XBT", "USD")
    sink.know([replace_market(usdt, native_base="BTC", native_quote="USDT"), other])
    await sink.write([message(1, 5, instrument=other)])
    await LiveSink(redis_client, Clock()).write([message(2, 6, CLOSED, usdt)])
    assert await redis_client.hgetall("ws_send_bitfinex;;XBT;;USD") == stored(message(1, 5, instrument=other))


async def test_an_alias_never_takes_another_markets_name(redis_client: redis.asyncio.Redis) -> None:
    terra = Instrument("bitfinex", "BTC", "UST", "BTCTERRA", "BTC", "TERRA")
    await LiveSink(redis_client, Clock(), [UST, terra]).write(
        [message(0, 3, instrument=terra), message(1, 4, instrument=UST)]
    )
    assert await redis_client.hgetall("ws_send_bitfinex;;BTC;;UST") == stored(message(0, 3, instrument=terra))


async def test_another_market_type_has_keys_of_its_own(redis_client: redis.asyncio.Redis) -> None:
    await LiveSink(redis_client, Clock(), [PERP]).write([message(0, 3, instrument=PERP)])
    assert set(await redis_client.keys("ws_*")) == {
        b"ws_send_binance.perp;;BTC;;USDT",
        b"ws_serve_binance.perp;;BTC;;USDT",
    }


async def test_the_newest_candle_never_moves_back(redis_client: redis.asyncio.Redis) -> None:
    """Whoever writes: Bitfinex repeats the candle before, and corrections of old minutes come from elsewhere."""
    one, other = LiveSink(redis_client, Clock(), [BTC]), LiveSink(redis_client, Clock())
    await one.write([message(1, 5), message(0, 9)])
    await other.write([message(0, 99, 3, corrected=True)])
    assert await redis_client.hgetall("ws_send_binance;;BTC;;USDT") == stored(message(1, 5))
    await other.write([message(1, 6, 3)])
    assert await redis_client.hgetall("ws_send_binance;;BTC;;USDT") == stored(message(1, 6))


async def test_a_stream_that_lost_a_market_takes_nothing_back_of_its_minute(
    redis_client: redis.asyncio.Redis,
) -> None:
    sink = LiveSink(redis_client, Clock(), [BTC])
    for later, newest in (
        (message(0, 5.4), 5.4),
        (message(0, 17.1, 1), 17.1),
        (message(0, 5.4), 17.1),
        (message(0, 5.4, 1), 17.1),
        (message(0, 16.0, 3), 16.0),
    ):
        await sink.write([later])
        assert await redis_client.hgetall("ws_send_binance;;BTC;;USDT") == stored(message(0, newest)), later


async def test_every_update_is_published_and_told_in_order(redis_client: redis.asyncio.Redis) -> None:
    updates = [message(1, 5), message(0, 9, CLOSED), message(0, 10, CLOSED, corrected=True)]
    async with redis_client.pubsub() as channel:
        await channel.subscribe("ws_send_binance;;BTC;;USDT")
        await channel.get_message(timeout=5)
        await LiveSink(redis_client, Clock(), [BTC]).write(updates)
        heard = [await channel.get_message(ignore_subscribe_messages=True, timeout=5) for _ in updates]
    told = [fields for _, fields in await redis_client.xrange("live_binance")]
    closed = [fields for _, fields in await redis_client.xrange("closed_candles")]
    assert [one["data"] for one in heard if one] == [encode(one) for one in updates]
    assert told == [{b"candle": encode(one)} for one in updates]
    assert closed == told[1:]


async def test_a_message_is_the_documented_json(redis_client: redis.asyncio.Redis) -> None:
    await LiveSink(redis_client, Clock(), [BTC]).write([message(0, 3, CLOSED)])
    ((_, fields),) = await redis_client.xrange("closed_candles")
    assert fields[b"candle"] == (
        b'{"exchange":"binance","market_type":"spot","base":"BTC","quote":"USDT","time":1715776440000,'
        b'"open":1,"high":2,"low":0.5,"close":1.5,"volume":3,"quote_volume":4.5,"trades":7,"source":2,'
        b'"received":1715776440000,"corrected":false,"native":"BTCUSDT"}'
    )
    assert decode(fields[b"candle"]) == message(0, 3, CLOSED)


async def test_exchanges_have_streams_of_their_own(redis_client: redis.asyncio.Redis) -> None:
    sink = LiveSink(redis_client, Clock(), [BTC, UST])
    await sink.write([message(0, 1), message(0, 2, instrument=UST), message(0, 3)])
    lengths = [await redis_client.xlen(f"live_{name}") for name in ("binance", "bitfinex")]
    assert lengths == [2, 1]


async def test_the_live_stream_keeps_about_ten_minutes(redis_client: redis.asyncio.Redis) -> None:
    seconds, _ = await redis_client.time()
    for age_s in (*range(900, 600, -1), *range(590, 0, -10)):
        await redis_client.xadd("live_binance", {"candle": encode(message())}, id=f"{(seconds - age_s) * 1000}-0")
    await LiveSink(redis_client, Clock(), [BTC]).write([message(0, 1)])
    ages = [seconds - int(entry.split(b"-")[0]) // 1000 for entry, _ in await redis_client.xrange("live_binance")]
    assert 590 in ages
    assert max(ages) <= 700, "Redis drops whole blocks of a hundred entries"


async def test_without_redis_a_write_says_so() -> None:
    with pytest.raises(Retryable, match="Redis does not serve"):
        await LiveSink(impatient_redis("redis://127.0.0.1:1/0"), Clock(), [BTC]).write([message()])


async def test_a_writer_can_be_stopped_at_any_moment(redis_client: redis.asyncio.Redis) -> None:
    """A cancellation that redis-py swallows would leave a job running that nobody can stop."""
    sink = LiveSink(redis_client, Clock(), [BTC])

    async def write() -> None:
        while True:
            await sink.write([message()])

    for turns in range(150):
        writing = asyncio.ensure_future(write())
        for _ in range(turns):
            await asyncio.sleep(0)
        writing.cancel()
        _, running = await asyncio.wait({writing}, timeout=5)
        assert not running


async def test_a_reader_gets_what_stands_behind_its_cursor(redis_client: redis.asyncio.Redis) -> None:
    sink, feed = LiveSink(redis_client, Clock(), [BTC, UST]), LiveFeed(redis_client)
    await sink.write([message(0, 1)])
    cursors = {name: await feed.tail_id(name) for name in ("binance", "bitfinex")}
    assert await feed.read(cursors) == []
    await sink.write([message(0, 2), message(0, 3, instrument=UST), message(1, 4)])
    told = await feed.read(cursors, block_ms=1000)
    assert [(exchange, one) for exchange, _, one in told] == [
        ("binance", message(0, 2)),
        ("binance", message(1, 4)),
        ("bitfinex", message(0, 3, instrument=UST)),
    ]
    after = await feed.read({"binance": told[0][1]})
    assert after == told[1:2]


async def test_a_reader_waits_for_what_comes(redis_client: redis.asyncio.Redis) -> None:
    feed = LiveFeed(redis_client)
    reading = asyncio.ensure_future(feed.read({"binance": await feed.tail_id("binance")}, block_ms=4000))
    await eventually(lambda: somebody_waits(redis_client))
    await LiveSink(redis_client, Clock(), [BTC]).write([message(0, 2)])
    ((exchange, place, one),) = await reading
    assert (exchange, one) == ("binance", message(0, 2))
    assert place.startswith((await redis_client.get("candlehouse:epoch")).decode() + ":")


async def somebody_waits(client: redis.asyncio.Redis) -> bool:
    return bool((await client.info("clients"))["blocked_clients"])


async def test_the_epoch_changes_when_redis_was_emptied_and_then_a_reader_starts_anew(
    redis_client: redis.asyncio.Redis,
) -> None:
    sink, feed = LiveSink(redis_client, Clock(), [BTC]), LiveFeed(redis_client)
    await sink.write([message(0, 1)])
    place = await feed.tail_id("binance")
    await redis_client.flushdb()
    await redis_client.xadd("live_binance", {"candle": encode(message(0, 2))}, id="5-0")
    await sink.write([message(0, 3)])
    told = await feed.read({"binance": place})
    assert [one.volume for _, _, one in told] == [2, 3]
    assert {new.partition(":")[0] for _, new, _ in told}.isdisjoint({place.partition(":")[0]})
    assert await redis_client.hgetall("candlehouse:aliases") == {}


async def test_aliases_are_known_again_after_redis_was_emptied(redis_client: redis.asyncio.Redis) -> None:
    sink = LiveSink(redis_client, Clock(), [UST])
    for _ in range(2):
        await redis_client.flushdb()
        await sink.write([message(0, 1, instrument=UST)])
        assert await redis_client.hgetall("candlehouse:aliases") == {b"bitfinex;;BTC;;USDT": b"bitfinex;;BTC;;UST"}


async def test_the_newest_candle_is_read_under_either_spelling(redis_client: redis.asyncio.Redis) -> None:
    await LiveSink(redis_client, Clock(), [UST]).write([message(1, 3, CLOSED, UST)])
    feed = LiveFeed(redis_client)
    for quote in ("USDT", "UST"):
        found = await feed.latest("bitfinex", "BTC", quote)
        assert found
        assert (found.time, found.open, found.volume, found.quote) == (T0 + MINUTE_MS, 1.0, 3.0, quote)
    assert await feed.latest("bitfinex", "ETH", "USDT") is None


async def test_an_entry_that_is_no_candle_is_passed_over(redis_client: redis.asyncio.Redis) -> None:
    await redis_client.xadd("live_binance", {"candle": "{"})
    await LiveSink(redis_client, Clock(), [BTC]).write([message(0, 1)])
    told = await LiveFeed(redis_client).read({"binance": "0-0"})
    assert [one for _, _, one in told] == [message(0, 1)]
