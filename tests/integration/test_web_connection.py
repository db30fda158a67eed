"""WebSocket /api/ohlcvs: how a connection wants to be told, and what it may cost."""

import asyncio
import itertools
import json
import socket as sockets
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from app.stores.database import Database
from app.stores.latest import LiveSink
from common.clock import Clock
from common.market import Instrument
from common.span import MINUTE_MS
from tests.fixtures.live_web import LIMIT_S, MINUTE, Live, bar, hear_json, narrow, say, text_of, web_with_stream
from tests.fixtures.web import BTC, store
from web.live import conversation, endpoint, limits

BTC_1M = "binance:BTC:USDT@1m"
#: More than the system and uvicorn keep for a socket.
MOST_BARS = 30_000
#: The system's number for a connection that the other side has cut off.
TCP_CLOSE = 7
SUBSCRIBE = {"event_type": "subscribe", "streams": [BTC_1M]}
OLD = {"data_type": "ohlcv", "exchange": "binance", "base_id": "BTC", "quote_id": "USDT", "interval": "1m"}


@pytest.fixture
async def live(database: Database, redis_client: Redis) -> AsyncIterator[Live]:
    async with web_with_stream(database, redis_client) as web:
        yield web


async def ask(socket: ClientConnection, **message: Any) -> Any:
    await say(socket, message)
    return await hear_json(socket)


async def closing(socket: ClientConnection) -> tuple[int, str]:
    """How the server ends it."""
    async with asyncio.timeout(LIMIT_S):
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                await socket.recv()
    assert closed.value.rcvd is not None
    return closed.value.rcvd.code, closed.value.rcvd.reason


async def test_a_batch_holds_many_candles_and_only_who_asked_gets_it(live: Live, database: Database) -> None:
    markets = [Instrument("binance", f"C{n}", "USDT", f"C{n}USDT", f"C{n}", "USDT") for n in range(20)]
    for market in markets:
        await store(database, market, [])
    sink = LiveSink(live.sink._redis, Clock(), markets)
    async with live.client() as batching, live.client() as plain, live.client() as old:
        configured = await ask(batching, event_type="configure", id=1, batch=True)
        options = {"batch": True, "max_rate": None, "heartbeat_s": 0, "encoding": "json"}
        assert configured == {"event": "configured", "id": 1, **options}
        for socket in (batching, plain):
            await ask(socket, event_type="subscribe", streams=["binance:C*:USDT@1m"])
            assert (await ask(socket, event_type="ping"))["event"] == "pong"
        await say(old, {"event_type": "subscribe", **OLD, "base_id": "C7", "mls": True})
        await say(old, {"event_type": "?"})
        await hear_json(old)
        await sink.write([live.message(bar(MINUTE, n), 0, False, market) for n, market in enumerate(markets)])
        batch = await hear_json(batching)
        assert (batch["event"], list(batch)) == ("batch", ["event", "candles"])
        assert batch["candles"] == [await hear_json(plain) for _ in markets]
        assert [one["close"] for one in batch["candles"]] == list(range(20))
        assert await old.recv() == text_of(bar(MINUTE, 7))


async def test_max_rate_gives_the_newest_state_of_each_bar_so_often(live: Live) -> None:
    async with live.client() as calm, live.client() as prompt:
        await ask(calm, event_type="configure", max_rate=2)
        for socket in (calm, prompt):
            await ask(socket, **SUBSCRIBE)
        for n in range(1, 41):
            await live.stream(bar(MINUTE, 100 + n))
            while (await hear_json(prompt))["close"] != 100 + n:
                pass
        told = []
        while not told or told[-1] != 140:
            told.append((await hear_json(calm))["close"])
    assert len(told) < 40
    assert told == sorted(set(told))


async def test_msgpack_carries_the_same_both_ways(live: Live) -> None:
    async with live.client() as packed, live.client() as text:
        await say(packed, {"event_type": "configure", "encoding": "msgpack", "batch": True})
        configured = msgspec.msgpack.decode(await packed.recv())
        assert (configured["event"], configured["encoding"]) == ("configured", "msgpack")
        await packed.send(msgspec.msgpack.encode({**SUBSCRIBE, "id": 9}))
        assert msgspec.msgpack.decode(await packed.recv()) == {
            "event": "subscribed",
            "id": 9,
            "streams": [BTC_1M],
        }
        await ask(text, **SUBSCRIBE)
        for socket in (packed, text):
            await say(socket, {"event_type": "ping"})
            await socket.recv()
        await live.stream(bar(MINUTE, 0.1))
        assert msgspec.msgpack.decode(await packed.recv()) == {
            "event": "batch",
            "candles": [await hear_json(text)],
        }
        await packed.send(b"\\xc1")
        refused = msgspec.msgpack.decode(await packed.recv())
        assert (refused["event"], refused["allowed"]) == ("error", "msgpack")


async def test_heartbeats_come_to_who_asked_and_carry_a_seq_to_go_on_from(live: Live) -> None:
    async with live.client() as socket:
        await ask(socket, **SUBSCRIBE)
        await live.stream(bar(MINUTE, 101))
        told = await hear_json(socket)
        await ask(socket, event_type="configure", heartbeat_s=1)
        beat = await hear_json(socket)
        assert (beat["event"], beat["at"], "time" in beat) == ("heartbeat", live.clock.now_ms(), False)
        assert beat["seq"]["binance"].rpartition("-")[0] == told["seq"].rpartition("-")[0]
    async with live.client() as socket:
        await ask(socket, **SUBSCRIBE, resume_from=beat["seq"])
        await live.stream(bar(MINUTE, 102))
        assert (await hear_json(socket))["close"] == 102


