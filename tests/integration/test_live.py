"""The live job: what the exchange told last of a minute reaches Redis, whatever breaks on the way."""

import asyncio
from collections.abc import Sequence, Sized
from dataclasses import replace
from typing import Any

import pytest
import redis.asyncio
from redis.asyncio import Redis
from structlog.testing import capture_logs
from websockets.asyncio.server import ServerConnection

from app.buffer import Buffer
from app.jobs.live import Live
from app.messages import CandleMessage
from app.metrics.scrape import Scrape
from app.metrics.stream import FIGURES
from app.stores import heartbeat
from app.stores.heartbeat import rung
from app.stores.latest import LiveSink
from common.clock import Clock
from common.market import Instrument
from common.span import MINUTE_MS, floor_minute
from fetchers import registry
from tests.fixtures.feed import live, now_ms, told
from tests.fixtures.live import (
    BTC,
    ETH,
    SetClock,
    candle,
    eventually,
    exchange_server,
    http_client,
    impatient_redis,
    kline,
    running,
    wire,
)

BINANCE = registry.get("binance")


async def status(client: Redis, exchange: str = "binance") -> dict[str, str]:
    return await heartbeat.told(client, exchange)


async def stay(socket: ServerConnection) -> None:
    await socket.wait_closed()


async def test_the_heartbeat_tells_how_it_goes(redis_client: redis.asyncio.Redis) -> None:
    hold = asyncio.Event()
    minute_ms = floor_minute(now_ms())

    async def talk(socket: ServerConnection) -> None:
        await socket.send("{")
        await socket.send(kline(minute_ms))
        await hold.wait()

    async with exchange_server(talk) as url, live(BINANCE, [BTC, ETH], url, redis_client):
        await eventually(lambda: has(redis_client, last_candle_ms=str(minute_ms)))
        first = await status(redis_client)
        assert 0 < await redis_client.ttl("candlehouse:stream:binance:stream") <= 30
        hold.set()
        await eventually(lambda: has(redis_client, state="connecting"))
        lost = await status(redis_client)
    assert first | {"updated_ms": ""} == {
        "state": "connected",
        "connections": "1",
        "symbols": "2",
        "last_candle_ms": str(minute_ms),
        "last_error": "",
        "malformed": "1",
        "updated_ms": "",
        "beat_ms": "5000",
        "processes": "1",
    }
    assert (lost["connections"], lost["last_error"]) == ("0", "received 1000 (OK); then sent 1000 (OK)")


async def has(client: Redis, exchange: str = "binance", **fields: str) -> bool:
    return fields.items() <= (await status(client, exchange)).items()


async def test_an_exchange_that_cannot_be_reached_is_shown_as_such(redis_client: redis.asyncio.Redis) -> None:
    async with live(BINANCE, [BTC], "ws://127.0.0.1:1", redis_client):
        found = await eventually(lambda: failing(redis_client))
    assert (found["state"], found["connections"]) == ("connecting", "0")


async def failing(client: Redis) -> dict[str, str] | None:
    found = await status(client)
    return found if found.get("last_error") else None


async def test_a_reconnect_rings_for_what_may_be_missing(redis_client: redis.asyncio.Redis) -> None:
    """W7: there was no way to fill the hole of a disconnect. A first connection leaves none."""
    hang_up = asyncio.Event()

    async def talk(socket: ServerConnection) -> None:
        await socket.send(kline(floor_minute(now_ms())))
        await (socket.wait_closed() if hang_up.is_set() else hang_up.wait())

    async with exchange_server(talk) as url, live(BINANCE, [BTC], url, redis_client):
        await eventually(lambda: has(redis_client, state="connected"))
        assert not await rung(redis_client, "binance")
        hang_up.set()
        await eventually(lambda: rung(redis_client, "binance"))


