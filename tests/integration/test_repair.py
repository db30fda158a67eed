"""What failed is asked again when its turn comes, what looks lost once more, and random history is compared."""

import random
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.jobs import recheck
from app.jobs.repair import find_lost, look
from app.jobs.verify import Difference, check, sample
from app.stores.database import Database
from app.stores.errors import ErrorStore, FetchError
from app.stores.repairs import RepairStore
from app.stores.revisions import RevisionStore
from app.stores.symbols import StoredSymbol
from celery_app import chain, slices
from common.interval import Interval
from common.span import MINUTE_MS, Span
from fetchers import registry
from tests.fixtures.instance import WHOLE_HISTORY, Instance, open_instance
from tests.fixtures.simulator import Simulator, simulator

__all__ = ["simulator"]

NOW_MS = 1_715_776_440_000
HOUR_MS = 60 * MINUTE_MS


@pytest.fixture
async def instance(simulator: Simulator, postgres_url: str, redis_url: str) -> AsyncIterator[Instance]:
    async with open_instance(simulator, postgres_url, redis_url) as opened:
        yield opened


def span_at(start: int, minutes: int = 10) -> Span:
    return Span(NOW_MS - start * MINUTE_MS, NOW_MS - (start - minutes) * MINUTE_MS)


async def fail(
    database: Database, span: Span, at_ms: int, kind: str = "Malformed", status: int | None = None
) -> None:
    error = FetchError("binance", "BTCUSDT", span, kind, "said so", status, symbol_id=1)
    await ErrorStore(database).record(error, at_ms)


BACK_OFF = [
    *(
        (attempts, "Malformed", None, minutes)
        for attempts, minutes in enumerate((1, 5, 30, 120, 720, 1440, 1440), 1)
    ),
    (1, "Rejected", 400, 1),
    *((1, "Rejected", status, 1440) for status in (403, 404, 451)),
    (1, "Blocked", None, 1440),
]


@pytest.mark.parametrize(("attempts", "kind", "status", "minutes"), BACK_OFF)
async def test_a_failed_span_waits_the_longer_the_more_often_it_failed(
    database: Database, attempts: int, kind: str, status: int | None, minutes: int
) -> None:
    span = span_at(500)
    for _ in range(attempts):
        await fail(database, span, NOW_MS, kind, status)
    repairs, after_ms = RepairStore(database), NOW_MS + minutes * MINUTE_MS
    assert [await repairs.due("binance", at_ms) for at_ms in (after_ms - 1, after_ms)] == [{}, {1: [span]}]
    assert await repairs.due("bitfinex", after_ms) == {}


async def test_a_span_waits_as_long_as_any_failure_that_touches_it(database: Database) -> None:
    """So that a page that fails in other bounds than before is not asked for in each minute."""
    await fail(database, span_at(500, 30), NOW_MS)
    await fail(database, span_at(490, 10), NOW_MS + HOUR_MS)
    repairs = RepairStore(database)
    assert await repairs.due("binance", NOW_MS + HOUR_MS) == {1: [span_at(500, 10), span_at(480, 10)]}
    assert await repairs.due("binance", NOW_MS + HOUR_MS + MINUTE_MS) == {1: [span_at(500, 30)]}


async def test_a_repair_asks_for_nothing_that_is_answered_leased_or_planned(instance: Instance) -> None:
    (market,) = await instance.know("binance", "BTC/USDT")
    plan, repairs = instance.resources.stores.plan, RepairStore(instance.resources.stores.db)
    await instance.fill([market], span_at(100))
    under_way = await instance.plan([market], span_at(70, 20))
    await plan.lease(under_way, "somebody", lambda _, piece: Span(piece.end_ms - 5 * MINUTE_MS, piece.end_ms))
    asked = {market.id: [span_at(110, 80)]}
    job_id = await repairs.plan("binance", asked, NOW_MS, "repair")
    assert job_id is not None
    async with instance.resources.stores.db.connection() as connection:
        rows = await connection.fetch(
            "SELECT lower(piece), upper(piece) FROM fetch_job_symbols, unnest(remaining) AS piece"
            " WHERE job_id = $1",
            job_id,
        )
    assert [Span(*row) for row in rows] == [span_at(110), span_at(90, 20), span_at(50, 20)]
    assert (await plan.progress(job_id)).minutes_total == 50
    assert await repairs.plan("binance", asked, NOW_MS, "repair") is None
    assert await repairs.plan("binance", {}, NOW_MS, "repair") is None


