"""Whatever dies or goes away while candles are on their way to the database: none is lost, none is doubled."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from structlog.testing import capture_logs

from app.jobs import update as module
from app.stores.closed_stream import ClosedStream
from common.market import Source
from tests.fixtures.house import House, house
from tests.fixtures.live import eventually, impatient_redis, message, wire

__all__ = ["house"]
CLOSING = Source.CLOSING_MESSAGE


class DyingStream(ClosedStream):
    """The process ends after its commit and before its acknowledgement."""

    async def ack(self, ids: Sequence[str]) -> None:
        raise KeyError("killed")


@pytest.mark.parametrize("consumer", ["one", "another"])
async def test_death_between_commit_and_acknowledgement_loses_and_doubles_nothing(
    house: House, consumer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W6: rows in flight were never read again. Whoever starts next finishes them."""
    monkeypatch.setattr(module, "STALE_MS", 1)
    await house.tell([message(minute, 1, CLOSING) for minute in range(50)])
    with pytest.raises(ExceptionGroup):
        async with house.updating(closed=DyingStream(house.redis, "one"), batch=20) as task:
            await task
    assert len(await house.rows()) == 20
    assert (await house.redis.xpending("closed_candles", "update"))["pending"] == 20
    async with house.updating(closed=ClosedStream(house.redis, consumer), batch=20):
        await house.drained()
    assert await house.rows() == [("BTC", minute, 1, CLOSING) for minute in range(50)]


async def test_being_stopped_at_any_moment_loses_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GATHER_S", 0.001)
    for turn in range(16):
        await house.tell([message(turn * 20 + minute, 1, CLOSING) for minute in range(20)])
        async with house.updating(batch=7):
            await asyncio.sleep(turn / 200)
    async with house.updating():
        await house.drained()
    assert await house.rows() == [("BTC", minute, 1, CLOSING) for minute in range(320)]


async def test_while_the_database_is_away_nothing_is_lost(house: House, postgres_url: str) -> None:
    """W6: a restart of PostgreSQL lost the batch, or ended the updater. It is told once."""
    async with wire(postgres_url) as way:
        with capture_logs() as logs:
            async with house.updating(way.url):
                await house.tell([message(0, 1, CLOSING)])
                await house.drained()
                await way.cut()
                await house.tell([message(minute, 1, CLOSING) for minute in range(1, 30)])
                await eventually(lambda: told(logs, "Away"))
                await eventually(lambda: owes(house, 29))
                await way.mend()
                await house.drained()
    assert await house.rows() == [("BTC", minute, 1, CLOSING) for minute in range(30)]
    assert [one["event"] for one in logs if one.get("what") == "PostgreSQL"] == [
        "Away; nothing is lost, it is tried again",
        "Back",
    ]


async def owes(house: House, count: int) -> bool:
    return bool((await house.redis.xpending("closed_candles", "update"))["pending"] == count)


async def told(logs: list[Any], start: str) -> bool:
    return any(one["event"].startswith(start) for one in logs)


async def test_while_redis_is_away_the_updater_waits(house: House, redis_url: str) -> None:
    async with wire(redis_url) as way, impatient_redis(way.url) as client:
        with capture_logs() as logs:
            async with house.updating(closed=ClosedStream(client, "one")) as task:
                await house.tell([message(0, 1, CLOSING)])
                await house.drained()
                await way.cut()
                await house.tell([message(1, 1, CLOSING)])
                await eventually(lambda: told(logs, "Away"))
                await way.mend()
                await house.drained()
                assert not task.done()
    assert await house.rows() == [("BTC", 0, 1, CLOSING), ("BTC", 1, 1, CLOSING)]


async def test_an_emptied_redis_does_not_end_the_updater(house: House) -> None:
    await house.tell([message(0, 1, CLOSING)])
    async with house.updating():
        await house.drained()
        await house.redis.flushdb()
        await house.tell([message(1, 1, CLOSING)])
        await eventually(lambda: stored(house, 2))
    assert await house.rows() == [("BTC", 0, 1, CLOSING), ("BTC", 1, 1, CLOSING)]


async def stored(house: House, count: int) -> bool:
    return len(await house.rows()) == count