async def test_a_connection_that_first_says_nothing_rings_for_what_ended_meanwhile(
    redis_client: redis.asyncio.Redis,
) -> None:
    """Else the minutes of a silence that outlasted a reconnect would wait for the next pass."""
    clock, speaks = SetClock(), asyncio.Event()

    async def talk(socket: ServerConnection) -> None:
        await speaks.wait()
        await socket.send(kline(floor_minute(clock.now_ms())))
        await socket.wait_closed()

    async with exchange_server(talk) as url, live(BINANCE, [BTC], url, redis_client, clock):
        await eventually(lambda: has(redis_client, connections="1"))
        assert not await rung(redis_client, "binance")
        clock.set_by_ms = MINUTE_MS
        speaks.set()
        await eventually(lambda: rung(redis_client, "binance"))


async def test_what_is_missed_while_the_last_miss_is_told_of_is_told_of_too(
    redis_client: redis.asyncio.Redis,
) -> None:
    """A second loss while the order for REST was on its way was forgotten."""
    asked, go_on, losses = list[int](), asyncio.Event(), asyncio.Semaphore(0)

    async def talk(socket: ServerConnection) -> None:
        await socket.send(kline(floor_minute(now_ms())))
        await losses.acquire()

    async def missed() -> None:
        asked.append(1)
        await go_on.wait()

    async with exchange_server(talk) as url:
        http, clock = http_client(Clock()), Clock()
        job = Live(BINANCE, ws_url=url, http=http, redis=redis_client, clock=clock, missed=missed)
        job.carry([BTC])
        async with running(job.run()):
            await eventually(lambda: has(redis_client, state="connected"))
            losses.release()
            await eventually(lambda: _is(asked, 1))
            seen = len(job._notices._happened)
            losses.release()
            await eventually(lambda: _is(job._notices._happened, seen + 2))  # lost and connected again
            go_on.set()
            await eventually(lambda: _is(asked, 2))
        await http.close()


async def test_what_comes_is_counted_frame_by_frame_and_a_connection_that_came_back_is_known_as_such(
    redis_client: redis.asyncio.Redis,
) -> None:
    """What is not a candle is a frame as well."""
    hang_up = asyncio.Event()
    frames = [kline(floor_minute(now_ms()), 1), kline(floor_minute(now_ms()), 2), "{"]

    async def talk(socket: ServerConnection) -> None:
        for frame in frames:
            await socket.send(frame)
        await (socket.wait_closed() if hang_up.is_set() else hang_up.wait())

    async with exchange_server(talk) as url:
        http, clock = http_client(Clock()), Clock()
        job = Live(BINANCE, ws_url=url, http=http, redis=redis_client, clock=clock)
        job.carry([BTC])
        async with running(job.run()):
            await eventually(lambda: _counted(job, frames_total=3))
            hang_up.set()
            await eventually(lambda: _counted(job, frames_total=6, opened_total=2, write_seconds_count=1))
            found = figures(job)
        await http.close()
    assert 0 <= found.pop("silent_seconds") < 60
    assert 0 <= found["away_seconds_sum"] < 60 and 0 <= found["delay_seconds_sum"] < 60
    assert {name: value for name, value in found.items() if not name.endswith(("_sum", "_bucket"))} == {
        "frames_total": 6,
        "bytes_total": 2 * sum(map(len, frames)),
        "candles_total": 4,
        "opened_total": 2,
        "lost_total": 1,
        "connections": 1,
        "markets": 1,
        "buffer_candles": 0,
        "away_seconds_count": 1,
        "write_seconds_count": found["delay_seconds_count"],
        "delay_seconds_count": found["write_seconds_count"],
    }


def figures(job: Live) -> dict[str, float]:
    scrape = Scrape(FIGURES)
    job.tell(scrape)
    samples = [one for metric in scrape.collect() for one in metric.samples]
    return {one.name.removeprefix("candlehouse_feed_"): one.value for one in samples}


async def _counted(job: Live, **least: float) -> bool:
    found = figures(job)
    return all(found[name] >= value for name, value in least.items()) and not found["buffer_candles"]


async def _is(found: Sized, count: int) -> bool:
    return len(found) >= count


