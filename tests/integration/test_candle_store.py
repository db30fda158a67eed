"""What candle writes promise: sources, commuting, the ledger, coverage last."""

import asyncio
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.stores.candles import CandleStore, StoredCandle, WriteResult, write_on
from app.stores.coverage import CoverageStore
from app.stores.database import Database
from common.interval import Interval
from common.market import Bar
from common.span import DAY_MS, MINUTE_MS, Span, union

T0 = 1_609_459_200_000
LEAN = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture
def store(database: Database) -> CandleStore:
    return CandleStore(database)


def candle(
    minute: int = 0, close: float = 1.5, volume: float = 10, source: int = 3, symbol: int = 1
) -> StoredCandle:
    return StoredCandle(symbol, T0 + minute * MINUTE_MS, 1, 2, 0.5, close, volume, close * 7, 7, source)


async def stored(database: Database) -> list[StoredCandle]:
    async with database.connection() as connection:
        return [
            StoredCandle(*row) for row in await connection.fetch("SELECT * FROM candles ORDER BY symbol_id, time")
        ]


async def ledger(database: Database) -> list[tuple[int, int, int]]:
    """(symbol, first changed minute, minute after the last)."""
    async with database.connection() as connection:
        rows = await connection.fetch("SELECT symbol_id, lower(span), upper(span) FROM rollup_dirty ORDER BY id")
    return [(row[0], (row[1] - T0) // MINUTE_MS, (row[2] - T0) // MINUTE_MS) for row in rows]


async def test_prices_are_stored_and_read_to_the_last_bit(store: CandleStore, database: Database) -> None:
    tiny = StoredCandle(1, T0, 0.00001234, 1e-12, 5e-324, 0.1 + 0.2, 0.43452729999999995, None, None, 3)
    await store.write([tiny])
    assert await stored(database) == [tiny]
    assert await store.read(1, Interval.M1, T0, T0 + MINUTE_MS, 1) == [Bar(*tiny[1:9])]


async def test_a_lower_source_never_overwrites_a_higher_one(store: CandleStore, database: Database) -> None:
    await store.write([candle(volume=10, source=3)])
    assert await store.write([candle(volume=99, source=1), candle(volume=98, source=2)]) == WriteResult(0, [])
    assert await stored(database) == [candle(volume=10, source=3)]


async def test_equal_streamed_sources_keep_the_larger_volume(store: CandleStore, database: Database) -> None:
    await store.write([candle(volume=10, source=2)])
    await store.write([candle(volume=9, source=2)])
    assert await store.write([candle(volume=11, source=2)]) == WriteResult(1, [(1, T0)])
    assert await stored(database) == [candle(volume=11, source=2)]


async def test_a_later_rest_answer_replaces_an_earlier_one(store: CandleStore, database: Database) -> None:
    await store.write([candle(close=1.5)])
    assert await store.write([candle(close=1.6), candle(close=1.4)]) == WriteResult(1, [(1, T0)])
    assert await stored(database) == [candle(close=1.4)]


async def test_history_repairs_what_the_stream_told_wrong(store: CandleStore, database: Database) -> None:
    await store.write([candle(minute, volume=1, source=1) for minute in range(3)])
    result = await store.write([candle(minute, volume=5) for minute in range(3)])
    assert result == WriteResult(3, [(1, T0 + minute * MINUTE_MS) for minute in range(3)])
    assert await stored(database) == [candle(minute, volume=5) for minute in range(3)]


async def test_rewriting_the_same_touches_nothing(store: CandleStore, database: Database) -> None:
    rows = [candle(minute) for minute in range(50)]
    await store.write(rows)
    before = await _tuples(database)
    assert await store.write(rows) == WriteResult(0, [])
    assert (await _tuples(database), await ledger(database)) == (before, [(1, 0, 50)])


async def _tuples(database: Database) -> list[object]:
    async with database.connection() as connection:
        return [
            tuple(row)
            for row in await connection.fetch(
                "SELECT ctid::text, xmin::text, xmax::text FROM candles ORDER BY time"
            )
        ]


async def test_a_record_that_confirms_a_minute_is_no_change(store: CandleStore, database: Database) -> None:
    await store.write([candle(source=1)])
    assert await store.write([candle(source=3)]) == WriteResult(0, [])
    assert await stored(database) == [candle(source=3)]
    assert await ledger(database) == [(1, 0, 1)]


async def test_the_ledger_names_changed_minutes_alone_in_few_spans(store: CandleStore, database: Database) -> None:
    await store.write([candle(minute) for minute in range(3000)])
    await store.write([candle(minute, close=9 if minute == 1500 else 1.5) for minute in range(3000)])
    assert await ledger(database) == [(1, 0, 3000), (1, 1500, 1501)]


async def test_a_page_that_repeats_a_stored_minute_is_merged_whole(store: CandleStore, database: Database) -> None:
    await store.write([candle(minute) for minute in range(100)])
    assert (await store.write([candle(minute) for minute in range(99, 200)])).changed == 100
    assert await stored(database) == [candle(minute) for minute in range(200)]


async def test_a_minute_outside_every_partition_does_not_stop_a_batch(
    store: CandleStore, database: Database
) -> None:
    odd = candle()._replace(open_ms=MINUTE_MS)
    assert (await store.write([odd, candle()])).changed == 2
    assert await stored(database) == [odd, candle()]


async def test_two_writes_in_one_transaction_do_not_mix(database: Database) -> None:
    async with database.begin() as connection:
        assert (await write_on(connection, [candle(0, close=1)], now_ms=T0)).changed == 1
        assert (await write_on(connection, [candle(1, close=1)], now_ms=T0)).changed == 1
        assert await write_on(connection, [candle(0, close=2)], now_ms=T0) == WriteResult(1, [(1, T0)])
    assert [row.close for row in await stored(database)] == [2, 1]


versions = st.builds(
    candle,
    minute=st.integers(0, 3),
    close=st.sampled_from([1.4, 1.5]),
    volume=st.sampled_from([1.0, 2.0]),
    source=st.sampled_from([1, 2]),
)


@LEAN
@given(
    streamed=st.lists(versions, max_size=8),
    records=st.dictionaries(st.integers(0, 3), st.sampled_from([1.4, 1.5]), max_size=3),
    order=st.randoms(use_true_random=False),
)
async def test_writes_commute(
    database: Database, streamed: list[StoredCandle], records: dict[int, float], order: random.Random
) -> None:
    """Any order, cut into any batches, ends in the same rows."""
    told = streamed + [candle(minute, close) for minute, close in records.items()]
    ends = []
    for _ in range(2):
        async with database.begin() as connection:
            await connection.execute("TRUNCATE candles")
        order.shuffle(told)
        cut = order.randint(0, len(told))
        for batch in (told[:cut], told[cut:]):
            await CandleStore(database).write(batch)
        ends.append(await stored(database))
    assert ends[0] == ends[1]
    assert {row.open_ms for row in ends[0]} == {row.open_ms for row in told}


async def test_concurrent_writers_of_the_same_minutes_agree(store: CandleStore, database: Database) -> None:
    batches = [
        [candle(minute, volume=volume, source=2, symbol=symbol) for minute in range(20) for symbol in (1, 2, 65)]
        for volume in (1, 5, 3, 2)
    ]
    results = await asyncio.gather(*(store.write(batch[::step]) for batch in batches for step in (1, -1)))
    assert {row.volume for row in await stored(database)} == {5}
    # Whoever came second to a minute and changed it knows that it was a correction.
    assert sum(result.changed - len(result.corrected) for result in results) == 60


spans = st.tuples(st.integers(0, 60), st.integers(0, 20)).map(
    lambda pair: Span(T0 + pair[0] * MINUTE_MS, T0 + sum(pair) * MINUTE_MS)
)


@LEAN
@given(steps=st.lists(spans, max_size=8), asked=spans)
async def test_coverage_in_the_database_is_the_arithmetic_of_spans(
    database: Database, steps: list[Span], asked: Span
) -> None:
    async with database.begin() as connection:
        await connection.execute("TRUNCATE coverage")
    coverage = CoverageStore(database)
    for span in steps:
        await CandleStore(database).write([], cover=[(1, span), (2, span)])
    assert await coverage.covered([1, 2, 3]) == {1: union(steps), 2: union(steps), 3: []}
    if not asked.is_empty():
        assert await coverage.missing([1, 3], asked) == {1: asked.minus(steps), 3: [asked]}
        await coverage.want({1: asked})
        assert await coverage.wanted([1]) == {1: [asked]}


async def test_covered_means_committed(store: CandleStore, database: Database) -> None:
    """A batch that fails covers nothing."""
    broken = candle(1)._replace(open=None)
    with pytest.raises(ValueError, match=r"open=None.* cannot be stored"):
        await store.write([candle(0), broken], cover=[(1, Span(T0, T0 + 2 * MINUTE_MS))])
    assert await CoverageStore(database).covered([1]) == {1: []}
    assert await stored(database) == []


async def test_the_newest_bars_are_found_however_far_back_they_lie(store: CandleStore) -> None:
    minutes = [0, 1, 5 * 1440, 900 * 1440]
    await store.write([candle(minute) for minute in minutes])
    end_ms = T0 + 1000 * DAY_MS
    bars = [Bar(*candle(minute)[1:9]) for minute in minutes]
    assert await store.read(1, Interval.M1, None, end_ms, 3) == bars[1:]
    assert await store.read(1, Interval.M1, None, end_ms, 3, newest=False) == bars[:3]
    assert await store.read(1, Interval.M1, T0 + 1, bars[-1].open_ms, 10) == bars[1:3]
    assert await store.last_close([1, 2]) == {1: (bars[-1].open_ms, bars[-1].close)}


async def test_a_reads_end_is_excluded_and_its_start_included(store: CandleStore) -> None:
    await store.write([candle(minute) for minute in range(0, 24 * 60, 30)])
    for interval in (Interval.M1, Interval.H1, Interval.H3):
        width_ms = interval.ms or 0
        bars = await store.read(1, interval, T0 + width_ms * 2, T0 + width_ms * 4, 10)
        expected = [T0 + width_ms * 2, T0 + width_ms * 3] if interval is not Interval.M1 else []
        assert [bar.open_ms for bar in bars] == expected
