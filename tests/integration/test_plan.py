"""Workers share a job's minutes: each once, nothing lost when one dies, nothing asked twice."""

import asyncio
import random

import pytest

from app.stores.candles import CandleStore, StoredCandle
from app.stores.coverage import CoverageStore
from app.stores.database import Database
from app.stores.errors import ErrorStore
from app.stores.pages import Answered, Lease
from app.stores.plan import PlanStore, Progress
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


def answered(lease: Lease) -> Answered:
    return Answered(lease, rows(lease), lease.span)


async def one(plan: PlanStore, job_id: int, worker: str = "w") -> Lease | None:
    """The newest page, if there is one."""
    leases = await plan.lease(job_id, worker, page_of)
    return leases[0] if leases else None


async def work(plan: PlanStore, job_id: int, worker: str) -> list[Lease]:
    done = []
    while leases := await plan.lease(job_id, worker, page_of, random.randint(1, 4)):
        await asyncio.sleep(random.random() / 1000)
        await plan.complete([answered(lease) for lease in leases])
        done += leases
    return done


async def test_many_workers_lease_disjoint_spans_whose_union_is_the_whole(plan: PlanStore) -> None:
    job_id = await plan.create("binance", [1, 2, 3], DAY)
    shares = await asyncio.gather(*(work(plan, job_id, f"worker {n}") for n in range(5)))
    leases = [lease for share in shares for lease in share]
    assert sum(lease.span.minutes() for lease in leases) == 3 * 1440
    assert {number: union(one.span for one in leases if one.symbol_id == number) for number in (1, 2, 3)} == {
        1: [DAY],
        2: [DAY],
        3: [DAY],
    }
    assert sum(1 for share in shares if share) > 1
    assert await plan.finish_if_done(job_id)
    assert await plan.progress(job_id) == Progress("done", 3 * 1440, 0, 3 * 1440, len(leases), 0, 0)


async def test_the_newest_page_comes_first(plan: PlanStore) -> None:
    job_id = await plan.create("binance", [1], DAY)
    first = await one(plan, job_id)
    second = await one(plan, job_id)
    assert first is not None and first.span == Span(DAY.end_ms - PAGE_MS, DAY.end_ms)
    assert second is not None and second.span == Span(DAY.end_ms - 2 * PAGE_MS, DAY.end_ms - PAGE_MS)


async def test_a_killed_workers_page_is_leased_once_again_when_its_lease_has_run_out(
    plan: PlanStore, clock: HandClock
) -> None:
    job_id = await plan.create("binance", [1], Span(START_MS, START_MS + PAGE_MS))
    killed = await one(plan, job_id, "killed")
    assert killed is not None
    assert await one(plan, job_id, "other") is None
    assert not await plan.finish_if_done(job_id)
    clock.moment_ms += 60_000
    again = [await one(plan, job_id, f"worker {n}") for n in range(3)]
    assert [lease.span for lease in again if lease] == [killed.span]


async def test_a_dead_workers_pages_are_free_at_once_and_a_living_ones_are_not(plan: PlanStore) -> None:
    job_id = await plan.create("binance", [1], Span(START_MS, START_MS + 3 * PAGE_MS))
    async with plan.present("alive") as lost:
        assert await one(plan, job_id, "dead") and await one(plan, job_id, "alive")
        assert await plan.reclaim() == 1 and not lost()
        free = [await one(plan, job_id, "other") for _ in range(3)]
        assert [lease and lease.span.start_ms for lease in free] == [START_MS + 2 * PAGE_MS, START_MS, None]


async def test_a_worker_whose_connection_broke_is_told_so_and_may_have_lost_its_pages(
    plan: PlanStore, database: Database
) -> None:
    job_id = await plan.create("binance", [1], Span(START_MS, START_MS + PAGE_MS))
    async with plan.present("alive") as lost:
        assert await one(plan, job_id, "alive")
        async with database.connection() as connection:
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE pid <> pg_backend_pid() AND datname = current_database()"
            )
        async with asyncio.timeout(10):
            while not lost():  # noqa: ASYNC110 - asyncpg tells nobody
                await asyncio.sleep(0.01)
        assert await plan.reclaim() == 1


async def test_a_page_that_takes_longer_is_kept(plan: PlanStore, clock: HandClock) -> None:
    job_id = await plan.create("binance", [1], Span(START_MS, START_MS + PAGE_MS))
    lease = await one(plan, job_id)
    assert lease
    clock.moment_ms += 50_000
    await plan.renew([lease])
    clock.moment_ms += 50_000
    assert await one(plan, job_id, "other") is None


async def test_several_pages_are_leased_newest_first_across_symbols(plan: PlanStore) -> None:
    job_id = await plan.create("binance", [1, 2], Span(START_MS, START_MS + 2 * PAGE_MS))
    leased = [(one.symbol_id, one.span.start_ms) for one in await plan.lease(job_id, "w", page_of, 3)]
    assert leased == [(1, START_MS + PAGE_MS), (2, START_MS + PAGE_MS), (1, START_MS)]