async def test_names_of_markets_that_another_process_streams_are_no_aliases(
    redis_client: redis.asyncio.Redis,
) -> None:
    """Bitfinex spells USDT as UST; were there a market of UST, another process might stream it."""
    ust = Instrument("bitfinex", "BTC", "UST", "BTC:UST", "BTC", "UST")
    usdt = Instrument("bitfinex", "BTC", "USDT", "BTCUST", "BTC", "UST")
    http = http_client(Clock())
    job = Live(registry.get("bitfinex"), ws_url="ws://127.0.0.1:1", http=http, redis=redis_client, clock=Clock())
    job.carry([usdt], 2, [usdt, ust])
    assert job._sink._own == {}
    job.carry([usdt], 1, [usdt])
    assert job._sink._own == {"bitfinex;;BTC;;USDT": "bitfinex;;BTC;;UST"}
    await http.close()


async def test_who_takes_markets_over_rings_for_what_nobody_heard_between(
    redis_client: redis.asyncio.Redis,
) -> None:
    rings = list[int]()

    async def ring() -> None:
        rings.append(1)

    http = http_client(Clock())
    where = {"ws_url": "ws://127.0.0.1:1", "http": http, "redis": redis_client, "clock": Clock()}
    job = Live(BINANCE, **where, missed=ring)
    for mine, expected in (([BTC], 0), ([BTC], 0), ([BTC, ETH], 1), ([ETH], 1)):
        job.carry(mine, 2, [BTC, ETH])
        await job._notices.send()
        assert len(rings) == expected
    await http.close()


async def test_a_market_that_takes_the_name_of_one_that_left_keeps_its_running_minute(
    redis_client: redis.asyncio.Redis,
) -> None:
    later = replace(ETH, base=BTC.base)
    http, clock = http_client(Clock()), Clock()
    job = Live(BINANCE, ws_url="ws://127.0.0.1:1", http=http, redis=redis_client, clock=clock)
    job.carry([BTC, ETH])
    open_ms = floor_minute(clock.now_ms())
    job._take(candle(instrument=BTC)._replace(open_ms=open_ms, volume=1))
    job._take(candle(instrument=ETH)._replace(open_ms=open_ms, volume=2))
    job.carry([later])
    (closed,) = job._closing.tick(open_ms + 2 * MINUTE_MS)
    assert (closed.key, closed.volume) == (later.key, 2)
    await http.close()


async def test_a_closed_exchange_is_left_alone_and_says_why(redis_client: redis.asyncio.Redis) -> None:
    bittrex = registry.get("bittrex")
    with capture_logs() as logs:
        async with live(bittrex, [BTC], bittrex.ws_url, redis_client) as task:
            found = await eventually(lambda: status(redis_client, "bittrex"))
            assert not task.done()
    assert (found["state"], found["last_error"]) == ("closed", bittrex.closed)
    assert [one["reason"] for one in logs] == [bittrex.closed]


async def test_without_markets_it_waits_instead_of_dying(redis_client: redis.asyncio.Redis) -> None:
    async with live(BINANCE, [], "ws://127.0.0.1:1", redis_client) as task:
        found = await eventually(lambda: status(redis_client))
        assert not task.done()
    assert found["last_error"] == "SYMBOLS selects no market of binance that is under trade."


