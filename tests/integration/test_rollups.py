"""At every moment, at every timeframe, a bar is what aggregating its minutes gives."""

import asyncio
import random
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.stores.candles import SUFFIXES, CandleStore, StoredCandle
from app.stores.database import Database
from app.stores.rollups import RollupStore
from app.stores.symbols import SymbolStore
from common.interval import ROLLUPS, Interval
from common.market import Bar, Instrument
from common.span import MINUTE_MS

#: Two hours before a Monday that begins a month.
T0 = round(datetime(2021, 1, 31, 22, tzinfo=UTC).timestamp() * 1000)
FAR_MS = T0 + 400 * 86_400_000
NAMES = {1: ("binance", "BTC", "USDT"), 2: ("binance", "ETH", "BTC")}
ALL = "bucket, exchange, base_id, quote_id, open, high, low, close, volume"


def candle(minute: int, price: float, symbol: int, volume: float, full: bool) -> StoredCandle:
    quote_volume, trades = (volume * 2, 3) if full else (None, None)
    open_ms = T0 + minute * MINUTE_MS
    return StoredCandle(symbol, open_ms, price, price + 1, price / 2, price + 0.1, volume, quote_volume, trades, 3)


def exact(value: float) -> Decimal:
    """What PostgreSQL makes of a double precision as numeric: fifteen digits."""
    return Decimal(f"{value:.15g}")


def aggregate(interval: Interval, rows: Iterable[StoredCandle]) -> list[Bar]:
    """The bars of one symbol's minutes, the slow and obvious way."""
    buckets: dict[int, list[StoredCandle]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: row.open_ms):
        buckets[interval.floor(row.open_ms)].append(row)
    return [_bar(bucket, members) for bucket, members in sorted(buckets.items())]


def _bar(bucket: int, rows: list[StoredCandle]) -> Bar:
    full = all(row.trades is not None for row in rows)
    return Bar(
        bucket,
        rows[0].open,
        max(row.high for row in rows),
        min(row.low for row in rows),
        rows[-1].close,
        float(sum(exact(row.volume) for row in rows)),
        float(sum(exact(row.quote_volume or 0) for row in rows)) if full else None,
        sum(row.trades or 0 for row in rows) if full else None,
    )


async def minutes(connection: asyncpg.Connection) -> dict[int, list[StoredCandle]]:
    found: dict[int, list[StoredCandle]] = {symbol: [] for symbol in NAMES}
    for row in await connection.fetch("SELECT * FROM candles"):
        found[row["symbol_id"]].append(StoredCandle(*row))
    return found


async def views(connection: asyncpg.Connection) -> dict[Interval, list[tuple]]:
    return {
        interval: sorted(
            tuple(row) for row in await connection.fetch(f"SELECT {ALL} FROM ohlcvs_summary_{SUFFIXES[interval]}")
        )
        for interval in ROLLUPS
    }


def truth(rows: dict[int, list[StoredCandle]]) -> dict[Interval, list[tuple]]:
    return {
        interval: sorted(
            (bar.open_ms, *NAMES[symbol], *bar[1:6])
            for symbol, members in rows.items()
            for bar in aggregate(interval, members)
        )
        for interval in ROLLUPS
    }


async def check(database: Database) -> None:
    """Views and reads against the minutes, in one snapshot."""
    async with database.connection() as connection, connection.transaction(isolation="repeatable_read"):
        rows = await minutes(connection)
        assert await views(connection) == truth(rows)
    for symbol, members in rows.items():
        for interval in Interval:
            read = await CandleStore(database).read(symbol, interval, None, FAR_MS, 10_000)
            assert read == aggregate(interval, members)


@pytest.fixture
async def symbols(database: Database) -> None:
    listed = [Instrument("binance", "BTC", "USDT", "BTCUSDT"), Instrument("binance", "ETH", "BTC", "ETHBTC")]
    await SymbolStore(database).upsert("binance", listed, T0)


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
steps = st.lists(st.one_of(written, deletions, st.just("refresh")), min_size=1, max_size=6)


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(steps=steps)
async def test_bars_equal_their_minutes_after_any_interleaving(
    database: Database, symbols: None, steps: list
) -> None:
    """Writes, corrections, deletions, deep history and refreshes in any order, checked after each."""
    async with database.begin() as connection:
        await connection.execute("DELETE FROM candles")
    for step in steps:
        if step == "refresh":
            await RollupStore(database).refresh()
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


async def test_a_reader_between_writers_and_refreshers_never_sees_a_wrong_bar(
    database: Database, symbols: None
) -> None:
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


async def test_deep_history_shows_in_every_timeframe_at_once_and_without_a_manual_step(
    database: Database, symbols: None
) -> None:
    store, rollups = CandleStore(database), RollupStore(database)
    await store.write([candle(minute, 1.0, 1, 1.0, True) for minute in range(300)])
    assert await rollups.refresh() > 0
    await store.write([candle(minute - 200 * 1440, 2.0, 1, 1.0, True) for minute in range(300)])
    await check(database)
    assert await rollups.refresh() > 0
    await check(database)


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
