"""What was known when: corrections keep the old values, and any moment can be asked of."""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from app.stores.candles import CandleStore, StoredCandle
from app.stores.database import Database
from app.stores.revisions import RevisionStore
from app.stores.rollups import RollupStore
from common.market import Bar
from common.span import MINUTE_MS, Span
from common.timeframe import parse
from tests.fixtures.known import Known
from tests.fixtures.web import BTC, NOW_MS, SetClock, aggregate, rest, store, web_deps

T0 = round(datetime(2024, 5, 15, 9, 57, tzinfo=UTC).timestamp() * 1000)
LAST = 20
EVER = Span(0, NOW_MS)
LEAN = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
FRAMES = [("1m", None), ("5m", None), ("7m", None), ("1h", None), ("1D", "Asia/Kathmandu"), ("1M", None)]


def candle(
    minute: int = 0, close: float = 1.5, volume: float = 10, source: int = 3, symbol: int = 1
) -> StoredCandle:
    return StoredCandle(symbol, T0 + minute * MINUTE_MS, 1, 2, 0.5, close, volume, close * 7, 7, source)


async def write(database: Database, rows: list[StoredCandle], at_ms: int) -> None:
    await CandleStore(database, SetClock(at_ms)).write(rows)


async def listed(database: Database) -> list[tuple]:
    return [tuple(one)[1:] for one in await RevisionStore(database).revisions(1, EVER, 1000)]


def as_listed(known: Known) -> list[tuple]:
    return [(*row[1:], since_ms, until_ms) for since_ms, until_ms, row in known.superseded()]


async def test_a_correction_keeps_the_old_values_with_their_source_and_time(database: Database) -> None:
    await write(database, [candle(close=1.5, source=2)], T0 + 70_000)
    await write(database, [candle(close=1.75)], T0 + 100_000)
    await write(database, [candle(close=1.25)], T0 + 200_000)
    first, second = candle(close=1.5, source=2), candle(close=1.75)
    assert await listed(database) == [
        (*first[1:], T0 + MINUTE_MS, T0 + 100_000),
        (*second[1:], T0 + 100_000, T0 + 200_000),
    ]


QUIET = {
    "a first write": [candle()],
    "the same again": [candle(), candle()],
    "a lower source later": [candle(), candle(close=1.25, source=2), candle(close=1.75, source=1)],
    "a smaller volume of the stream": [candle(volume=10, source=2), candle(volume=9, source=2)],
    "a record that confirms": [candle(source=1), candle(source=3)],
}


@pytest.mark.parametrize("writes", QUIET.values(), ids=QUIET)
async def test_what_corrects_nothing_makes_no_revision(database: Database, writes: list[StoredCandle]) -> None:
    for place, row in enumerate(writes):
        await write(database, [row], T0 + 10 * MINUTE_MS + place)
    assert await listed(database) == []


async def test_identical_rewrites_leave_no_trace_in_any_table(database: Database) -> None:
    rows = [candle(minute) for minute in range(-500, 500)]
    await write(database, rows, NOW_MS)
    await RollupStore(database).refresh()
    before = await traces(database)
    await write(database, rows, NOW_MS + 1000)
    await write(database, [row._replace(source=2, close=9.0) for row in rows], NOW_MS + 2000)
    assert await traces(database) == before


async def traces(database: Database) -> list[tuple]:
    """Where every row stands and who wrote it, dead ones included in the tables' sizes."""
    names = ("candles", "candle_revisions", "candle_arrivals", "rollup_dirty", "coverage", "stored_5min")
    found: list[tuple] = []
    async with database.connection() as connection:
        for name in names:
            rows = await connection.fetch(f"SELECT tableoid::int, ctid::text, xmin::text FROM {name}")
            found += sorted(tuple(row) for row in rows)
        sizes = "SELECT relname, pg_relation_size(oid) FROM pg_class WHERE relkind = 'r' ORDER BY 1"
        return found + [
            tuple(row)
            for row in await connection.fetch(sizes)
            if row["relname"].startswith(("candle", "rollup", "cover", "stored"))
        ]


Write = tuple[str, int, list[StoredCandle]]


