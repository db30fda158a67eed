"""At every moment, at every timeframe, on every storage tier, a bar is what aggregating its minutes gives."""

import asyncio
import random
from pathlib import Path

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app import tiers
from app.stores.candles import CandleStore
from app.stores.database import Database
from app.stores.rollups import RollupStore
from app.stores.statements import sql
from app.tiers import Tier
from common.interval import Interval
from common.span import MINUTE_MS
from scripts.commands.tier import raise_tier
from tests.fixtures.bars import FAR_MS, NAMES, T0, candle, check, list_symbols, minutes, truth, views
from tests.fixtures.postgres import execute
from tests.fixtures.tiers import open_tier

#: TimescaleDB in WebAssembly is slow on a busy machine.
pytestmark = pytest.mark.timeout(900)


@pytest.fixture
async def database(tier_database: Database) -> Database:
    """One of each tier, with two symbols."""
    await list_symbols(tier_database)
    return tier_database


edges = st.one_of(
    st.integers(-3, 12),
    st.integers(115, 126),
    st.integers(1555, 1565),
    st.sampled_from([-40 * 1440, -8 * 1440, 6 * 1440, 13 * 1440, 28 * 1440, 60 * 1440]),
)
written = st.lists(
    st.builds(
        candle,
        minute=edges,
        price=st.sampled_from([1.0, 1.1, 3.3, 1e-8]),
        symbol=st.sampled_from([1, 2]),
        volume=st.sampled_from([0.1, 0.2, 1e-8, 1234.5]),
        full=st.booleans(),
    ),
    min_size=1,
    max_size=12,
)
deletions = st.tuples(st.sampled_from([1, 2]), edges, st.integers(1, 2000))
steps = st.lists(st.one_of(written, deletions, st.sampled_from(["refresh", "pack"])), min_size=1, max_size=6)


@settings(
    max_examples=10,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(steps=steps)
async def test_bars_equal_their_minutes_after_any_interleaving(database: Database, steps: list) -> None:
    """Writes, corrections, deletions, deep history, refreshes and columnstore in any order, checked after each."""
    async with database.begin() as connection:
        await connection.execute("DELETE FROM candles")
    for step in steps:
        if step == "refresh":
            await RollupStore(database).refresh()
        elif step == "pack":
            await RollupStore(database).pack(FAR_MS)
        elif isinstance(step, tuple):
            symbol, minute, length = step
            first_ms = T0 + minute * MINUTE_MS
            async with database.begin() as connection:
                await connection.execute(
                    "DELETE FROM candles WHERE symbol_id = $1 AND time >= $2 AND time < $3",
                    *(symbol, first_ms, first_ms + length * MINUTE_MS),
                )
        else:
            await CandleStore(database).write(step)
        await check(database)
    await RollupStore(database).refresh()
    assert await RollupStore(database).dirty_count() == 0
    await check(database)


async def test_a_raised_database_is_in_the_best_tier_of_its_server(database: Database, tier: Tier) -> None:
    async with database.connection() as connection:
        assert (await tiers.current(connection), await tiers.best(connection)) == (tier, tier)


async def test_everything_has_a_comment_on_every_tier(database: Database) -> None:
    async with database.connection() as connection:
        found = await connection.fetch(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'v')"
            " AND relname <> 'alembic_version' AND relname !~ '^pg_' AND obj_description(oid, 'pg_class') IS NULL"
            " UNION ALL SELECT attname FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = attrelid"
            " WHERE attnum > 0 AND relname ~ '^(bars|rolled|stored)_' AND relkind <> 'i'"
            " AND col_description(c.oid, attnum) IS NULL"
        )
    assert found == []


@pytest.mark.parametrize("tier", [Tier.PLAIN, Tier.APACHE])  # one backend serves every connection of the third
async def test_a_reader_between_writers_and_refreshers_never_sees_a_wrong_bar(database: Database) -> None:
    store, rollups, chance = CandleStore(database), RollupStore(database), random.Random(5)
    writing = True

    async def write() -> None:
        for _ in range(40):
            first, symbol = chance.randrange(0, 3000), chance.choice([1, 2])
            await store.write([candle(first + n, chance.random(), symbol, 0.1, True) for n in range(50)])

    async def refresh() -> None:
        while writing:
            await rollups.refresh()

    async with asyncio.TaskGroup() as group:
        for _ in range(2):
            group.create_task(refresh())
        writers = [group.create_task(write()) for _ in range(2)]
        while not all(task.done() for task in writers):
            async with database.connection() as connection, connection.transaction(isolation="repeatable_read"):
                assert await views(connection) == truth(await minutes(connection))
        writing = False
    await rollups.refresh()
    await check(database)


async def test_deep_history_shows_in_every_timeframe_at_once_and_without_a_manual_step(database: Database) -> None:
    store, rollups = CandleStore(database), RollupStore(database)
    await store.write([candle(minute, 1.0, 1, 1.0, True) for minute in range(300)])
    assert await rollups.refresh() > 0
    await store.write([candle(minute - 200 * 1440, 2.0, 1, 1.0, True) for minute in range(300)])
    await check(database)
    assert await rollups.refresh() > 0
    await check(database)


