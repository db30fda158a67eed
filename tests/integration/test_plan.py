"""Workers share a job's minutes: each once, nothing lost when one dies, nothing asked twice."""

import asyncio
import random

import pytest

from app.stores.candles import CandleStore, StoredCandle
from app.stores.coverage import CoverageStore
from app.stores.database import Database
from app.stores.errors import ErrorStore
from app.stores.plan import Lease, PlanStore, Progress
from app.stores.symbols import SymbolStore
from common.clock import Clock
from common.errors import BadInput, Rejected
from common.market import Instrument
from common.span import DAY_MS, MINUTE_MS, Span, union

START_MS = 1_609_459_200_000
DAY = Span(START_MS, START_MS + DAY_MS)
PAGE_MS = 100 * MINUTE_MS


class HandClock(Clock):
    """A clock that a test moves by hand."""

    moment_ms = START_MS + 30 * DAY_MS
    __setattr__ = object.__setattr__

    def now_ms(self) -> int:
        return self.moment_ms


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def plan(database: Database, clock: HandClock) -> PlanStore:
    return PlanStore(database, clock, lease_s=60)


def page_of(symbol_id: int, piece: Span) -> Span:
    return Span(max(piece.start_ms, piece.end_ms - PAGE_MS), piece.end_ms)


def rows(lease: Lease) -> list[StoredCandle]:
    minutes = range(lease.span.start_ms, lease.span.end_ms, MINUTE_MS)
    return [StoredCandle(lease.symbol_id, ms, 1, 2, 0.5, 1.5, 10, None, None, 3) for ms in minutes]


async def work(plan: PlanStore, job_id: int, worker: str) -> list[Lease]:
    done = []
    while lease := await plan.lease(job_id, worker, page_of):
        await asyncio.sleep(random.random() / 1000)
        await plan.complete(lease, rows(lease), lease.span)
        done.append(lease)
    return done


async def test_many_workers_lease_disjoint_spans_whose_union_is_the_whole(plan: PlanStore) -> None:
    job_id = await plan.create("binance", [1, 2, 3], DAY)
    shares = await asyncio.gather(*(work(plan, job_id, f"worker {n}") for n in range(5)))
    leases = [lease for share in shares for lease in share]
    assert sum(lease.span.minutes() for lease in leases) == 3 * 1440
    assert {one: union(each.span for each in leases if each.symbol_id == one) for one in (1, 2, 3)} == {
        1: [DAY],
        2: [DAY],
        3: [DAY],
    }
    assert sum(1 for share in shares if share) > 1
    assert await plan.finish_if_done(job_id)
    assert await plan.progress(job_id) == Progress("done", 3 * 1440, 0, 3 * 1440, len(leases), 0, 0)


async def test_the_newest_page_comes_first(plan: PlanStore) -> None:
    job_id = await plan.create("binance", [1], DAY)
    first = await plan.lease(job_id, "w", page_of)
    second = await plan.lease(job_id, "w", page_of)
    assert first is not None and first.span == Span(DAY.end_ms - PAGE_MS, DAY.end_ms)
    assert second is not None and second.span == Span(DAY.end_ms - 2 * PAGE_MS, DAY.end_ms - PAGE_MS)


async def test_a_killed_workers_page_is_leased_once_again_when_its_lease_has_run_out(
    plan: PlanStore, clock: HandClock
) -> None:
    job_id = await plan.create("binance", [1], Span(START_MS, START_MS + PAGE_MS))
    killed = await plan.lease(job_id, "killed", page_of)
    assert killed is not None
    assert await plan.lease(job_id, "other", page_of) is None
    assert not await plan.finish_if_done(job_id)
    clock.moment_ms += 60_000
    again = [await plan.lease(job_id, f"worker {n}", page_of) for n in range(3)]
    assert [lease.span for lease in again if lease] == [killed.span]


async def test_a_late_answer_to_a_lease_that_ran_out_still_counts_once(
    plan: PlanStore, clock: HandClock, database: Database
) -> None:
    job_id = await plan.create("binance", [1], Span(START_MS, START_MS + PAGE_MS))
    late = await plan.lease(job_id, "late", page_of)
    clock.moment_ms += 60_000
    prompt = await plan.lease(job_id, "prompt", page_of)
    assert late and prompt
    assert (await plan.complete(prompt, rows(prompt), prompt.span)).changed == 100
    assert (await plan.complete(late, rows(late), late.span)).changed == 0
    assert await plan.finish_if_done(job_id)
    assert await CoverageStore(database).covered([1]) == {1: [late.span]}


async def test_a_second_job_over_a_covered_span_has_nothing_to_do(plan: PlanStore) -> None:
    await work(plan, await plan.create("binance", [1, 2], DAY), "w")
    again = await plan.create("binance", [1, 2], DAY)
    assert await plan.progress(again) == Progress("done", 0, 0, 0, 0, 0, 0)
    assert await plan.lease(again, "w", page_of) is None


