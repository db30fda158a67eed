"""The main job, whole: history by README's command and live candles equal the market's truth, value by value."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import asyncpg
import httpx
import pytest
import pytest_asyncio
from websockets.asyncio.client import connect

from app.settings import load_settings
from common.interval import ROLLUPS, Interval
from tests.fixtures import start
from tests.fixtures.start import World
from tests.fixtures.workers import run

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(200)]

#: Candle time runs this much faster than ours, so that minutes close while a test waits.
RATE = 10
MARKETS = {
    "binance": [("BTC", "USDT"), ("ETH", "USDT")],
    "bitfinex": [("BTC", "USDT"), ("ETH", "USDT")],
    "bittrex": [("BTC", "USDT"), ("ETH", "BTC")],
}
DAY = datetime.now(UTC).date() - timedelta(days=3)
START_MS = int(datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC).timestamp() * 1000)
END_MS = START_MS + 86_400_000
NAMES = ("5min", "15min", "30min", "1hour", "3hour", "6hour", "12hour", "daily", "7day", "14day", "1month")
OF_MARKET = "WHERE exchange = $1 AND base_id = $2 AND quote_id = $3"


class Demo(NamedTuple):
    """A running `candlehouse up --demo`, and what to ask of it."""

    world: World
    client: httpx.AsyncClient
    simulator: str
    database: asyncpg.Connection

    async def fetch(self, exchange: str) -> str:
        """README's command in a second terminal, which knows the data folder and nothing else."""
        symbols = ",".join(f"{base}/{quote}" for base, quote in MARKETS[exchange])
        command = ["-m", "scripts.fetchers.rest", "fetch", "--exchange", exchange, "--symbols", symbols]
        span = ["--start", f"{DAY}T00:00:00", "--end", f"{DAY + timedelta(days=1)}T00:00:00"]
        terminal = {name: self.world.environ[name] for name in ("PATH", "HOME", "DATA_DIR")}
        ended = await run(terminal, sys.executable, *command, *span)
        assert ended.status == 0, ended
        return ended.output

    async def truth(self, market: tuple[str, str, str], start_ms: int, end_ms: int) -> list[list[float]]:
        names = dict(zip(("exchange", "base_id", "quote_id"), market, strict=True))
        asked = await self.client.get(
            f"{self.simulator}/_sim/truth", params={**names, "start": start_ms, "end": end_ms}
        )
        return list(asked.raise_for_status().json())

    async def candle_requests(self, exchange: str) -> list[dict[str, Any]]:
        """Those that ask for the day; live healing asks for later minutes meanwhile."""
        log = (await self.client.get(f"{self.simulator}/_sim/log")).json()
        return [one for one in log if exchange in one["path"] and asks_for_the_day(one)]

    async def rows(self, statement: str, *arguments: object) -> list[list[float]]:
        return [list(row) for row in await self.database.fetch(statement, *arguments)]


def asks_for_the_day(request: dict[str, Any]) -> bool:
    if f"/historical/{DAY.year}/{DAY.month}/{DAY.day}" in request["path"]:
        return True
    query = dict(part.split("=", 1) for part in request["query"].split("&") if "=" in part)
    return int(query.get("startTime") or query.get("start") or END_MS) < END_MS


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def demo() -> AsyncIterator[Demo]:
    with start.world("scripts.cli", "up", "--demo") as world:
        async with world.start(CLOCK_RATE=str(RATE)) as instance:
            while "is ready" not in (line := await instance.line(90)):
                assert line.startswith("Waiting for "), line
            database = await asyncpg.connect(load_settings(world.environ, "none").database_url, ssl=False)
            async with httpx.AsyncClient(timeout=30) as client:
                yield Demo(world, client, f"http://127.0.0.1:{world.ports['SIMULATOR_PORT']}", database)
            await database.close()