async def test_what_no_limit_allows_is_refused_in_a_sentence(live: Live) -> None:
    async with live.client() as socket:
        for changes, sentence in [
            ({"max_rate": 51}, "max_rate must be 0.1 to 50.0, not 51.0."),
            ({"heartbeat_s": 301}, "heartbeat_s must be 1 to 300, not 301."),
            ({"encoding": "xml"}, "encoding: invalid enum value 'xml'."),
            ({"batch": "yes"}, "batch: expected bool | null, got str."),
        ]:
            refused = await ask(socket, event_type="configure", **changes)
            assert (refused["event"], refused["detail"]) == ("error", sentence)
        assert (await ask(socket, event_type="configure"))["max_rate"] is None


async def test_a_slow_client_is_conflated_then_closed_and_others_are_not_delayed(
    live: Live, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.live.client.MOST_WAITING_BYTES", 100 * limits.CANDLE_BYTES)
    async with live.client() as quick, narrow(live.address) as slow:
        for socket in (quick, slow):
            await ask(socket, **SUBSCRIBE)
        slow.transport.pause_reading()
        for start in range(0, MOST_BARS, 1000):  # until all buffers are full, and then some
            bars = [bar(MINUTE + number * MINUTE_MS, 7) for number in range(start, start + 1000)]
            await live.stream(*bars, source=2)
            while (await hear_json(quick))["time"] != bars[-1].open_ms:
                pass
        await asyncio.sleep(1.5)  # it is looked at every second
        slow.transport.resume_reading()
        assert await closing(slow) == (1008, limits.TOO_SLOW)


async def test_a_client_that_says_too_much_is_closed_with_the_reason(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation, "Rate", lambda: limits.Rate(most=5))
    async with live.client() as socket:
        for _ in range(5):
            assert (await ask(socket, event_type="ping"))["event"] == "pong"
        await say(socket, {"event_type": "ping"})
        assert await closing(socket) == (1008, "More than 20 messages a second.")


async def test_a_message_that_is_too_long_closes(live: Live) -> None:
    async with live.client() as socket:
        await socket.send(json.dumps({"event_type": "x" * limits.MOST_MESSAGE}))
        assert await closing(socket) == (1009, "A message of more than 65536 characters.")


async def test_a_fault_of_ours_is_logged_and_closes_only_that_connection(
    live: Live, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async with live.client() as other, live.client() as socket:
        await ask(other, **SUBSCRIBE)
        with monkeypatch.context() as patch:
            patch.setattr(conversation, "parse_request", lambda said: 1 // 0)
            await say(socket, {"event_type": "ping"})
            assert await closing(socket) == (1011, limits.BROKEN)
        assert "ZeroDivisionError" in capsys.readouterr().out
        await live.stream(bar(MINUTE, 101))
        assert (await hear_json(other))["close"] == 101


async def test_a_client_that_never_reads_again_is_cut_off(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("web.live.client.SEND_LIMIT_S", "web.live.endpoint.CLOSE_LIMIT_S", "web.live.sockets.LINGER_S"):
        monkeypatch.setattr(name, 0.1)
    async with narrow(live.address) as dead:
        await ask(dead, **SUBSCRIBE)
        dead.transport.pause_reading()
        raw = dead.transport.get_extra_info("socket")
        async with asyncio.timeout(LIMIT_S):
            for start in itertools.count(0, 500):
                if raw.getsockopt(sockets.IPPROTO_TCP, sockets.TCP_INFO, 1)[0] == TCP_CLOSE:
                    break
                bars = [bar(MINUTE + number * MINUTE_MS, 7) for number in range(start, start + 500)]
                await live.stream(*bars, source=2)
                await asyncio.sleep(0.05)
        dead.transport.abort()


async def test_one_client_too_many_is_asked_to_come_later(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "MOST_CLIENTS", 1)
    async with live.client() as first:
        await ask(first, event_type="ping")
        async with live.client() as second:
            assert await closing(second) == (1013, limits.NO_ROOM)
        assert (await ask(first, event_type="ping"))["event"] == "pong"


async def test_a_connection_has_so_many_streams_and_no_more(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("web.live.subscriptions.MOST_SUBSCRIPTIONS", 3)
    async with live.client() as socket:
        streams = [f"binance:BTC:USDT@{n}m" for n in range(1, 5)]
        await ask(socket, event_type="subscribe", streams=streams[:3])
        assert (await ask(socket, event_type="ping"))["event"] == "pong"
        refused = await ask(socket, event_type="subscribe", streams=streams)
        allowed = "at most 3 subscriptions on one connection"
        assert (refused["field"], refused["allowed"]) == ("streams", allowed)
        await live.stream(bar(MINUTE, 101))
        told = [(await hear_json(socket))["stream"] for _ in range(3)]
        assert sorted(told) == streams[:3]


async def test_snapshots_of_one_message_are_bounded_together(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation, "MOST_SNAPSHOTS", 900)
    streams = [f"binance:BTC:USDT@{n}m" for n in range(1, 3)]
    async with live.client() as socket:
        refused = await ask(socket, event_type="subscribe", streams=streams, snapshot=500)
        assert refused["detail"] == "2 streams of 500 bars are too many: at most 900 bars in all."


async def test_the_market_of_an_old_subscription_is_told_once_however_it_is_asked_for(live: Live) -> None:
    """A stream and an old message that mean the same are one subscription, of the later kind."""
    async with live.client() as socket:
        await ask(socket, **SUBSCRIBE)
        await say(socket, {"event_type": "subscribe", **OLD, "mls": True})
        assert (await ask(socket, event_type="ping"))["event"] == "pong"
        await live.stream(bar(MINUTE, 101))
        assert await socket.recv() == text_of(bar(MINUTE, 101))
        assert (await ask(socket, event_type="ping"))["event"] == "pong"
        assert BTC.key == "binance:spot:BTC/USDT"