def writes_of(random_: random.Random, count: int) -> list[Write]:
    """(how, milliseconds since the one before, rows), of minutes around the time at which they are written."""
    told: list[Write] = []
    for _ in range(count):
        how = random_.choice(["program", "program", "program", "hand"])
        source = 3 if how == "hand" else random_.choice([1, 2, 3])
        start, many = random_.randrange(LAST), random_.choice([1, 1, 2, 6, LAST])
        chosen = [at for at in range(start, min(LAST, start + many)) if random_.random() < 0.8]
        rows = [candle(at, random_.choice([1.25, 1.5]), random_.choice([0.1, 0.2, 10.0]), source) for at in chosen]
        if how == "hand":
            rows = [row._replace(quote_volume=None, trades=None) for row in rows]
        told.append((how, random_.randrange(0, 300_000), rows))
    return told


async def play(database: Database, told: list[Write], begin_ms: int) -> tuple[Known, list[int]]:
    """Write all of it, at times that start with `begin_ms`; the model, and the moments worth asking of."""
    known, at_ms, moments = Known(), begin_ms, [begin_ms]
    for how, after_ms, rows in told:
        at_ms += after_ms
        if how == "hand":
            rows = [by_hand(row, known) for row in rows]
            await insert(database, rows, at_ms)
        else:
            await write(database, rows, at_ms)
        known.write(rows, at_ms)
        moments += [at_ms - 1, at_ms, at_ms + 30_000]
        if after_ms % 3 == 0:
            await RollupStore(database).refresh()
    return known, moments


def by_hand(row: StoredCandle, known: Known) -> StoredCandle:
    """What ohlcvs has no column for stays where the values that it has are the same."""
    told = known.versions.get(row.open_ms)
    return told[-1][1]._replace(source=3) if told and told[-1][1][2:7] == row[2:7] else row


async def insert(database: Database, rows: list[StoredCandle], at_ms: int) -> None:
    async with database.begin() as connection:
        await connection.execute("SELECT set_config('candlehouse.now', $1::timestamptz::text, true)", at_ms)
        for row in rows:
            values = "INSERT INTO ohlcvs VALUES ($1, 'binance', 'BTC', 'USDT', $2, $3, $4, $5, $6)"
            await connection.execute(values, *row[1:7])


def same(found: list[Bar], wanted: list[Bar]) -> bool:
    """Everything bit by bit, but a sum of volumes within the last digit."""
    return [
        bar._replace(volume=pytest.approx(bar.volume, rel=1e-12), quote_volume=None, trades=None) for bar in wanted
    ] == [bar._replace(quote_volume=None, trades=None) for bar in found]


async def check(database: Database, known: Known, moments: list[int]) -> None:
    asked = RevisionStore(database)
    assert sorted(await listed(database), key=lambda one: (one[0], one[-1])) == as_listed(known)
    for at_ms in moments:
        minutes = known.minutes(at_ms)
        ends = [Span(minutes[0].open_ms, minutes[-1].open_ms + MINUTE_MS)] if minutes else []
        assert await asked.known(1, at_ms) == ends
        for text, zone in FRAMES:
            frame = parse(text, zone)
            bars = await asked.bars(1, frame, None, NOW_MS, 1000, at_ms)
            assert bars == minutes if text == "1m" else same(bars, aggregate(minutes, frame)), (text, at_ms - T0)
            if text == "5m":
                some = await asked.bars(1, frame, T0, T0 + 12 * MINUTE_MS, 2, at_ms)
                within = [bar for bar in aggregate(minutes, frame) if T0 <= bar.open_ms < T0 + 12 * MINUTE_MS]
                assert same(some, within[-2:])


@LEAN
@given(seed=st.integers(0, 10**9), count=st.integers(1, 9))
async def test_any_moment_is_answered_as_it_was(database: Database, seed: int, count: int) -> None:
    random_ = random.Random(seed)
    async with database.begin() as connection:
        await connection.execute(
            "TRUNCATE candles, candle_revisions, candle_arrivals, rollup_dirty, coverage, stored_5min,"
            " stored_1hour, stored_15min, stored_30min, stored_daily, stored_1month, stored_3hour, stored_6hour,"
            " stored_12hour, stored_7day, stored_14day"
        )
    await store(database, BTC, [])
    known, moments = await play(database, writes_of(random_, count), T0 + random_.randrange(-1, 30) * MINUTE_MS)
    await check(database, known, moments)