@pytest.mark.parametrize("exchange", MARKETS)
async def test_a_fetched_day_equals_the_truth_and_a_second_run_asks_nothing(demo: Demo, exchange: str) -> None:
    await demo.fetch(exchange)
    for base, quote in MARKETS[exchange]:
        stored = await demo.rows(
            "SELECT (extract(epoch FROM time) * 1000)::bigint, open, high, low, close, volume"
            f" FROM ohlcvs {OF_MARKET} AND time >= $4 AND time < $4 + interval '1 day' ORDER BY time",
            *(exchange, base, quote, datetime(DAY.year, DAY.month, DAY.day, tzinfo=UTC)),
        )
        assert stored == await demo.truth((exchange, base, quote), START_MS, END_MS)

    asked = await demo.candle_requests(exchange)
    assert "Already complete" in await demo.fetch(exchange)
    assert (await demo.candle_requests(exchange), bool(asked)) == (asked, True)


@pytest.mark.parametrize("exchange", MARKETS)
async def test_all_eleven_rollups_equal_an_aggregation_of_the_minutes(demo: Demo, exchange: str) -> None:
    await demo.fetch(exchange)
    market = (exchange, *MARKETS[exchange][0])
    for interval, name in zip(ROLLUPS, NAMES, strict=True):
        async with demo.database.transaction(isolation="repeatable_read"):
            bars = await demo.rows(
                "SELECT (extract(epoch FROM bucket) * 1000)::bigint, open, high, low, close, volume"
                f" FROM ohlcvs_summary_{name} {OF_MARKET} ORDER BY bucket",
                *market,
            )
            assert bars == await aggregated(demo, interval, market), (exchange, interval)


async def aggregated(demo: Demo, interval: Interval, market: tuple[str, str, str]) -> list[list[float]]:
    """The same from the minutes, in plain Python; volumes are summed as decimal numbers."""
    found: dict[int, list[Any]] = {}
    for ms, open_, high, low, close, volume in await demo.rows(
        "SELECT (extract(epoch FROM time) * 1000)::bigint, open, high, low, close, volume::numeric"
        f" FROM ohlcvs {OF_MARKET} ORDER BY time",
        *market,
    ):
        bar = found.setdefault(interval.floor(int(ms)), [interval.floor(int(ms)), open_, high, low, close, 0])
        bar[2:] = [max(bar[2], high), min(bar[3], low), close, bar[5] + volume]
    return [[*bar[:5], float(bar[5])] for bar in found.values()]


async def test_what_subscribers_are_told_of_closed_minutes_is_the_truth(demo: Demo) -> None:
    async with asyncio.timeout(90), asyncio.TaskGroup() as clients:
        for exchange, markets in MARKETS.items():
            clients.create_task(equals_the_truth(demo, (exchange, *markets[0])))


async def equals_the_truth(demo: Demo, market: tuple[str, str, str]) -> None:
    """Three minutes; what is told last counts, for a busy machine may close one before its last trade came."""
    told = await closed_minutes(demo, market, 4)
    *before_last, _ = sorted(told)
    truth = [(await demo.truth(market, time_ms, time_ms + 60_000))[0] for time_ms in before_last]
    assert [told[time_ms] for time_ms in before_last] == truth


async def closed_minutes(demo: Demo, market: tuple[str, str, str], count: int) -> dict[int, list[float]]:
    """What a client hears of closed minutes until it has heard of `count`."""
    names = dict(zip(("exchange", "base_id", "quote_id"), market, strict=True))
    wish = {"event_type": "subscribe", "data_type": "ohlcv", **names, "interval": "1m", "mls": True, "tags": True}
    fields = ("time", "open", "high", "low", "close", "volume")
    heard: dict[int, list[float]] = {}
    async with connect(f"ws://127.0.0.1:{demo.world.ports['WEB_PORT']}/api/ohlcvs") as socket:
        await socket.send(json.dumps(wish))
        while len(heard) < count:
            told = json.loads(await socket.recv())
            if told.get("closed"):
                heard[told["time"]] = [told[field] for field in fields]
    return heard
