"""The running bar of every interval, through the end of a month: live minutes over what the database holds."""

import asyncio
import json
import random
from datetime import UTC, datetime
from typing import Any

import pytest
from redis.asyncio import Redis
from websockets.asyncio.client import ClientConnection, connect

from app.stores.database import Database
from common.interval import Interval
from common.span import DAY_MS, MINUTE_MS, floor_minute
from tests.fixtures.played_minutes import PlayedMinutes
from tests.fixtures.web import BTC, SetClock, every_minute, listening, minutes, store, web_deps

#: Three minutes before hours, days and the month end at once.
NOW_MS = int(datetime(2024, 5, 31, 23, 57, tzinfo=UTC).timestamp() * 1000)
LIMIT_S = 20


class Listener:
    """Remembers the newest frame of every bar."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self.told: dict[tuple[str, int], dict[str, Any]] = {}

    async def subscribe(self) -> None:
        names = {"exchange": "binance", "base_id": "BTC", "quote_id": "USDT", "mls": True, "tags": True}
        for interval in Interval:
            asked = {"event_type": "subscribe", "data_type": "ohlcv", **names, "interval": interval.value}
            await self._socket.send(json.dumps(asked))

    async def until(self, wanted: dict[tuple[str, int], list[float]], **flags: bool) -> None:
        """Read until each of these bars was told with these values."""
        try:
            async with asyncio.timeout(LIMIT_S):
                while not all(self._was_told(bar, values, flags) for bar, values in wanted.items()):
                    frame = json.loads(await self._socket.recv())
                    if "event" not in frame:
                        self.told[frame["interval"], frame["time"]] = frame
        except TimeoutError:
            wrong = [bar for bar, values in wanted.items() if not self._was_told(bar, values, flags)]
            assert [(bar, self.told.get(bar)) for bar in wrong] == [(bar, wanted[bar]) for bar in wrong], flags

    def _was_told(self, bar: tuple[str, int], values: list[float], flags: dict[str, bool]) -> bool:
        told = self._values(bar)
        right = told[:4] == values[:4] and told[4:] == pytest.approx(values[4:], rel=1e-12)
        return bar in self.told and right and all(self.told[bar][flag] is value for flag, value in flags.items())

    def _values(self, bar: tuple[str, int]) -> list[float]:
        frame = self.told.get(bar, {})
        return [frame.get(name, 0.0) for name in ("open", "high", "low", "close", "volume")]


def ended(wanted: dict[tuple[str, int], list[float]]) -> dict[tuple[str, int], list[float]]:
    """Those whose bucket the month's end closes, too."""
    return {bar: values for bar, values in wanted.items() if bar[0] not in ("7D", "14D")}


async def test_every_running_bar_is_exact_through_the_end_of_its_bucket_and_after_corrections(
    database: Database, redis_client: Redis
) -> None:
    clock = SetClock(NOW_MS)
    deps = web_deps(database, redis_client, clock)
    stream = PlayedMinutes(database, clock, redis_client)
    old = {floor_minute(NOW_MS - int(45 * DAY_MS * random.Random(n).random())) for n in range(300)}
    day = minutes(old | set(every_minute(NOW_MS - 200 * MINUTE_MS, 206)))
    split = next(n for n, bar in enumerate(day) if bar.open_ms >= NOW_MS - 3 * MINUTE_MS)
    await stream.start(day[:split], day[split : split + 3])
    async with listening(deps) as address, connect(f"ws://{address}/api/ohlcvs", max_queue=4096) as socket:
        listener = Listener(socket)
        await listener.subscribe()
        await listener.until(stream.wanted(NOW_MS - MINUTE_MS))
        for bar in day[split + 3 :]:
            for share in (0.1, 0.6):
                await stream.run(bar, share)
                await listener.until(stream.wanted(bar.open_ms))
            await stream.close(bar)
            await listener.until(stream.wanted(bar.open_ms))
        last = day[split + 5]
        await listener.until(ended(stream.wanted(last.open_ms)), closed=True, corrected=False)

        young = day[split + 4]._replace(low=1.5, volume=123.25)
        await stream.correct(young)
        await listener.until(stream.wanted(young.open_ms))
        await listener.until(ended(stream.wanted(young.open_ms)), closed=True, corrected=True)

        healed = day[split + 3]._replace(high=2e6, volume=55.5)
        await stream.heal(healed)
        clock.set(clock.now_ms() + MINUTE_MS)
        await listener.until({bar: v for bar, v in stream.wanted(healed.open_ms).items() if bar[0] != "1m"})

        aged = day[split - 120]._replace(high=1e6, volume=99.5)
        await stream.correct(aged)
        await listener.until({("1m", aged.open_ms): list(aged[1:6])}, corrected=True)
        clock.set(clock.now_ms() + 6000)  # the database is given five seconds to have it, too
        await listener.until(stream.wanted(aged.open_ms))
        await listener.until(ended(stream.wanted(aged.open_ms)), closed=True, corrected=True)


async def test_after_a_quiet_while_the_newest_stored_bar_is_shown(database: Database, redis_client: Redis) -> None:
    clock = SetClock(NOW_MS)
    deps = web_deps(database, redis_client, clock)
    (bar,) = minutes([NOW_MS - 3 * DAY_MS])
    await store(database, BTC, [bar])
    async with listening(deps) as address, connect(f"ws://{address}/api/ohlcvs") as socket:
        listener = Listener(socket)
        await listener.subscribe()
        hourly = {
            (interval.value, interval.floor(bar.open_ms)): list(bar[1:6])
            for interval in (Interval.M1, Interval.H1)
        }
        await listener.until(hourly, closed=True)