async def test_any_moment_is_answered_as_it_was_on_every_storage_tier(tier_database: Database) -> None:
    await store(tier_database, BTC, [])
    known, moments = await play(tier_database, writes_of(random.Random(5), 12), T0 + 4 * MINUTE_MS)
    assert len(known.superseded()) > 5
    await check(tier_database, known, moments[::3])


async def test_deleted_minutes_are_gone_from_every_moment_and_rewritten_ones_are_new(database: Database) -> None:
    await write(database, [candle(0), candle(1)], T0 + 10 * MINUTE_MS)
    await write(database, [candle(0, close=1.75)], T0 + 20 * MINUTE_MS)
    async with database.connection() as connection:
        await connection.execute("DELETE FROM candles WHERE time = $1", T0)
    asked, minute = RevisionStore(database), parse("1m")

    async def at(minutes: int) -> list[Bar]:
        return await asked.bars(1, minute, None, NOW_MS, 10, T0 + minutes * MINUTE_MS)

    assert [await at(15), await at(25)] == [[Bar(*candle(1)[1:9])]] * 2
    await write(database, [candle(0, close=1.25)], T0 + 30 * MINUTE_MS)
    assert [await at(25), await at(30)] == [
        [Bar(*candle(1)[1:9])],
        [Bar(*candle(0, close=1.25)[1:9]), Bar(*candle(1)[1:9])],
    ]


async def test_a_revision_costs_at_most_150_bytes_with_its_index(database: Database) -> None:
    for close in (1.25, 1.5, 1.75):
        await write(database, [candle(minute, close) for minute in range(20_000)], NOW_MS)
    async with database.connection() as connection:
        count, size = await connection.fetchrow(
            "SELECT count(*), pg_total_relation_size('candle_revisions') FROM candle_revisions"
        )
    assert count == 40_000
    assert size / count <= 150


@pytest.fixture
async def web(database: Database, redis_client: Redis) -> AsyncIterator[httpx.AsyncClient]:
    await store(database, BTC, [])
    for minute in range(3):
        await write(database, [candle(minute, source=2)], T0 + (minute + 1) * MINUTE_MS + 1000)
    await write(database, [candle(0, close=1.25), candle(2, close=1.75)], T0 + 10 * MINUTE_MS)
    await write(database, [candle(0, close=1.75), candle(-5)], T0 + 20 * MINUTE_MS)
    async with rest(web_deps(database, redis_client, SetClock())) as client:
        yield client


MARKET = {"exchange": "binance", "base_id": "BTC", "quote_id": "USDT"}


def row(at: int, close: float) -> dict[str, float]:
    bar = candle(at, close)
    return {"time": bar.open_ms} | dict(zip(("open", "high", "low", "close", "volume"), bar[2:7], strict=True))


AS_OF = {
    "before all": (T0, []),
    "while the second minute runs": (T0 + 2 * MINUTE_MS - 1, [row(0, 1.5)]),
    "before the correction": (T0 + 10 * MINUTE_MS - 1, [row(0, 1.5), row(1, 1.5), row(2, 1.5)]),
    "at the correction": (T0 + 10 * MINUTE_MS, [row(0, 1.25), row(1, 1.5), row(2, 1.75)]),
    "after all": (T0 + 20 * MINUTE_MS, [row(-5, 1.5), row(0, 1.75), row(1, 1.5), row(2, 1.75)]),
    "as a date": ("2024-05-15T10:06:59+00:00", [row(0, 1.5), row(1, 1.5), row(2, 1.5)]),
    "as a date of another zone": ("2024-05-15T12:07+02:00", [row(0, 1.25), row(1, 1.5), row(2, 1.75)]),
}


@pytest.mark.parametrize(("as_of", "wanted"), AS_OF.values(), ids=AS_OF)
async def test_rest_answers_as_of_any_moment(
    web: httpx.AsyncClient, as_of: int | str, wanted: list[dict[str, float]]
) -> None:
    answer = await web.get("/api/ohlcvs", params={**MARKET, "interval": "1m", "as_of": as_of})
    assert (answer.status_code, answer.json()) == (200, wanted)


async def test_rest_fills_and_names_partial_bars_as_it_would_have_then(web: httpx.AsyncClient) -> None:
    asked = {**MARKET, "interval": "5m", "details": "true", "as_of": T0 + 10 * MINUTE_MS}
    (bar,) = (await web.get("/api/ohlcvs", params=asked)).json()[:1]
    assert (bar["time"], bar["close"], bar["partial"]) == (T0 - 2 * MINUTE_MS, 1.75, True)
    filled = (await web.get("/api/ohlcvs", params={**asked, "fill": "null"})).json()
    assert [one["close"] for one in filled] == [1.75, None, None]