async def answers(database: Database) -> tuple:
    """Every row, view and read, and what the ledger does not hide."""
    async with database.connection() as connection:
        rows, seen = await minutes(connection), await views(connection)
        named = [tuple(row) for row in await connection.fetch("SELECT * FROM ohlcvs ORDER BY 1, 2, 3, 4")]
    reads = {
        (symbol, interval): await CandleStore(database).read(symbol, interval, None, FAR_MS, 10_000)
        for symbol in NAMES
        for interval in Interval
    }
    return {symbol: sorted(members) for symbol, members in rows.items()}, seen, named, reads


@pytest.mark.parametrize("tier", [Tier.APACHE, Tier.TIMESCALE])
async def test_a_database_raised_with_its_data_answers_as_before(plain_url: str, tier: Tier) -> None:
    database = open_tier(plain_url, tier)
    try:
        await list_symbols(database)
        rows = [
            candle(minute, 1.0 + minute % 7, symbol, 0.1, True)
            for minute in range(0, 3000, 13)
            for symbol in (1, 2)
        ]
        await CandleStore(database).write(rows)
        await RollupStore(database).refresh()
        await CandleStore(database).write([candle(-40 * 1440, 1.1, 1, 0.2, False), candle(13, 9.0, 2, 0.3, True)])
        before = await answers(database)
        async with database.begin() as connection:
            told: list[tuple[str, int]] = []
            await tiers.raise_to(connection, tier, lambda *part: told.append(part))
        assert [part for part in told if part[1]] == [("candles_2021", 462), ("candles_2020", 1)]
        assert await answers(database) == before
        await RollupStore(database).refresh()
        assert await RollupStore(database).dirty_count() == 0
        assert await answers(database) == before
        async with database.begin() as connection:
            await connection.execute("DELETE FROM candles WHERE time < $1", T0 + 1000 * MINUTE_MS)
        await check(database)
    finally:
        await database.close()


@pytest.mark.parametrize("tier", [Tier.APACHE])
def test_raising_tells_first_converts_then_and_has_nothing_left_to_do(
    plain_url: str,
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    execute(plain_url, "INSERT INTO candles SELECT 1, '2021-01-31', 1, 1, 1, 1, 1, 1, 1, 3")
    monkeypatch.chdir(tmp_path)
    for name, value in {"DATABASE_URL": plain_url, "REDIS_URL": redis_url, "DATA_DIR": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    raise_tier(dry_run=True, yes=False)
    told = capsys.readouterr().out
    assert told.startswith(
        "The database is in tier plain; its server has apache.\n- candles becomes a hypertable;"
    )
    raise_tier(dry_run=False, yes=True)
    assert capsys.readouterr().out == (
        f"{told}candles_2021: 1 rows\nThe database is in tier apache; 0 spans were rolled up anew.\n"
    )
    raise_tier(dry_run=False, yes=False)
    assert capsys.readouterr().out == "The database is in tier apache; its server has nothing better.\n"


@pytest.mark.parametrize("tier", [Tier.TIMESCALE])
async def test_columnstore_holds_what_is_over_and_is_counted_and_peoples_own_jobs_are_looked_after(
    database: Database, tier_url: str
) -> None:
    await CandleStore(database).write([candle(minute, 1.0, 1, 1.0, True) for minute in range(300)])
    await RollupStore(database).refresh()
    assert await RollupStore(database).pack(T0) == 0
    assert await RollupStore(database).pack(FAR_MS) > 0
    async with database.connection() as connection:
        assert await connection.fetchval(sql("status_packed")) == 300
        assert await tiers.shortage(connection) is None
        await connection.execute("CREATE PROCEDURE own(job int, config jsonb) LANGUAGE sql AS ''")
        await connection.execute("SELECT add_job('own', '1 hour')")
        assert await tiers.shortage(connection) == (
            "TimescaleDB has 1 jobs of yours to run, and timescaledb.max_background_workers is 0 "
            "and max_worker_processes is 8: set them to 2 and 13."
        )
    await check(database)


@pytest.mark.parametrize("tier", [Tier.TIMESCALE])
async def test_a_refresh_that_fails_half_way_leaves_right_answers_and_nobody_waiting(database: Database) -> None:
    rollups = RollupStore(database)
    await CandleStore(database).write([candle(minute, 1.0, 1, 1.0, True) for minute in range(300)])
    await rollups.refresh()
    await CandleStore(database).write([candle(minute, 5.0, 1, 2.0, True) for minute in range(100, 200)])
    async with database.connection() as connection:
        await connection.execute("ALTER MATERIALIZED VIEW rolled_daily RENAME TO rolled_elsewhere")
    with pytest.raises(asyncpg.UndefinedTableError):
        await rollups.refresh()
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 0
        finer = await connection.fetchval("SELECT max(high) FROM rolled_12hour")
        coarser = await connection.fetchval("SELECT max(high) FROM rolled_7day")
        assert (finer, coarser) == (6.0, 2.0)
    await check(database)
    async with database.connection() as connection:
        await connection.execute("ALTER MATERIALIZED VIEW rolled_elsewhere RENAME TO rolled_daily")
    assert await rollups.refresh() == 2  # one span on either side of Monday
    assert await rollups.dirty_count() == 0
    await check(database)