async def test_a_page_that_failed_is_asked_again_and_its_failure_closed(instance: Instance) -> None:
    (market,) = await instance.know("binance", "BTC/USDT")
    stores, span = instance.resources.stores, span_at(500, 300)
    instance.simulator.fault("binance", "truncate", count=3)
    await instance.fill([market], span)
    assert (await stores.errors.open_count("binance"), await instance.rows(market.id, span)) == (1, [])
    repairs, now_ms = RepairStore(stores.db), instance.resources.clock.now_ms()
    assert await repairs.due("binance", now_ms) == {}
    due = await repairs.due("binance", now_ms + 2 * MINUTE_MS)
    job_id = await repairs.plan("binance", due, now_ms, "repair")
    assert job_id is not None
    assert await instance.work(job_id, "binance")
    assert await instance.rows(market.id, span) == instance.truth(market, span)
    assert await stores.errors.open_count("binance") == 0


def days_ago(instance: Instance, days: float, minutes: int) -> Span:
    end_ms = instance.resources.clock.now_ms() // MINUTE_MS * MINUTE_MS - round(days * 1440) * MINUTE_MS
    return Span(end_ms - minutes * MINUTE_MS, end_ms)


async def lose(instance: Instance, market: StoredSymbol, span: Span) -> None:
    async with instance.resources.stores.db.connection() as connection:
        await connection.execute(
            "DELETE FROM candles WHERE symbol_id = $1 AND time >= $2 AND time < $3", market.id, *span
        )


async def audit(instance: Instance, exchange: str) -> int:
    """How many requests it took."""
    r, adapter, before = instance.resources, registry.get(exchange), len(instance.candle_requests())
    assert await recheck.audit(adapter, get=r.get(adapter), stores=r.stores, sink=r.sink, clock=r.clock, for_s=60)
    return len(instance.candle_requests()) - before


@pytest.mark.parametrize(("exchange", "symbol"), [("binance", "BTC/USDT"), ("bitfinex", "DASH/BTC")])
async def test_day_old_minutes_that_were_answered_with_nothing_are_asked_once_more(
    instance: Instance, exchange: str, symbol: str
) -> None:
    """Quiet ones as well as lost ones, where the exchange leaves quiet minutes out."""
    (market,) = await instance.know(exchange, symbol)
    old, young = days_ago(instance, 1.2, 600), days_ago(instance, 0.5, 100)
    for span in (old, young):
        await instance.fill([market], span)
    lost = Span(old.start_ms + 100 * MINUTE_MS, old.start_ms + 130 * MINUTE_MS)
    for span in (lost, young):
        await lose(instance, market, span)
    assert (len(instance.truth(market, old)) < old.minutes()) is (exchange == "bitfinex")
    assert await audit(instance, exchange) > 0
    assert await instance.rows(market.id, old) == instance.truth(market, old)
    assert await instance.rows(market.id, young) == []
    assert await audit(instance, exchange) == 0


async def test_a_refused_audit_is_tried_again_by_the_next(instance: Instance) -> None:
    (market,) = await instance.know("binance", "BTC/USDT")
    old = days_ago(instance, 1.2, 60)
    await instance.fill([market], old)
    await lose(instance, market, old)
    instance.simulator.fault("binance", "truncate", count=1)
    assert await audit(instance, "binance") == 1
    assert await instance.rows(market.id, old) == []
    await audit(instance, "binance")
    assert await instance.rows(market.id, old) == instance.truth(market, old)