async def test_while_redis_is_away_the_last_state_of_each_minute_is_kept(
    redis_url: str, redis_client: redis.asyncio.Redis
) -> None:
    """W27: told once, and written when Redis is back, each minute by its newest state alone."""
    minute_ms, frames = floor_minute(now_ms()), asyncio.Queue[str]()

    async def talk(socket: ServerConnection) -> None:
        while True:
            await socket.send(await frames.get())

    async with wire(redis_url) as way, impatient_redis(way.url) as client, exchange_server(talk) as url:
        with capture_logs() as logs:
            async with live(BINANCE, [BTC], url, client):
                frames.put_nowait(kline(minute_ms - 6 * MINUTE_MS, 1, closed=True))
                await eventually(lambda: redis_client.xlen("closed_candles"))
                await way.cut()
                for minute in range(-5, 1):
                    for volume in (2, 3):
                        frames.put_nowait(kline(minute_ms + minute * MINUTE_MS, volume, closed=minute < 0))
                await eventually(lambda: emptied(frames))
                await eventually(lambda: is_told(logs, "Away"))
                await way.mend()
                await eventually(lambda: holds(redis_client, "live_binance", minute_ms, 3))
                seen = await told(redis_client, "live_binance")
                closed = await told(redis_client, "closed_candles")
    assert [((one.time - minute_ms) // MINUTE_MS, one.volume, one.corrected) for one in closed] == [
        (-6, 1, False),
        *((minute, 3, False) for minute in range(-5, 0)),
    ]
    assert [one.volume for one in seen if one.time == minute_ms] == [3]
    away = [one["event"] for one in logs if one.get("what") == "Redis"]
    assert away == ["Away; nothing is lost, it is tried again", "Back"]


async def is_told(logs: list[Any], start: str) -> bool:
    return any(one["event"].startswith(start) for one in logs)


async def emptied(frames: "asyncio.Queue[str]") -> bool:
    return frames.empty()


async def holds(client: Redis, stream: str, time_ms: int, volume: float) -> bool:
    return any(one.time == time_ms and one.volume == volume for one in await told(client, stream))


async def test_what_was_heard_before_stopping_is_written(
    redis_client: redis.asyncio.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both what a write under way had taken and what waited behind it."""
    minute_ms, taken, heard, write, put = floor_minute(now_ms()), [], set[str](), LiveSink.write, Buffer.put

    async def slow(sink: LiveSink, messages: Sequence[CandleMessage]) -> None:
        taken.append(messages)
        await (write(sink, messages) if len(taken) > 1 else asyncio.Event().wait())

    def listen(buffer: Buffer, message: CandleMessage) -> None:
        put(buffer, message)
        heard.add(message.base)

    async def talk(socket: ServerConnection) -> None:
        await socket.send(kline(minute_ms, 1))
        await eventually(lambda: reached(taken, 1))
        await socket.send(kline(minute_ms, 2, symbol="ETHUSDT"))
        await socket.wait_closed()

    monkeypatch.setattr(LiveSink, "write", slow)
    monkeypatch.setattr(Buffer, "put", listen)
    async with exchange_server(talk) as url, live(BINANCE, [BTC, ETH], url, redis_client):
        await eventually(lambda: reached(heard, 2))
    assert [(one.base, one.volume) for one in await told(redis_client, "live_binance")] == [("BTC", 1), ("ETH", 2)]


async def test_what_redis_took_while_it_was_stopped_is_told_once(
    redis_client: redis.asyncio.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    minute_ms, taken, answers, write = floor_minute(now_ms()), [], asyncio.Event(), LiveSink.write

    async def slow(sink: LiveSink, messages: Sequence[CandleMessage]) -> None:
        await write(sink, messages)
        taken.append(messages)
        await answers.wait()

    async def talk(socket: ServerConnection) -> None:
        await socket.send(kline(minute_ms, 1))
        await socket.wait_closed()
        answers.set()

    monkeypatch.setattr(LiveSink, "write", slow)
    async with exchange_server(talk) as url, live(BINANCE, [BTC], url, redis_client):
        await eventually(lambda: reached(taken, 1))
    assert [(one.base, one.volume) for one in await told(redis_client, "live_binance")] == [("BTC", 1)]


async def reached(seen: Sized, count: int) -> bool:
    return len(seen) == count


async def test_every_connection_of_an_exchange_is_used(redis_client: redis.asyncio.Redis) -> None:
    """W23: 60 markets of Bitfinex need three connections, and each lost one comes back by itself."""
    bitfinex, subscribed = registry.get("bitfinex"), list[int]()

    async def count(socket: ServerConnection) -> None:
        number = 0
        try:
            while True:
                await socket.recv()
                number += 1
        finally:
            subscribed.append(number)

    many = [Instrument("bitfinex", f"A{n}", "USD", f"A{n:02}USD", f"A{n:02}", "USD") for n in range(60)]
    clock = Clock(10, now_ms())
    async with exchange_server(count) as url, live(bitfinex, many, url, redis_client, clock):
        await eventually(lambda: has(redis_client, "bitfinex", connections="3", symbols="60"))
    await eventually(lambda: reached(subscribed, 3))
    assert sorted(subscribed) == [10, 25, 25]
