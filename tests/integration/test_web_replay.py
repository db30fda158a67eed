"""Replays over WebSocket /api/ohlcvs: stored bars in the order of time, at a speed, as the client reads."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis
from websockets.asyncio.client import ClientConnection

from app.stores.database import Database
from common.span import MINUTE_MS
from tests.fixtures.live_web import LIMIT_S, MINUTE, Live, hear_json, narrow, say, web_with_stream
from tests.fixtures.web import BTC, PEPE, aggregate, every_minute, minutes, store
from web.live import player
from web.live.replay import WINDOW_ROWS
from web.live.streams import timeframe_of

START = MINUTE - 3000 * MINUTE_MS
BTC_1M, PEPE_1M = "binance:BTC:USDT@1m", "binance:PEPE:USDT@1m"


@pytest.fixture
async def live(database: Database, redis_client: Redis) -> AsyncIterator[Live]:
    async with web_with_stream(database, redis_client) as web:
        yield web


async def ask(socket: ClientConnection, **message: Any) -> Any:
    await say(socket, message)
    return await hear_json(socket)


async def candles(socket: ClientConnection) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Those until the end message, and that message."""
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(60):
        while True:
            told = await hear_json(socket)
            if told.get("event") == "replayed":
                return found, told
            found += told["candles"] if told.get("event") == "batch" else [told]


@pytest.mark.parametrize("batch", [False, True])
async def test_bars_of_several_streams_come_in_the_order_of_their_ends_each_once(
    live: Live, database: Database, batch: bool
) -> None:
    history = {
        "BTC": minutes(every_minute(START, 3000)),
        "PEPE": minutes(set(every_minute(START, 3000)) - set(every_minute(START + 500 * MINUTE_MS, 900)), 2),
    }
    await store(database, BTC, history["BTC"])
    await store(database, PEPE, history["PEPE"])
    streams = {BTC_1M: "1m", PEPE_1M: "1m", "binance:BTC:USDT@1h": "1h", "binance:PEPE:USDT@7m": "7m"}
    first, last = START + 10 * MINUTE_MS, START + 2500 * MINUTE_MS
    async with live.client() as socket:
        await ask(socket, event_type="configure", batch=batch)
        asked = {"streams": list(streams), "start": first, "end": last, "speed": "max"}
        replaying = await ask(socket, event_type="replay", id="r", **asked)
        expected = {"event": "replaying", "id": "r", **asked, "speed": None}
        assert replaying == expected
        found, ended = await candles(socket)
    wanted = []
    for order, (stream, name) in enumerate(streams.items()):
        frame = timeframe_of(name)
        for one in aggregate(history[stream.split(":")[1]], frame):
            if first <= one.open_ms <= last:
                wanted.append((frame.after(one.open_ms), order, stream, one))
    wanted.sort(key=lambda each: each[:2])
    assert ended == {"event": "replayed", "id": "r", "bars": len(wanted), "because": "end", "detail": ""}
    assert [(one["stream"], one["time"]) for one in found] == [(stream, one.open_ms) for *_, stream, one in wanted]
    for told, (*_, one) in zip(found, wanted, strict=True):
        assert [told[name] for name in ("open", "high", "low", "close")] == list(one[1:5])
        assert told["volume"] == pytest.approx(one.volume, rel=1e-12)
        assert (told["closed"], told["corrected"], told["seq"]) == (True, False, None)


async def test_a_bar_under_way_is_not_replayed_and_years_without_any_are_passed_by(
    live: Live, database: Database
) -> None:
    old = minutes(every_minute(MINUTE - 2_000_000 * MINUTE_MS, 2))
    await store(database, BTC, [*old, *minutes(every_minute(MINUTE - MINUTE_MS, 2))])
    async with live.client() as socket:
        await ask(socket, event_type="replay", streams=[BTC_1M], start="2010-01-01", end="2030-01-01", speed="max")
        found, ended = await candles(socket)
    assert [one["time"] for one in found] == [old[0].open_ms, old[1].open_ms, MINUTE - MINUTE_MS]
    assert ended["because"] == "end"


async def test_a_replay_keeps_its_pace_stands_still_when_paused_and_goes_on_faster(
    live: Live, database: Database
) -> None:
    history = minutes(every_minute(START, 400))
    await store(database, BTC, history)
    async with live.client() as socket:
        asked = {"streams": [BTC_1M], "start": START, "end": START + 399 * MINUTE_MS}
        await ask(socket, event_type="replay", id=1, speed=600, **asked)  # ten bars a second
        began = time.monotonic()
        found = [await hear_json(socket) for _ in range(10)]
        took = time.monotonic() - began
        await say(socket, {"event_type": "pause", "id": 2})
        while (told := await hear_json(socket)).get("event") != "paused":
            found.append(told)
        assert told == {"event": "paused", "id": 2, "bars": len(found)}
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await socket.recv()
        resumed = await ask(socket, event_type="resume", speed=36_000)
        assert (resumed["event"], resumed["speed"], resumed["streams"]) == ("replaying", 36_000, [BTC_1M])
        found += [await hear_json(socket) for _ in range(100)]
        stopped = await ask_until(socket, "replayed", found, event_type="stop")
    assert took >= 0.8, "ten bars need a second"
    assert stopped == {
        "event": "replayed",
        "id": resumed.get("id", 1),
        "bars": len(found),
        "because": "stopped",
        "detail": "",
    }
    assert [one["time"] for one in found] == [one.open_ms for one in history[: len(found)]]


