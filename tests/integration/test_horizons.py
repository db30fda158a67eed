"""What a horizon refuses, whom it waits for, and how its minutes go."""

import asyncio

import asyncpg
import pytest

from app.jobs.retain import Retained, retain
from app.stores.candles import CandleStore, StoredCandle, WriteResult, write_on
from app.stores.database import Database
from app.stores.errors import FetchError
from app.stores.pages import Answered, Lease
from app.stores.rollups import RollupStore
from app.tiers import Tier, raise_to
from app.wiring import Stores
from common.clock import Clock
from common.interval import ROLLUPS, Interval
from common.market import Bar
from common.span import DAY_MS, MINUTE_MS, Span
from common.timeframe import parse
from tests.fixtures.bars import FAR_MS, NAMES, T0, candle, list_symbols
from tests.fixtures.retention import stores_of
from tests.fixtures.tiers import open_tier

#: TimescaleDB in WebAssembly is slow on a busy machine.
pytestmark = pytest.mark.timeout(900)

#: Midnight two hours after T0.
HORIZON_MS = T0 + 120 * MINUTE_MS
CLOCK = Clock(1e-9, T0 + 20 * DAY_MS)
PAGE = Span(HORIZON_MS - DAY_MS, HORIZON_MS)


async def stored(database: Database) -> list[tuple[int, int]]:
    async with database.connection() as connection:
        return [tuple(row) for row in await connection.fetch("SELECT symbol_id, time FROM candles ORDER BY 1, 2")]


async def answers(database: Database) -> dict[tuple, list[Bar]]:
    store = CandleStore(database)
    return {
        (symbol, interval): await store.read(symbol, interval, None, FAR_MS, 10_000)
        for symbol in NAMES
        for interval in ROLLUPS
    }


@pytest.fixture
async def stores(database: Database) -> Stores:
    """Two markets with minutes on both sides of a horizon that is the first one's alone."""
    return await filled(stores_of(database, CLOCK))


async def filled(stores: Stores) -> Stores:
    await list_symbols(stores.db)
    both = [candle(minute, 1.0 + minute, symbol, 1.0, True) for minute in range(0, 240, 7) for symbol in (1, 2)]
    await stores.candles.write(both, cover=[(1, Span(T0, T0 + DAY_MS))])
    await stores.coverage.want({1: Span(T0 - DAY_MS, T0 + DAY_MS), 2: Span(T0 - DAY_MS, T0 + DAY_MS)})
    assert await retain(stores, [1], HORIZON_MS) == Retained(1, 18, True)
    return stores


async def test_late_candles_are_refused_and_counted_and_newer_ones_of_the_same_write_stored(
    stores: Stores,
) -> None:
    before, bars = await stored(stores.db), await answers(stores.db)
    late = [candle(minute, 9.0, 1, 9.0, True) for minute in (-1440, 0, 119)]
    assert await stores.candles.write(late, cover=[(1, PAGE)]) == WriteResult(0, [], 3)
    assert (await stored(stores.db), await answers(stores.db)) == (before, bars)
    assert await stores.candles.write([*late, candle(120, 9.0, 1, 9.0, True)]) == WriteResult(1, [], 3)
    assert await stored(stores.db) == sorted([*before, (1, HORIZON_MS)])
    assert await stores.coverage.covered([1]) == {1: [Span(T0, T0 + DAY_MS)]}


async def test_before_a_horizon_nothing_is_wanted_planned_or_a_gap(stores: Stores) -> None:
    span = Span(T0 - DAY_MS, T0 + 2 * DAY_MS)
    assert (await stores.coverage.wanted([1, 2])) == {
        1: [Span(HORIZON_MS, T0 + DAY_MS)],
        2: [Span(T0 - DAY_MS, T0 + DAY_MS)],
    }
    job_id = await stores.plan.create("binance", [1], span)
    assert (await stores.coverage.wanted([1])) == {1: [Span(HORIZON_MS, span.end_ms)]}
    leases: list[Lease] = []
    while found := await stores.plan.lease(job_id, "worker", lambda _, piece: piece):
        leases += found
    assert [lease.span for lease in leases] == [Span(T0 + DAY_MS, span.end_ms)]
    assert (await stores.coverage.missing([1, 2], PAGE)) == {1: [], 2: [PAGE]}
    old = await stores.plan.create("binance", [1], PAGE)
    assert (await stores.plan.progress(old)).state == "done"


async def test_failures_of_minutes_that_are_not_kept_are_over_and_others_stay(database: Database) -> None:
    stores = stores_of(database, CLOCK)
    await list_symbols(database)
    for start_ms in (T0, HORIZON_MS - MINUTE_MS):
        span = Span(start_ms, start_ms + 2 * MINUTE_MS)
        await stores.errors.record(FetchError("binance", "BTCUSDT", span, "Malformed", "cut", symbol_id=1), T0)
    await stores.candles.write([candle(0, 1.0, 1, 1.0, True)])
    assert await retain(stores, [1], HORIZON_MS) == Retained(1, 1, True)
    async with database.connection() as connection:
        left = await connection.fetch("SELECT start_date FROM ohlcvs_errors WHERE repaired_at IS NULL")
    assert [row[0] for row in left] == [HORIZON_MS - MINUTE_MS]