async def test_two_jobs_over_the_same_span_never_ask_a_minute_twice(plan: PlanStore) -> None:
    jobs = [await plan.create("binance", [1, 2], DAY) for _ in range(2)]
    shares = await asyncio.gather(*(work(plan, job_id, str(n)) for n, job_id in enumerate(jobs * 2)))
    # A worker leaves when all that is left is somebody else's; that somebody finishes.
    assert sum(lease.span.minutes() for share in shares for lease in share) == 2 * 1440
    assert [await plan.finish_if_done(job_id) for job_id in jobs] == [True, True]


async def test_only_what_is_missing_is_planned(plan: PlanStore, database: Database) -> None:
    noon = Span(START_MS + DAY_MS // 2, START_MS + DAY_MS // 2 + 60 * MINUTE_MS)
    await CandleStore(database).write([], cover=[(1, noon)])
    job_id = await plan.create("binance", [1], DAY)
    leases = await work(plan, job_id, "w")
    assert union(lease.span for lease in leases) == DAY.minus([noon])
    assert leases == sorted(leases, key=lambda lease: -lease.span.end_ms)
    assert (await plan.progress(job_id)).minutes_total == 1440 - 60


async def test_a_released_page_is_leased_again(plan: PlanStore) -> None:
    job_id = await plan.create("binance", [1], Span(START_MS, START_MS + PAGE_MS))
    first = await plan.lease(job_id, "w", page_of)
    assert first is not None
    await plan.release(first)
    again = await plan.lease(job_id, "w", page_of)
    assert again is not None and again.span == first.span


async def test_minutes_that_an_answer_does_not_settle_leave_the_job_and_stay_a_gap(
    plan: PlanStore, database: Database
) -> None:
    job_id = await plan.create("binance", [1], Span(START_MS, START_MS + PAGE_MS))
    lease = await plan.lease(job_id, "w", page_of)
    assert lease is not None
    settled = Span(START_MS, START_MS + PAGE_MS - 5 * MINUTE_MS)
    await plan.complete(lease, rows(lease), settled)
    assert await plan.finish_if_done(job_id)
    assert await CoverageStore(database).missing([1], lease.span) == {1: [Span(settled.end_ms, lease.span.end_ms)]}


@pytest.fixture
async def symbol_id(database: Database) -> int:
    await SymbolStore(database).upsert("binance", [Instrument("binance", "BTC", "USDT", "BTCUSDT")], START_MS)
    return (await SymbolStore(database).load())["binance:spot:BTC/USDT"].id


async def test_a_refused_page_is_noted_at_its_own_range_and_repaired_by_the_next_job(
    plan: PlanStore, database: Database, symbol_id: int
) -> None:
    job_id = await plan.create("binance", [symbol_id], Span(START_MS, START_MS + PAGE_MS))
    lease = await plan.lease(job_id, "w", page_of)
    assert lease is not None
    await plan.fail(lease, Rejected('no such symbol, "BTC", said they', status=400))
    assert await plan.finish_if_done(job_id)
    assert await plan.progress(job_id) == Progress("failed", 100, 0, 0, 1, 0, 1)
    assert await ErrorStore(database).open_count("binance") == 1
    async with database.connection() as connection:
        noted = await connection.fetchrow(
            "SELECT exchange, symbol, start_date, end_date, time_frame, resp_status_code, exception_class, "
            "exception_message, attempts FROM ohlcvs_errors"
        )
    assert tuple(noted) == (
        *("binance", "BTCUSDT", lease.span.start_ms, lease.span.end_ms, "1m", 400, "Rejected"),
        *('no such symbol, "BTC", said they', 1),
    )
    await work(plan, await plan.create("binance", [symbol_id], DAY), "w")
    assert await ErrorStore(database).open_count() == 0


async def test_a_cancelled_job_gives_no_more_pages(plan: PlanStore) -> None:
    job_id = await plan.create("binance", [1], DAY)
    assert await plan.lease(job_id, "w", page_of)
    await plan.cancel(job_id)
    assert await plan.lease(job_id, "w", page_of) is None
    assert (await plan.progress(job_id)).state == "cancelled"
    assert await plan.unfinished() == []


async def test_unfinished_jobs_are_listed_for_resume(plan: PlanStore, clock: HandClock) -> None:
    job_id = await plan.create("binance", [1], DAY)
    await plan.create("bitfinex", [2], DAY)
    listed = await plan.unfinished("binance")
    assert [tuple(job) for job in listed] == [(job_id, "binance", DAY, "queued", clock.moment_ms)]


async def test_an_unknown_job_is_bad_input(plan: PlanStore) -> None:
    with pytest.raises(BadInput, match="There is no job 7"):
        await plan.progress(7)