async def test_looking_finds_gaps_failures_lost_minutes_and_rows_that_nobody_asked_for(instance: Instance) -> None:
    (market,) = await instance.know("binance", "BTC/USDT")
    r, adapter, end_ms = instance.resources, registry.get("binance"), days_ago(instance, 2, 0).end_ms

    def part(start: int, end: int) -> Span:
        return Span(end_ms + start * MINUTE_MS, end_ms + end * MINUTE_MS)

    await instance.fill([market], part(0, 100))
    lost = part(40, 50)
    await lose(instance, market, lost)
    await r.stores.coverage.want({market.id: part(90, 120)})
    await fail(r.stores.db, part(130, 140), r.clock.now_ms())
    async with r.stores.db.begin() as connection:
        await connection.execute(
            "INSERT INTO candles SELECT symbol_id, time + interval '1 day', open, high, low, close, volume, "
            "quote_volume, trades, source FROM candles WHERE time < $1",
            part(7, 7).start_ms,
        )
    assert market.id == 1
    found = await look(adapter, [market], part(0, 9999), part(0, 2000), stores=r.stores, clock=r.clock)
    assert found == ({1: [part(100, 120), part(130, 140)]}, {1: [lost]}, 7)
    some = await look(adapter, [market], part(110, 135), part(0, 45), stores=r.stores, clock=r.clock)
    assert some == ({1: [part(110, 120), part(130, 135)]}, {1: [part(40, 45)]}, 0)
    told = await find_lost(
        adapter, [market], found.absent, get=r.get(adapter), stores=r.stores, sink=r.sink, clock=r.clock
    )
    assert told == (10, [])
    assert await instance.rows(market.id, part(0, 100)) == instance.truth(market, part(0, 100))


async def test_nothing_before_a_horizon_is_looked_for(instance: Instance) -> None:
    (market,) = await instance.know("binance", "BTC/USDT")
    r, adapter, old = instance.resources, registry.get("binance"), days_ago(instance, 3, 60)
    await instance.fill([market], old)
    await lose(instance, market, old)
    await fail(r.stores.db, Span(old.start_ms - HOUR_MS, old.start_ms), r.clock.now_ms() - HOUR_MS)
    async with r.stores.db.begin() as connection:
        await connection.execute("UPDATE coverage SET horizon = bucket_daily($1::timestamptz)", r.clock.now_ms())
    ever = Span(0, old.end_ms)
    assert await look(adapter, [market], ever, old, stores=r.stores, clock=r.clock) == ({}, {}, 0)
    repairs = RepairStore(r.stores.db)
    due = await repairs.due("binance", r.clock.now_ms())
    assert await repairs.plan("binance", due, r.clock.now_ms(), "repair") is None
    assert await audit(instance, "binance") == 0


@pytest.mark.parametrize("exchange", registry.names())
async def test_verifying_finds_each_minute_that_differs_and_changes_nothing_unless_told(
    instance: Instance, exchange: str
) -> None:
    (market,) = await instance.know(exchange, "BTC/USDT")
    r, adapter = instance.resources, registry.get(exchange)
    span = days_ago(instance, 2 if exchange in WHOLE_HISTORY else 0.4, 60)
    await instance.fill([market], span)
    assert (
        await check(adapter, market, span, get=r.get(adapter), stores=r.stores, clock=r.clock)
    ).differences == []
    right = await r.stores.candles.read(market.id, Interval.M1, *span, 100)
    wrong, lost = right[3], right[7]
    async with r.stores.db.connection() as connection:
        await connection.execute("UPDATE candles SET close = close * 1.5 WHERE time = $1", wrong.open_ms)
    await lose(instance, market, Span(lost.open_ms, lost.open_ms + 1))
    wanted = [
        Difference(wrong.open_ms, wrong._replace(close=wrong.close * 1.5), wrong),
        Difference(lost.open_ms, None, lost),
    ]
    for sink in (None, r.sink):
        found = await check(
            adapter, market, span, get=r.get(adapter), stores=r.stores, clock=r.clock, repair_with=sink
        )
        assert (found.span, found.differences, found.refused) == (span, wanted, "")
    assert await r.stores.candles.read(market.id, Interval.M1, *span, 100) == right
    closes = [one.close for one in await RevisionStore(r.stores.db).revisions(market.id, span, 10)]
    assert closes == [wrong.close, wrong.close * 1.5]