async def test_minutes_before_a_horizon_are_in_no_state_and_in_no_gap(stores: Stores) -> None:
    async with stores.db.connection() as connection:
        states = await connection.fetch("SELECT lower(span) FROM minute_states(1) ORDER BY 1")
        gaps = await connection.fetch("SELECT starts FROM gaps WHERE base_id = 'BTC'")
    assert states[0][0] == HORIZON_MS
    assert all(gap[0] >= HORIZON_MS for gap in gaps)


async def test_a_minute_inserted_by_hand_is_refused_with_the_reason(stores: Stores) -> None:
    before = await stored(stores.db)
    insert = "INSERT INTO ohlcvs VALUES ($1, 'binance', $2, $3, 1, 1, 1, 1, 1)"
    async with stores.db.connection() as connection:
        with pytest.raises(asyncpg.PostgresError) as told:
            await connection.execute(insert, HORIZON_MS - MINUTE_MS, "BTC", "USDT")
        assert told.value.args[0] == (
            "Minutes of this market before 2021-02-01 00:00:00+00 are not kept any more, "
            "and 2021-01-31 23:59:00+00 is one."
        )
        assert await stored(stores.db) == before
        await connection.execute(insert, HORIZON_MS, "BTC", "USDT")
        await connection.execute(insert, HORIZON_MS - 2 * MINUTE_MS, "ETH", "BTC")
    assert set(await stored(stores.db)) - set(before) == {(1, HORIZON_MS), (2, HORIZON_MS - 2 * MINUTE_MS)}


async def test_deleting_or_noting_minutes_before_a_horizon_by_hand_changes_no_bar(stores: Stores) -> None:
    bars = await answers(stores.db)
    async with stores.db.connection() as connection:
        await connection.execute(
            "INSERT INTO rollup_dirty (symbol_id, span) VALUES (1, tstzrange($1, $2))", T0 - DAY_MS, T0 + DAY_MS
        )
        spans = await connection.fetch("SELECT symbol_id, lower(span), upper(span) FROM rollup_dirty")
    assert [tuple(row) for row in spans] == [(1, HORIZON_MS, T0 + DAY_MS)]
    assert await answers(stores.db) == bars
    await stores.rollups.refresh()
    assert await answers(stores.db) == bars


async def test_a_market_whose_older_minutes_are_being_fetched_waits(stores: Stores) -> None:
    job_id = await stores.plan.create("binance", [2], PAGE)
    (found,) = await stores.retention.find([1, 2], HORIZON_MS)
    assert (found.symbol_id, found.minutes, found.fetched) == (2, 18, True)
    assert await retain(stores, [1, 2], HORIZON_MS) == Retained(0, 0, True)
    (lease,) = await stores.plan.lease(job_id, "worker", lambda _, piece: piece)
    assert await retain(stores, [2], HORIZON_MS) == Retained(0, 0, True)
    await stores.plan.cancel(job_id)
    assert await retain(stores, [2], HORIZON_MS) == Retained(1, 18, True)
    # The page was on its way when its job ended: what it answers is refused, and not known either.
    known = await stores.candles.known(2)
    late = [StoredCandle(2, PAGE.start_ms, 1, 1, 1, 1, 1, None, None, 3)]
    assert (await stores.plan.complete([Answered(lease, late, lease.span)])).refused == 1
    assert await stores.candles.known(2) == known


async def test_a_write_under_way_is_waited_for_and_rolled_up_first(stores: Stores) -> None:
    """It read that there is no horizon; its minutes must be in the bars before they go."""
    async with asyncio.timeout(60):
        async with stores.db.begin() as writing:
            await write_on(writing, [candle(-5, 5.0, 2, 1.0, True)], now_ms=CLOCK.now_ms())
            moving = asyncio.create_task(stores.retention.move([2], HORIZON_MS))
            while not await waiting(stores.db):
                assert not moving.done()
        assert await moving == []  # not rolled up yet
    assert await retain(stores, [2], HORIZON_MS) == Retained(1, 19, True)
    (bar, *_) = await stores.candles.read(2, Interval.M5, None, HORIZON_MS, 100, newest=False)
    assert (bar.open_ms, bar.close) == (T0 - 5 * MINUTE_MS, 5.1)