async def ask_until(socket: ClientConnection, event: str, found: list[Any], **message: Any) -> Any:
    await say(socket, message)
    while (told := await hear_json(socket)).get("event") != event:
        found.append(told)
    return told


async def test_a_client_that_does_not_read_holds_its_replay_back(
    live: Live, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    count, reads = 60_000, []
    await store(database, BTC, minutes(every_minute(MINUTE - count * MINUTE_MS, count)))
    read = live.deps.many_bars.read

    async def counted(*asked: Any) -> Any:
        reads.append(asked)
        return await read(*asked)

    monkeypatch.setattr(live.deps.many_bars, "read", counted)
    async with narrow(live.address) as socket:
        start = MINUTE - count * MINUTE_MS
        await ask(socket, event_type="replay", streams=[BTC_1M], start=start, end=MINUTE, speed="max")
        socket.transport.pause_reading()
        before = -1
        while before != len(reads):
            before = len(reads)
            await asyncio.sleep(0.5)
        assert 0 < before < count / WINDOW_ROWS
        socket.transport.resume_reading()
        found, _ = await candles(socket)
    assert len(found) == count


@pytest.mark.parametrize(
    ("changes", "field", "sentence"),
    [
        ({"end": START - MINUTE_MS}, "end", "is before start"),
        ({"start": "someday"}, "start", "start must be UTC ms, or a date"),
        ({"speed": 0}, "speed", "speed must be a number above 0, or max, not 0.0."),
        ({"speed": "slow"}, "speed", "speed"),
        ({"streams": ["binance:NO:USDT@1m"]}, "streams", "Stream 'binance:NO:USDT@1m'"),
        ({"event_type": "pause"}, "streams", "streams is no field of this message"),
    ],
)
async def test_what_cannot_be_replayed_is_told_in_a_sentence(
    live: Live, changes: dict[str, Any], field: str, sentence: str
) -> None:
    asked = {"event_type": "replay", "streams": [BTC_1M], "start": START, "end": START} | changes
    async with live.client() as socket:
        refused = await ask(socket, **asked)
        assert (refused["event"], refused["field"]) == ("error", field), refused
        assert sentence in refused["detail"]
        for event in ("pause", "resume", "stop"):
            refused = await ask(socket, event_type=event)
            assert refused["detail"] == "No replay is under way."


async def test_a_second_replay_waits_for_the_first_one_to_end(live: Live, database: Database) -> None:
    await store(database, BTC, minutes(every_minute(START, 10)))
    asked = {"event_type": "replay", "streams": [BTC_1M], "start": START, "end": MINUTE}
    async with live.client() as socket:
        await ask(socket, **asked, speed=1)
        refused = await ask(socket, **asked)
        assert refused["detail"] == "A replay is under way; stop it first."
        assert (await ask(socket, event_type="stop"))["because"] == "stopped"
        await ask(socket, **asked, speed="max")
        async with asyncio.timeout(LIMIT_S):
            found, _ = await candles(socket)
    assert len(found) == 10


async def test_a_replay_goes_on_in_another_encoding_when_that_is_asked_for(live: Live, database: Database) -> None:
    await store(database, BTC, minutes(every_minute(START, 1000)))
    asked = {"event_type": "replay", "streams": [BTC_1M], "start": START, "end": MINUTE}
    async with live.client() as socket:
        await ask(socket, event_type="configure", batch=True)
        await ask(socket, **asked, speed=600)  # whose first bar comes later than what is said next
        await say(socket, {"event_type": "configure", "encoding": "msgpack"})
        await say(socket, {"event_type": "resume", "speed": "max"})
        found: list[Any] = []
        async with asyncio.timeout(LIMIT_S):
            while (told := decoded(await socket.recv())).get("event") != "replayed":
                found += told.get("candles", [])
    assert (len(found), told["bars"], told["because"]) == (1000, 1000, "end")


def decoded(message: str | bytes) -> Any:
    return msgspec.json.decode(message) if isinstance(message, str) else msgspec.msgpack.decode(message)


async def test_a_replay_that_breaks_off_says_so_and_the_next_one_plays(
    live: Live, database: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    await store(database, BTC, minutes(every_minute(START, 10)))

    async def broken(*_: Any) -> Any:
        raise ZeroDivisionError("nobody has thought of this")

    asked = {"event_type": "replay", "streams": [BTC_1M], "start": START, "end": MINUTE, "speed": "max"}
    async with live.client() as socket:
        with monkeypatch.context() as patch:
            patch.setattr(live.deps.many_bars, "read", broken)
            await ask(socket, **asked, id="x")
            found, ended = await candles(socket)
        told = {"event": "replayed", "id": "x", "bars": 0, "because": "error", "detail": player.BROKEN}
        assert (found, ended) == ([], told)
        assert "nobody has thought of this" in capsys.readouterr().out
        await ask(socket, **asked)
        found, _ = await candles(socket)
    assert len(found) == 10