async def test_a_range_that_cannot_be_asked_says_why(instance: Instance) -> None:
    (market,) = await instance.know("binance", "BTC/USDT")
    r, adapter, span = instance.resources, registry.get("binance"), days_ago(instance, 2, 60)
    instance.simulator.fault("binance", "truncate", count=1)
    found = await check(adapter, market, span, get=r.get(adapter), stores=r.stores, clock=r.clock)
    assert (found.differences, bool(found.refused)) == ([], True)


pieces = st.dictionaries(
    st.integers(1, 4),
    st.lists(st.tuples(st.integers(0, 500), st.integers(0, 300)), max_size=4).map(
        lambda pairs: [Span(at * MINUTE_MS, (at + many) * MINUTE_MS) for at, many in pairs]
    ),
    max_size=3,
)


@given(covered=pieces, minutes=st.integers(1, 400), count=st.integers(0, 20), seed=st.integers())
def test_a_sample_is_whole_pages_of_what_is_covered_and_the_same_for_the_same_seed(
    covered: dict[int, list[Span]], minutes: int, count: int, seed: int
) -> None:
    chosen = sample(random.Random(seed), covered, minutes, count)
    assert chosen == sample(random.Random(seed), covered, minutes, count)
    whole = [(one, span) for one, spans in covered.items() for span in spans if span.minutes()]
    assert len(chosen) == (count if whole else 0)
    for symbol_id, span in chosen:
        within = [piece for one, piece in whole if one == symbol_id and piece.clip(span) == span]
        assert any(span.minutes() == min(minutes, piece.minutes()) for piece in within)


def test_every_minute_is_as_likely_as_any_other() -> None:
    covered = {1: [Span(0, MINUTE_MS)], 2: [Span(0, 9 * MINUTE_MS)]}
    chosen = [symbol_id for symbol_id, _ in sample(random.Random(1), covered, 1, 5000)]
    assert 400 < chosen.count(1) < 600


async def test_an_audit_waits_while_anything_is_fetched_and_ends_its_chain(instance: Instance) -> None:
    (market,) = await instance.know("binance", "BTC/USDT")
    r, old = instance.resources, days_ago(instance, 1.2, 60)
    await instance.fill([market], old)
    await lose(instance, market, old)
    under_way = await instance.plan([market], days_ago(instance, 3, 10))
    instance.simulator.clear_log()
    assert await slices.audit(r, "binance", None) is None
    assert instance.candle_requests() == []
    await r.stores.plan.cancel(under_way)
    assert await slices.audit(r, "binance", None) is None
    assert await instance.rows(market.id, old) == instance.truth(market, old)
    assert await r.redis.exists("candlehouse:chain:audit:binance") == 0


async def test_an_audit_that_is_under_way_has_no_second_chain(instance: Instance) -> None:
    r = instance.resources
    token = await chain.begin_alone(r.redis, chain.of_audit("binance"))
    assert await slices.audit(r, "binance", None) is None
    assert await chain.begin_alone(r.redis, chain.of_audit("binance")) is None, "its chain was ended by a stranger"
    assert await slices.audit(r, "binance", token) is None
    assert await chain.begin_alone(r.redis, chain.of_audit("binance")) is not None