async def waiting(database: Database) -> bool:
    async with database.connection() as connection:
        return bool(
            await connection.fetchval("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        )


async def test_a_slice_that_ends_early_is_gone_on_with(stores: Stores) -> None:
    bars = await answers(stores.db)
    assert await retain(stores, [2], HORIZON_MS, for_s=0) == Retained(1, 0, False)
    assert await answers(stores.db) == bars
    assert await retain(stores, [2], HORIZON_MS) == Retained(0, 18, True)
    assert await answers(stores.db) == bars


async def test_bars_made_of_minutes_begin_with_the_first_whole_bucket_and_none_turns_partial(
    stores: Stores,
) -> None:
    async with stores.db.connection() as connection:
        query = "SELECT bucket, partial FROM candles('binance', 'BTC', 'USDT', $1) ORDER BY 1"
        sevens = [tuple(row) for row in await connection.fetch(query, "7m")]
        months = [tuple(row) for row in await connection.fetch(query, "1M")]
        thirds = [tuple(row) for row in await connection.fetch(query, "45m")]
    seven = parse("7m")
    assert sevens[0] == (seven.floor(HORIZON_MS - 1) + 7 * MINUTE_MS, False)
    january = Interval.MONTH.floor(T0)
    assert months == [(january, True), (Interval.MONTH.floor(HORIZON_MS), True)]
    assert [partial for _, partial in thirds] == [parse("45m").floor(T0) < T0, *[False] * (len(thirds) - 1)]


async def test_what_was_known_of_a_bar_over_the_horizon_is_left_out_when_its_minutes_are_gone(
    stores: Stores,
) -> None:
    """The week is right as it is now, but as it was before the correction only its minutes could tell."""
    tuesday = HORIZON_MS + DAY_MS
    await stores.candles.write([candle(2880 + minute, 1.0, 1, 1.0, True) for minute in range(3)])
    await retain(stores, [1], tuesday)
    now = [bar.open_ms for bar in await stores.candles.read(1, Interval.D7, None, FAR_MS, 9)]
    await stores.candles.write([candle(2880, 2.0, 1, 1.0, True)])
    query = "SELECT bucket FROM candles_as_of('binance', 'BTC', 'USDT', $1, $2, starts => $3) ORDER BY 1"
    async with stores.db.connection() as connection:
        before_ms = await connection.fetchval("SELECT max(superseded_at) - interval '1 ms' FROM candle_revisions")
        weeks = await connection.fetch(query, "1W", before_ms, T0 - 9 * DAY_MS)
        days = await connection.fetch(query, "1D", before_ms, T0 - 9 * DAY_MS)
    assert [row[0] for row in weeks] == now[:-1]
    assert days[-1][0] == tuesday


async def test_chunks_and_partitions_that_nobody_keeps_go_whole(tier_database: Database, tier: Tier) -> None:
    """And no others: the second market's oldest minutes hold the chunks that they are in."""
    stores = stores_of(tier_database, CLOCK)
    await list_symbols(tier_database)
    years = [StoredCandle(1, T0 - back * DAY_MS, 1, 1, 1, 1, 1, None, None, 3) for back in (2000, 1600, 800, 0)]
    await stores.candles.write([*years, StoredCandle(2, T0 - 1600 * DAY_MS, 1, 1, 1, 1, 1, None, None, 3)])
    await stores.rollups.refresh()
    await stores.rollups.pack(FAR_MS)
    bars = await answers(tier_database)
    assert await retain(stores, [1], HORIZON_MS - DAY_MS) == Retained(1, 2, True)
    left = [(1, T0), (2, T0 - 1600 * DAY_MS)]
    assert (await stored(tier_database), await answers(tier_database)) == (left, bars)
    assert await retain(stores, [1, 2], HORIZON_MS - DAY_MS) == Retained(1, 0, True)
    assert (await stored(tier_database), await answers(tier_database)) == (left[:1], bars)
    await stores.candles.write([candle(4, 2.0, 1, 1.0, True)])
    await stores.rollups.refresh()
    assert {key: found[:-1] for key, found in (await answers(tier_database)).items()} == {
        key: found[:-1] for key, found in bars.items()
    }


@pytest.mark.parametrize("tier", [Tier.APACHE, Tier.TIMESCALE])
async def test_a_raised_database_keeps_the_bars_whose_minutes_are_gone(plain_url: str, tier: Tier) -> None:
    database = open_tier(plain_url, tier)
    try:
        stores = await filled(stores_of(database, CLOCK))
        await stores.candles.write([candle(130, 7.0, 1, 1.0, True)])
        before = await answers(database)
        async with database.begin() as connection:
            await raise_to(connection, tier, lambda *_: None)
        assert await answers(database) == before
        await RollupStore(database).refresh()
        assert await answers(database) == before
        assert [spans async for spans in RollupStore(database).rebuild()]
        assert await answers(database) == before
    finally:
        await database.close()


async def test_a_market_may_change_before_the_horizon_of_another(tier_database: Database, tier: Tier) -> None:
    """On the timescale tier a refresh of its bars would make those of the other anew, of no minutes."""
    stores = await filled(stores_of(tier_database, CLOCK))
    bars = await answers(tier_database)
    for packed in (False, True):
        if packed:
            await stores.rollups.pack(FAR_MS)
        changed = [candle(minute, 50.0 + packed, 2, 3.0, True) for minute in (-1440, 5, 300)]
        await stores.candles.write(changed)
        mixed = await answers(tier_database)
        await stores.rollups.refresh()
        assert await answers(tier_database) == mixed
        assert {key: found for key, found in mixed.items() if key[0] == 1} == {
            key: found for key, found in bars.items() if key[0] == 1
        }