async def test_pages_of_several_symbols_are_stored_in_one_transaction_or_none_is(
    plan: PlanStore, database: Database
) -> None:
    job_id = await plan.create("binance", [1, 2], Span(START_MS, START_MS + PAGE_MS))
    first, second = map(answered, await plan.lease(job_id, "w", page_of, 2))
    broken = second._replace(rows=[second.rows[0]._replace(open=None)])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="cannot be stored"):
        await plan.complete([first, broken])
    assert await CoverageStore(database).covered([1, 2]) == {1: [], 2: []}
    assert (await plan.complete([first, second])).changed == 200
    assert await plan.progress(job_id) == Progress("running", 200, 0, 200, 2, 0, 0)


async def test_why_a_page_had_to_wait_is_told_until_one_comes(plan: PlanStore) -> None:
    job_id = await plan.create("binance", [1], Span(START_MS, START_MS + PAGE_MS))
    lease = await one(plan, job_id)
    assert lease
    await plan.postpone(lease, "binance does not answer")
    assert (await plan.progress(job_id)).note == "binance does not answer"
    assert [one.span for one in await plan.lease(job_id, "w", page_of)] == [lease.span]
    await plan.complete([answered(lease)])
    assert (await plan.progress(job_id)).note == ""


async def test_a_markets_first_minute_is_sought_once_and_before_its_pages(plan: PlanStore, symbol_id: int) -> None:
    jobs = [await plan.create("binance", [symbol_id], DAY) for _ in range(2)]
    assert await plan.seek(jobs[0], "w", DAY_MS) == []
    (lease,) = await plan.seek(jobs[0], "w", DAY_MS - 1)
    assert await plan.seek(jobs[1], "w", DAY_MS - 1) == []
    assert await plan.lease(jobs[0], "w", page_of, sought_ms=DAY_MS - 1) == []
    await plan.listed(lease, None)
    assert await plan.seek(jobs[0], "w", DAY_MS - 1) == []
    assert len(await plan.lease(jobs[0], "w", page_of, sought_ms=DAY_MS - 1)) == 1


async def test_what_was_before_the_first_minute_leaves_every_job(plan: PlanStore, symbol_id: int) -> None:
    jobs = [await plan.create("binance", [symbol_id], DAY) for _ in range(2)]
    (lease,) = await plan.seek(jobs[0], "w", 0)
    await plan.listed(lease, DAY.end_ms - 3 * MINUTE_MS)
    assert [await plan.progress(job) for job in jobs] == [
        Progress("running", 3, 3, 0, 0, 0, 0),
        Progress("queued", 3, 3, 0, 0, 0, 0),
    ]


async def test_a_late_answer_to_a_lease_that_ran_out_still_counts_once(
    plan: PlanStore, clock: HandClock, database: Database
) -> None:
    job_id = await plan.create("binance", [1], Span(START_MS, START_MS + PAGE_MS))
    late = await one(plan, job_id, "late")
    clock.moment_ms += 60_000
    prompt = await one(plan, job_id, "prompt")
    assert late and prompt
    assert (await plan.complete([answered(prompt)])).changed == 100
    assert (await plan.complete([answered(late)])).changed == 0
    assert await plan.finish_if_done(job_id)
    assert await CoverageStore(database).covered([1]) == {1: [late.span]}


async def test_a_second_job_over_a_covered_span_has_nothing_to_do(plan: PlanStore) -> None:
    await work(plan, await plan.create("binance", [1, 2], DAY), "w")
    again = await plan.create("binance", [1, 2], DAY)
    assert await plan.progress(again) == Progress("done", 0, 0, 0, 0, 0, 0)
    assert await one(plan, again) is None


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
    first = await one(plan, job_id)
    assert first is not None
    await plan.release([first])
    again = await one(plan, job_id)
    assert again is not None and again.span == first.span


async def test_minutes_that_an_answer_does_not_settle_leave_the_job_and_stay_a_gap(
    plan: PlanStore, database: Database
) -> None:
    job_id = await plan.create("binance", [1], Span(START_MS, START_MS + PAGE_MS))
    lease = await one(plan, job_id)
    assert lease is not None
    settled = Span(START_MS, START_MS + PAGE_MS - 5 * MINUTE_MS)
    await plan.complete([Answered(lease, rows(lease), settled)])
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
    lease = await one(plan, job_id)
    assert lease is not None
    await plan.fail(lease, Rejected('no such symbol, "BTC", said they', status=400))
    assert await plan.finish_if_done(job_id)
    assert await plan.progress(job_id) == Progress(
        "failed", 100, 0, 0, 1, 0, 1, "1 pages were refused; see ohlcvs_errors"
    )
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
    assert await one(plan, job_id)
    await plan.cancel(job_id)
    assert await one(plan, job_id) is None
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
