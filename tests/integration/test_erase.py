"""What is erased is as if it had never been asked for; everybody else's stays."""

import asyncio

import pytest

from app.jobs.retain import Retained, retain
from app.stores.candles import write_on
from app.stores.database import Database
from common.clock import Clock
from common.errors import BadInput
from common.span import DAY_MS, MINUTE_MS, Span
from tests.fixtures.bars import T0, candle, check, list_symbols
from tests.fixtures.live import eventually
from tests.fixtures.retention import stores_of

#: TimescaleDB in WebAssembly is slow on a busy machine.
pytestmark = pytest.mark.timeout(900)

CLOCK = Clock(1e-9, T0 + 20 * DAY_MS)
DAY = Span(T0, T0 + DAY_MS)
#: Of tables that tell of minutes by market.
ROWS = """
SELECT name, count(*) FROM (
    SELECT 'candles' AS name, symbol_id FROM candles UNION ALL SELECT 'revisions', symbol_id FROM candle_revisions
    UNION ALL SELECT 'arrivals', symbol_id FROM candle_arrivals
    UNION ALL SELECT 'sought', symbol_id FROM outages_sought
    UNION ALL SELECT 'archives', symbol_id FROM imported_archives
    UNION ALL SELECT 'errors', symbol_id FROM ohlcvs_errors UNION ALL SELECT 'daily', symbol_id FROM bars_daily
) AS found WHERE symbol_id = $1 GROUP BY name
"""


async def rows(database: Database, symbol_id: int) -> dict[str, int]:
    async with database.connection() as connection:
        return dict(await connection.fetch(ROWS, symbol_id))


async def test_an_erased_market_is_as_never_asked_for_and_the_other_one_as_before(tier_database: Database) -> None:
    stores = stores_of(tier_database, CLOCK)
    await list_symbols(tier_database)
    both = [candle(minute, 1.0 + minute, symbol, 1.0, True) for minute in range(0, 240, 7) for symbol in (1, 2)]
    await stores.candles.write(both, cover=[(1, DAY), (2, DAY)])
    await stores.candles.write([candle(7, 9.0, symbol, 1.0, True) for symbol in (1, 2)])
    await stores.coverage.want({1: DAY, 2: DAY})
    await stores.rollups.refresh()
    before = await rows(tier_database, 2)
    assert before == await rows(tier_database, 1) == {"candles": 35, "revisions": 1, "arrivals": 1, "daily": 2}
    assert await stores.erase.count([1]) == 35
    await stores.erase.erase(1, CLOCK.now_ms())
    await check(tier_database)
    await stores.rollups.refresh()
    await check(tier_database)
    assert await rows(tier_database, 1) == {}
    assert await rows(tier_database, 2) == before
    assert await stores.coverage.covered([1, 2]) == {1: [], 2: [DAY]}
    assert await stores.coverage.wanted([1, 2]) == {1: [], 2: [DAY]}
    job_id = await stores.plan.create("binance", [1], DAY)
    assert (await stores.plan.progress(job_id)).minutes_left == 1440


async def test_a_market_that_a_job_asks_for_is_not_erased(database: Database) -> None:
    stores = stores_of(database, CLOCK)
    await list_symbols(database)
    await stores.candles.write([candle(0, 1.0, 1, 1.0, True)])
    job_id = await stores.plan.create("binance", [1], DAY)
    with pytest.raises(
        BadInput, match=f"Job {job_id} asks for what is to be erased; .* candlehouse cancel {job_id}$"
    ):
        await stores.erase.erase(1, CLOCK.now_ms())
    assert await stores.erase.count([1]) == 1
    await stores.plan.cancel(job_id)
    await stores.erase.erase(1, CLOCK.now_ms())
    assert await stores.erase.count([1]) == 0


async def test_bars_of_minutes_that_a_horizon_has_dropped_outlive_an_erasure(database: Database) -> None:
    stores = stores_of(database, CLOCK)
    await list_symbols(database)
    horizon_ms = T0 + 120 * MINUTE_MS
    await stores.candles.write([candle(minute, 1.0, 1, 1.0, True) for minute in (0, 60, 130)], cover=[(1, DAY)])
    assert await retain(stores, [1], horizon_ms) == Retained(1, 2, True)
    await stores.erase.erase(1, CLOCK.now_ms())
    await stores.rollups.refresh()
    async with database.connection() as connection:
        bars = [
            tuple(row)
            for row in await connection.fetch("SELECT bucket, volume FROM bars_1hour WHERE symbol_id = 1")
        ]
    assert bars == [(T0, 1.0), (T0 + 60 * MINUTE_MS, 1.0)]
    job_id = await stores.plan.create("binance", [1], DAY)
    assert (await stores.plan.progress(job_id)).minutes_left == 1440 - 120


async def test_what_is_being_written_meanwhile_is_erased_as_a_whole(database: Database) -> None:
    """Or its minute would stay, of which nobody knows that it was answered for."""
    stores = stores_of(database, CLOCK)
    await list_symbols(database)
    await stores.candles.write([candle(0, 1.0, 1, 1.0, True)], cover=[(1, DAY)])
    async with database.connection() as other, asyncio.TaskGroup() as tasks, other.transaction():
        await write_on(other, [candle(1, 1.0, 1, 1.0, True)], [(1, DAY)], now_ms=CLOCK.now_ms())
        tasks.create_task(stores.erase.erase(1, CLOCK.now_ms()))
        await eventually(lambda: somebody_waits(database))
    assert (await stores.erase.count([1]), await stores.coverage.covered([1])) == (0, {1: []})


async def somebody_waits(database: Database) -> bool:
    async with database.connection() as connection:
        query = (
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            " AND datname = current_database())"
        )
        return bool(await connection.fetchval(query))