REFUSED = {
    "as_of lies": (
        "/api/ohlcvs",
        {"interval": "1m", "as_of": NOW_MS + 1},
        f"as_of {NOW_MS + 1} lies in the future.",
    ),
    "as_of must": (
        "/api/ohlcvs",
        {"interval": "1m", "as_of": "yesterday"},
        "as_of must be UTC ms, or a date such as 2024-01-31T12:00:00Z, not 'yesterday'.",
    ),
    "start": ("/api/revisions", {"start": 5, "end": 4}, "start 5 is after end 4."),
    "limit": ("/api/revisions", {"start": 5, "limit": -1}, "limit must not be negative, and is -1."),
}


@pytest.mark.parametrize(("path", "asked", "sentence"), REFUSED.values(), ids=REFUSED)
async def test_moments_that_cannot_be_are_refused_in_one_sentence(
    web: httpx.AsyncClient, path: str, asked: dict[str, int | str], sentence: str
) -> None:
    answer = await web.get(path, params={**MARKET, **asked})
    assert (answer.status_code, answer.json()["detail"]) == (422, sentence)


async def test_rest_lists_all_revisions_of_a_range_page_by_page(web: httpx.AsyncClient) -> None:
    def revision(
        number: int, at: int, close: float, source: int, since: int, until: int
    ) -> dict[str, float | None]:
        bar = candle(at, close)
        times = {"known_from": T0 + since * MINUTE_MS, "superseded_at": T0 + until * MINUTE_MS}
        figures = {"quote_volume": bar.quote_volume, "trades": bar.trades, "source": source}
        return {"id": number} | row(at, close) | figures | times

    every = [revision(1, 0, 1.5, 2, 1, 10), revision(2, 2, 1.5, 2, 3, 10), revision(3, 0, 1.25, 3, 10, 20)]

    async def ask(**asked: int | str) -> list[dict[str, float]]:
        answer = await web.get("/api/revisions", params={**MARKET, **asked})
        assert answer.status_code == 200, answer.text
        found: list[dict[str, float]] = answer.json()
        return found

    assert await ask(start="2024-05-15") == every
    assert await ask(start=T0 + 1, end=T0 + 2 * MINUTE_MS) == every[1:2]
    assert await ask(start=T0, end=T0) == every[::2]
    assert [await ask(start=T0, limit=2), await ask(start=T0, limit=2, after=2)] == [every[:2], every[2:]]
    assert await ask(start=T0, limit=0) == []


async def test_sql_knows_revisions_and_moments_by_name(web: httpx.AsyncClient, database: Database) -> None:
    """Each value of the view and of candles_as_of() is what the stores say."""
    async with database.connection() as connection:
        found = await connection.fetch(
            "SELECT id, time, open, high, low, close, volume, quote_volume, trades, source, known_from,"
            " superseded_at FROM ohlcvs_revisions"
            " WHERE (exchange, base_id, quote_id) = ('binance', 'BTC', 'USDT') ORDER BY id"
        )
        named = "SELECT bucket, close FROM candles_as_of('binance', 'btc', 'usdt', '5m', $1, newest => 2)"
        bars = [tuple(one) for one in await connection.fetch(named, T0 + 10 * MINUTE_MS)]
    assert [tuple(one) for one in found] == await RevisionStore(database).revisions(1, EVER, 10)
    assert bars == [(T0 - 2 * MINUTE_MS, 1.75)]


async def test_two_writers_at_once_leave_one_chain_of_revisions(database: Database) -> None:
    batches = [[candle(minute, close=1 + n / 8) for minute in range(20)] for n in range(8)]
    await asyncio.gather(*(write(database, rows, T0 + 60 * MINUTE_MS + n) for n, rows in enumerate(batches)))
    for minute in range(20):
        span = Span(T0 + minute * MINUTE_MS, T0 + (minute + 1) * MINUTE_MS)
        closes = [one.close for one in await RevisionStore(database).revisions(1, span, 100)]
        (bar,) = await RevisionStore(database).bars(1, parse("1m"), *span, 1, NOW_MS)
        assert sorted([*closes, bar.close]) == [1 + n / 8 for n in range(8)]
