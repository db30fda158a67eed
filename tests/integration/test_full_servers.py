"""Servers that answer but take nothing more: nobody ends, nothing is lost, and it goes on when there is room."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis.asyncio
from structlog.testing import capture_logs
from websockets.asyncio.server import ServerConnection

from app.stores.candles import CandleStore, StoredCandle
from app.stores.closed_stream import ClosedStream
from app.stores.database import Database
from common.clock import Clock
from common.errors import Retryable
from common.market import Source
from common.span import MINUTE_MS, floor_minute
from fetchers import registry
from tests.fixtures.feed import live, now_ms, told
from tests.fixtures.full import Refusing, full_disk, full_redis, unsaved_redis
from tests.fixtures.house import House, house
from tests.fixtures.live import BTC, eventually, exchange_server, impatient_redis, kline, message
from tests.fixtures.redis import running_redis
from tests.fixtures.simulator import running_simulator
from tests.fixtures.workers import celery, environment, program, worker

__all__ = ["house"]

CLOSING = Source.CLOSING_MESSAGE
AWAY = ["Away; nothing is lost, it is tried again", "Back"]
REFUSALS = pytest.mark.parametrize("refusing", [full_redis, unsaved_redis])


@pytest.fixture
def own_redis() -> Iterator[str]:
    """One that other tests do not suffer from."""
    with running_redis() as url:
        yield url


async def test_a_full_disk_is_retryable_and_says_so(database: Database) -> None:
    row = StoredCandle(1, 1_700_000_040_000, 1, 2, 0.5, 1.5, 10, None, None, 3)
    async with full_disk(database, "candles"):
        with pytest.raises(Retryable, match=r"cannot do it now: .* No space left on device"):
            await CandleStore(database).write([row])
    assert (await CandleStore(database).write([row])).changed == 1


async def test_while_the_databases_disk_is_full_the_updater_waits_and_loses_nothing(house: House) -> None:
    with capture_logs() as logs:
        async with house.updating() as task:
            async with full_disk(house.database, "candles"):
                await house.tell([message(minute, 1, CLOSING) for minute in range(3)])
                await eventually(lambda: said(logs, "Away"))
                assert not task.done()
            await house.drained()
    assert await house.rows() == [("BTC", minute, 1, CLOSING) for minute in range(3)]
    assert [one["event"] for one in logs if one.get("what") == "PostgreSQL"] == AWAY


async def said(logs: list[dict[str, object]], start: str) -> bool:
    return any(str(one["event"]).startswith(start) for one in logs)


@REFUSALS
async def test_while_redis_refuses_the_live_job_keeps_each_minute_and_tells_it_afterwards(
    own_redis: str, refusing: Refusing
) -> None:
    minute_ms, frames = floor_minute(now_ms()), asyncio.Queue[str]()

    async def talk(socket: ServerConnection) -> None:
        while True:
            await socket.send(await frames.get())

    async with redis.asyncio.Redis.from_url(own_redis) as client, exchange_server(talk) as url:
        with capture_logs() as logs:
            async with live(registry.get("binance"), [BTC], url, client):
                async with refusing(client):
                    for minute in range(-5, 0):
                        frames.put_nowait(kline(minute_ms + minute * MINUTE_MS, 3, closed=True))
                    await eventually(lambda: said(logs, "Away"))
                await eventually(lambda: holds(client, 5))
                closed = await told(client, "closed_candles")
    assert [(one.time - minute_ms) // MINUTE_MS for one in closed] == [*range(-5, 0)]
    assert [one["event"] for one in logs if one.get("what") == "Redis"] == AWAY


async def holds(client: redis.asyncio.Redis, count: int) -> bool:
    return bool(await client.xlen("closed_candles") == count)


@REFUSALS
async def test_while_redis_refuses_the_updater_waits_and_loses_nothing(
    house: House, own_redis: str, refusing: Refusing
) -> None:
    async with redis.asyncio.Redis.from_url(own_redis) as client, impatient_redis(own_redis) as reading:
        mine = House(house.database, client, house.url)
        with capture_logs() as logs:
            async with mine.updating(closed=ClosedStream(reading, "one")) as task:
                await mine.tell([message(0, 1, CLOSING)])
                await mine.drained()
                await mine.tell([message(1, 1, CLOSING)])
                async with refusing(client):
                    # A full one goes on giving what it holds.
                    await eventually(lambda: said(logs, "Away") if refusing is unsaved_redis else stored(mine, 2))
                await mine.drained()
                assert not task.done()
    assert await house.rows() == [("BTC", 0, 1, CLOSING), ("BTC", 1, 1, CLOSING)]


async def stored(house: House, count: int) -> bool:
    return len(await house.rows()) == count


@pytest.mark.parametrize(("refusing", "word"), [(full_redis, "used memory"), (unsaved_redis, "MISCONF")])
async def test_while_redis_refuses_neither_worker_nor_beat_ends_and_then_messages_are_taken(
    own_redis: str, refusing: Refusing, word: str, postgres_url: str, tmp_path: Path
) -> None:
    lean = ("-c", "1", "--without-mingle", "--without-gossip")
    beat = celery("beat", "--pidfile", "", "-l", "INFO")
    with running_simulator(Clock(20, now_ms())) as simulator:
        env = environment(simulator, postgres_url, own_redis, tmp_path, EXCHANGES="binance")
        async with (
            redis.asyncio.Redis.from_url(own_redis) as client,
            worker(env, tmp_path / "worker.log", "binance", *lean) as working,
            program(env, tmp_path / "beat.log", *beat) as beating,
        ):
            await eventually(lambda: client.get("candlehouse:pulse:binance"), 60)
            async with refusing(client):
                await beating.says(word)
                if word == "MISCONF":  # where Redis is full it is asked for messages all the same
                    await working.says(word)
            await client.delete("candlehouse:pulse:binance")
            await eventually(lambda: client.get("candlehouse:pulse:binance"), 60)
            assert (working.process.returncode, beating.process.returncode) == (None, None)
