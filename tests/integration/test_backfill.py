"""History through the whole path: adapter, budget, plan, database, compared with what the simulator calls true."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qs

import pytest

from common.clock import Clock
from common.errors import Retryable
from common.span import DAY_MS, MINUTE_MS, Span, floor_minute
from fetchers import registry
from tests.fixtures.instance import WHOLE_HISTORY, Instance, open_instance, until
from tests.fixtures.simulator import Simulator, simulator

__all__ = ["simulator"]

DAY = Span(1_789_171_200_000, 1_789_171_200_000 + DAY_MS)  # 2026-09-12
#: Across three calendar days, from and to the middle of a day.
ODD = Span(DAY.start_ms - 700 * MINUTE_MS, DAY.end_ms + 123 * MINUTE_MS)
PAIRS = ("BTC/USDT", "ETH/USDT")


@pytest.fixture
async def instance(simulator: Simulator, postgres_url: str, redis_url: str) -> AsyncIterator[Instance]:
    async with open_instance(simulator, postgres_url, redis_url) as opened:
        yield opened


def asked_span(entry: dict[str, Any]) -> tuple[str, Span]:
    """The market and the minutes that a Binance or Bitfinex candle request is about."""
    query = {name: values[0] for name, values in parse_qs(str(entry["query"])).items()}
    if "symbol" in query:
        return query["symbol"], Span(int(query["startTime"]), int(query["endTime"]) + 1)
    return entry["path"], Span(int(query["start"]), int(query["end"]) + 1)


@pytest.mark.parametrize("exchange", WHOLE_HISTORY)
async def test_a_filled_day_equals_the_truth_value_by_value_and_is_never_asked_again(
    instance: Instance, exchange: str
) -> None:
    markets = await instance.know(exchange, *PAIRS)
    await instance.fill(markets, DAY)
    for market in markets:
        truth = instance.truth(market, DAY)
        assert len(truth) > 1000 and await instance.rows(market.id, DAY) == truth
    before = instance.candle_requests()
    again = await instance.plan(markets, DAY)
    assert (await instance.resources.stores.plan.progress(again)).state == "done"
    assert await instance.work(again, exchange)
    assert instance.candle_requests() == before


@pytest.mark.parametrize("exchange", WHOLE_HISTORY)
async def test_a_span_that_starts_and_ends_within_days_loses_no_minute_of_any_day(
    instance: Instance, exchange: str
) -> None:
    markets = await instance.know(exchange, "BTC/USDT")
    await instance.fill(markets, ODD)
    around = Span(ODD.start_ms - DAY_MS, ODD.end_ms + DAY_MS)
    assert await instance.rows(markets[0].id, around) == instance.truth(markets[0], ODD)


async def test_an_exchange_of_the_newest_hours_gives_these_and_the_rest_is_told_and_stays_missing(
    instance: Instance,
) -> None:
    now_ms = floor_minute(instance.resources.clock.now_ms())
    asked, near = (
        Span(now_ms - DAY_MS, now_ms - 5 * MINUTE_MS),
        Span(now_ms - 700 * MINUTE_MS, now_ms - 5 * MINUTE_MS),
    )
    beyond = Span(asked.start_ms, near.start_ms)
    markets = await instance.know("kraken", "BTC/USDT", "DASH/USD")
    job = await instance.fill(markets, asked)
    for market in markets:
        truth = instance.truth(market, near)
        assert len(truth) == near.minutes() and await instance.rows(market.id, asked) == truth
        assert await instance.resources.stores.coverage.missing([market.id], asked) == {market.id: [beyond]}
    assert sorted(await errors_of(instance)) == sorted(
        (market.instrument.native, span.start_ms, span.end_ms, 1, False)
        for market in markets
        for span in (
            Span(beyond.start_ms, near.start_ms - 720 * MINUTE_MS),
            Span(near.start_ms - 720 * MINUTE_MS, near.start_ms),
        )
    )
    assert (await instance.resources.stores.plan.progress(job)).errors == 4


@pytest.mark.parametrize("exchange", ["binance", "bitfinex"])
async def test_pages_overlap_nothing_leave_nothing_out_and_no_request_is_extra(
    instance: Instance, exchange: str
) -> None:
    markets = await instance.know(exchange, *PAIRS)
    span = Span(DAY.start_ms - 6 * DAY_MS, DAY.end_ms + 7 * MINUTE_MS)
    await instance.fill(markets, span)
    by_market: dict[str, list[Span]] = {}
    for entry in instance.candle_requests():
        market, asked = asked_span(entry)
        by_market.setdefault(market, []).append(asked)
    pages = -(-span.minutes() // registry.get(exchange).limits.page_minutes)
    for spans in by_market.values():
        spans.sort()
        assert [one.end_ms for one in spans] == [*(one.start_ms for one in spans[1:]), span.end_ms]
        assert (spans[0].start_ms, len(spans)) == (span.start_ms, pages)
    assert len(by_market) == len(markets)


async def test_the_newest_minutes_come_first(instance: Instance) -> None:
    markets = await instance.know("binance", "BTC/USDT")
    job = await instance.plan(markets, Span(DAY.start_ms - DAY_MS, DAY.end_ms))
    await instance.work(job, "binance", lanes=1)
    ends = [asked_span(entry)[1].end_ms for entry in instance.candle_requests()]
    assert len(ends) == 3 and ends == sorted(ends, reverse=True)


async def test_an_answered_minute_without_candles_is_covered_and_not_asked_again(instance: Instance) -> None:
    instance.simulator.fault("bitfinex", "no_trades", start=DAY.start_ms, end=DAY.end_ms)
    markets = await instance.know("bitfinex", "BTC/USDT")
    await instance.fill(markets, DAY)
    assert await instance.rows(markets[0].id, DAY) == []
    assert await instance.resources.stores.coverage.covered([markets[0].id]) == {markets[0].id: [DAY]}
    assert (await instance.resources.stores.plan.progress(await instance.plan(markets, DAY))).state == "done"


async def test_a_limited_answer_is_waited_for_and_no_page_is_lost(instance: Instance) -> None:
    markets = await instance.know("binance", *PAIRS)
    instance.simulator.fault("binance", "rate_limit", count=2, retry_after_s=1)
    job = await instance.plan(markets, DAY)
    assert await instance.work(job, "binance", lanes=1)  # several at once would be asking on, which is a ban
    for market in markets:
        assert await instance.rows(market.id, DAY) == instance.truth(market, DAY)
    progress = await instance.resources.stores.plan.progress(job)
    assert (progress.state, progress.errors, progress.minutes_left) == ("done", 0, 0)


async def test_a_body_cut_off_once_is_asked_for_again_and_is_no_failure(instance: Instance) -> None:
    markets = await instance.know("bitfinex", "BTC/USDT")
    instance.simulator.fault("bitfinex", "truncate", count=1)
    job = await instance.fill(markets, DAY)
    assert await instance.rows(markets[0].id, DAY) == instance.truth(markets[0], DAY)
    assert (await instance.resources.stores.plan.progress(job)).errors == 0


async def errors_of(instance: Instance) -> list[Any]:
    async with instance.resources.stores.db.connection() as connection:
        rows = await connection.fetch(
            "SELECT symbol, start_date, end_date, attempts, repaired_at IS NOT NULL"
            " FROM ohlcvs_errors ORDER BY symbol, start_date"
        )
    return [tuple(row) for row in rows]


async def test_a_page_that_fails_for_good_is_told_the_rest_goes_on_and_the_same_fetch_repairs_it(
    instance: Instance,
) -> None:
    markets = await instance.know("bitfinex", *PAIRS)
    instance.simulator.fault("bitfinex", "truncate", count=3)
    job = await instance.plan(markets, DAY)
    assert await instance.work(job, "bitfinex", lanes=1)
    held = [await instance.rows(market.id, DAY) == instance.truth(market, DAY) for market in markets]
    assert sorted(held) == [False, True]
    failed = markets[held.index(False)]
    # No page's width is skipped: exactly the minutes that failed are named, and still asked for next time.
    assert await errors_of(instance) == [(failed.instrument.native, DAY.start_ms, DAY.end_ms, 1, False)]
    assert (await instance.resources.stores.plan.progress(job)).errors == 1
    assert await instance.resources.stores.coverage.missing([failed.id], DAY) == {failed.id: [DAY]}
    await instance.fill(markets, DAY)
    assert await instance.rows(failed.id, DAY) == instance.truth(failed, DAY)
    assert await errors_of(instance) == [(failed.instrument.native, DAY.start_ms, DAY.end_ms, 1, True)]


async def test_a_network_that_is_refused_ends_the_job_at_once_and_says_what_to_do(instance: Instance) -> None:
    markets = await instance.know("binance", *PAIRS)
    instance.simulator.fault("binance", "geo_block")
    job = await instance.plan(markets, Span(DAY.start_ms - 30 * DAY_MS, DAY.end_ms))
    assert await instance.work(job, "binance", lanes=1)
    assert len(instance.candle_requests()) == 1
    async with instance.resources.stores.db.connection() as connection:
        ((state, note),) = await connection.fetch("SELECT state, note FROM fetch_jobs")
        ((kind, message, status),) = await connection.fetch(
            "SELECT exception_class, exception_message, resp_status_code FROM ohlcvs_errors"
        )
    assert (state, kind, status, note) == ("failed", "Blocked", 451, message)
    assert note.startswith("Binance refuses this network or country (HTTP 451): ask it from elsewhere")
    again = await instance.plan(markets, DAY)
    assert await instance.work(again, "binance") and len(instance.candle_requests()) == 1


async def test_a_cancelled_job_stops_within_a_page_even_while_it_waits(instance: Instance) -> None:
    markets = await instance.know("binance", *PAIRS)
    instance.simulator.fault("binance", "slow", seconds=60)
    job = await instance.plan(markets, DAY)
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        working = group.create_task(instance.work(job, "binance", for_s=60))
        await until(instance.candle_requests)
        await instance.resources.stores.plan.cancel(job)
        assert await working
    assert (await instance.resources.stores.plan.progress(job)).state == "cancelled"


async def test_an_exchange_that_cannot_be_reached_leaves_the_job_to_be_done_later(
    simulator: Simulator, postgres_url: str, redis_url: str
) -> None:
    async with open_instance(simulator, postgres_url, redis_url) as instance:
        markets = await instance.know("binance", "BTC/USDT")
        job = await instance.plan(markets, DAY)
    hasty = {"CLOCK_RATE": "50", "CLOCK_ANCHOR_MS": str(Clock().now_ms())}
    nobody = {"BINANCE_REST_URL": "http://127.0.0.1:9", **hasty}
    async with open_instance(simulator, postgres_url, redis_url, **nobody) as cut_off:
        assert not await cut_off.work(job, "binance", for_s=0.5, lanes=1)
        progress = await cut_off.resources.stores.plan.progress(job)
        assert (progress.state, progress.minutes_left, progress.leased) == ("running", DAY.minutes(), 0)
    async with open_instance(simulator, postgres_url, redis_url) as instance:
        assert await instance.work(job, "binance")
        assert await instance.rows(markets[0].id, DAY) == instance.truth(markets[0], DAY)


async def test_two_workers_on_one_job_share_its_pages(instance: Instance) -> None:
    markets = await instance.know("binance", *PAIRS)
    span = Span(DAY.start_ms - 4 * DAY_MS, DAY.end_ms)
    job = await instance.plan(markets, span)
    assert await asyncio.gather(*(instance.work(job, "binance") for _ in range(2))) == [True, True]
    asked = [asked_span(entry) for entry in instance.candle_requests()]
    assert len(asked) == len(set(asked)) == 16
    for market in markets:
        assert await instance.rows(market.id, span) == instance.truth(market, span)


async def test_waiting_for_what_another_worker_holds_is_no_busy_spin_and_takes_it_over_in_the_end(
    simulator: Simulator, postgres_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hasty = {"CLOCK_RATE": "100", "CLOCK_ANCHOR_MS": "1795000000000"}
    async with open_instance(simulator, postgres_url, redis_url, **hasty) as instance:
        markets = await instance.know("bittrex", "BTC/USDT")
        job = await instance.plan(markets, DAY)
        plans, looks = instance.resources.stores.plan, 0
        assert await plans.lease(job, "a machine without power", lambda _, piece: piece)
        lease = plans.lease

        async def counted(*given: Any, **named: Any) -> Any:
            nonlocal looks
            looks += 1
            return await lease(*given, **named)

        monkeypatch.setattr(plans, "lease", counted)
        # Its connection stays open until TCP gives it up, so it seems to be there.
        async with plans.present("a machine without power"):
            assert await instance.work(job, "bittrex", lanes=1)
        assert await instance.rows(markets[0].id, DAY) == instance.truth(markets[0], DAY)
        assert looks < 12, "a lease of 120 s lasts 1.2 s here"


async def test_minutes_that_may_still_change_are_stored_as_a_preview_and_stay_to_be_asked(
    instance: Instance,
) -> None:
    now_ms = instance.resources.clock.now_ms() // MINUTE_MS * MINUTE_MS
    span = Span(now_ms - 10 * MINUTE_MS, now_ms)
    markets = await instance.know("binance", "BTC/USDT")
    await instance.fill(markets, span)
    assert await instance.rows(markets[0].id, span) == instance.truth(markets[0], span)
    (left,) = (await instance.resources.stores.coverage.missing([markets[0].id], span))[markets[0].id]
    assert left.end_ms == span.end_ms and left.minutes() in (1, 2)


async def test_a_database_that_cannot_be_reached_is_told_and_not_taken_for_the_exchange(
    simulator: Simulator, redis_url: str
) -> None:
    nowhere = "postgresql://x:y@127.0.0.1:9/z"
    async with open_instance(simulator, nowhere, redis_url) as instance:
        with pytest.raises(Retryable, match=r"PostgreSQL at .* cannot be reached"):
            await instance.work(1, "binance", for_s=1)
