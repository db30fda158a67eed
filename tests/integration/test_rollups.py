"""Readers, writers and refreshers of bars at the same time, and how a refresh goes about its work."""

import asyncio

import asyncpg
import pytest

from app.stores.candles import CandleStore
from app.stores.database import Database
from app.stores.rollups import RollupStore
from tests.fixtures.bars import candle, check, list_symbols, minutes, truth, views


@pytest.fixture
async def symbols(database: Database) -> None:
    await list_symbols(database)


async def test_a_refresh_leaves_nothing_for_the_next(database: Database, symbols: None) -> None:
    await CandleStore(database).write([candle(minute, 1.0, 1, 1.0, True) for minute in range(10)])
    rollups = RollupStore(database)
    assert await rollups.dirty_count() == 1
    assert [await rollups.refresh(), await rollups.refresh()] == [1, 0]


async def test_two_refreshers_take_turns(database: Database, symbols: None) -> None:
    """Else the slower could store a bar that it reckoned before the faster one's minutes were there."""
    rollups, store = RollupStore(database), CandleStore(database)
    await store.write([candle(0, 1.0, 1, 1.0, True)])
    async with database.begin() as first, asyncio.timeout(30):
        assert await first.fetchval("SELECT refresh_rollups()") == 1
        await store.write([candle(1, 1.0, 1, 1.0, True)])
        second = asyncio.create_task(rollups.refresh())
        while not await first.fetchval(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        ):
            assert not second.done()
    assert await second == 1
    await check(database)


async def test_a_drain_in_many_small_steps_ends_in_the_same_bars(database: Database, symbols: None) -> None:
    store = CandleStore(database)
    for day in range(6):
        await store.write([candle(day * 1440 + minute, 1.0 + day, 1, 1.0, True) for minute in range(0, 100, 7)])
    async with database.connection() as connection:
        assert [await connection.fetchval("SELECT refresh_rollups(1)") for _ in range(7)] == [1] * 6 + [0]
    await check(database)


async def test_buckets_do_not_depend_on_the_sessions_zone(
    database: Database, symbols: None, postgres_url: str
) -> None:
    """The test server's own zone is Kathmandu's; psql sees what the program sees."""
    await CandleStore(database).write([candle(minute, 1.0, 1, 1.0, True) for minute in range(0, 4000, 20)])
    connection = await asyncpg.connect(postgres_url)
    try:
        assert await connection.fetchval("SHOW TimeZone") == "Asia/Kathmandu"
        for refreshed in (False, True):
            if refreshed:
                await connection.execute("SELECT refresh_rollups()")
            seen = await views(connection)
            as_ms = {
                interval: [(round(row[0].timestamp() * 1000), *row[1:]) for row in rows]
                for interval, rows in seen.items()
            }
            async with database.connection() as ours:
                assert as_ms == truth(await minutes(ours))
    finally:
        await connection.close()
