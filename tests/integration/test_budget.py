"""One budget for everybody who asks an exchange: the same promises in Redis and in memory."""

import asyncio
import itertools
from collections.abc import Callable

import pytest
import redis.asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.stores.budget import MemoryBudget, RedisBudget
from common.clock import Clock
from common.errors import Retryable
from common.ports import Budget
from tests.fixtures.live import LeapClock, impatient_redis

MINUTE_MS = 60_000
LEAN = settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
_names = itertools.count()

#: (limit, clock) -> what each of an exchange's clients holds.
Make = Callable[[int, Clock], Callable[[], Budget]]


@pytest.fixture(params=["redis", "memory"])
def make(request: pytest.FixtureRequest, redis_client: redis.asyncio.Redis) -> Make:
    def in_redis(limit: int, clock: Clock) -> Callable[[], Budget]:
        name = f"exchange{next(_names)}"
        return lambda: RedisBudget(redis_client, name, limit, clock)

    def in_memory(limit: int, clock: Clock) -> Callable[[], Budget]:
        budget = MemoryBudget(limit, clock)
        return lambda: budget

    return in_redis if request.param == "redis" else in_memory


class NotingClock(LeapClock):
    """Remembers what it told each task last: others may leap on before a task that may spend gets to run."""

    def __init__(self) -> None:
        super().__init__()
        self.told: dict[object, int] = {}

    def now_ms(self) -> int:
        self.told[asyncio.current_task()] = super().now_ms()
        return super().now_ms()


def most_in_a_minute(spent: list[tuple[int, int]]) -> int:
    """The heaviest window of 60 s that begins with one of these (ms, weight)."""
    return max(
        (sum(weight for ms, weight in spent if start_ms <= ms < start_ms + MINUTE_MS) for start_ms, _ in spent),
        default=0,
    )


async def test_what_fits_is_not_held_up(make: Make) -> None:
    clock = LeapClock()
    budget = make(100, clock)()
    for _ in range(20):
        await budget.acquire(5)
    assert clock.sleeps == []


async def test_what_does_not_fit_waits_until_it_does(make: Make) -> None:
    clock = LeapClock()
    budget = make(10, clock)()
    started_ms = clock.now_ms()
    await budget.acquire(8)
    clock.moment_ms += 20_000
    await budget.acquire(2)
    await budget.acquire(3)
    assert 61_000 <= clock.now_ms() - started_ms <= 63_000


@LEAN
@given(
    limit=st.integers(5, 30),
    steps=st.lists(st.tuples(st.integers(0, 40_000), st.integers(1, 5)), max_size=40),
)
async def test_no_minute_ever_exceeds_the_limit(make: Make, limit: int, steps: list[tuple[int, int]]) -> None:
    """W19, W20: wherever the minute begins, and not by waiting whole minutes either."""
    clock, spent = LeapClock(), list[tuple[int, int]]()
    budget = make(limit, clock)()
    for pause_ms, weight in steps:
        clock.moment_ms += pause_ms
        await budget.acquire(weight)
        spent.append((clock.now_ms(), weight))
    assert most_in_a_minute(spent) <= limit


async def test_many_clients_together_stay_within_one_limit(make: Make) -> None:
    """W20: with many at once nobody loses his turn, and none of the minute's weight stays unused."""
    clock, spent = NotingClock(), list[tuple[int, int]]()
    client_of = make(30, clock)

    async def ask() -> None:
        await client_of().acquire(1)
        spent.append((clock.told[asyncio.current_task()], 1))

    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        for _ in range(75):
            tasks.create_task(ask())
    assert len(spent) == 75
    assert most_in_a_minute(spent) == 30
    assert clock.now_ms() - min(ms for ms, _ in spent) < 4 * MINUTE_MS


async def test_a_pause_holds_for_everybody_and_the_longest_counts(make: Make) -> None:
    """W19: after a refusal nobody asks sooner, let alone more."""
    clock = LeapClock()
    client_of = make(100, clock)
    started_ms = clock.now_ms()
    await client_of().pause(90)
    await client_of().pause(30)
    await client_of().acquire(1)
    assert 90_000 <= clock.now_ms() - started_ms < 92_000


async def test_a_pause_outlives_what_was_spent(make: Make) -> None:
    clock = LeapClock()
    budget = make(100, clock)()
    started_ms = clock.now_ms()
    await budget.acquire(1)
    await budget.pause(600)
    clock.moment_ms += 500_000
    await budget.acquire(1)
    assert clock.now_ms() - started_ms >= 600_000


async def test_where_the_server_counts_more_it_is_right(make: Make) -> None:
    """W20: others spend from the same address."""
    clock = LeapClock()
    budget = make(100, clock)()
    started_ms = clock.now_ms()
    await budget.acquire(10)
    await budget.report(98)
    await budget.acquire(2)
    assert clock.now_ms() == started_ms
    await budget.acquire(1)
    assert clock.now_ms() - started_ms >= 60_000


async def test_where_the_server_counts_less_it_has_not_seen_all_yet(make: Make) -> None:
    clock = LeapClock()
    budget = make(10, clock)()
    started_ms = clock.now_ms()
    await budget.acquire(10)
    await budget.report(2)
    await budget.acquire(1)
    assert clock.now_ms() - started_ms >= 60_000


async def test_the_server_begins_to_count_anew_each_minute(make: Make) -> None:
    clock = LeapClock()
    budget = make(100, clock)()
    clock.moment_ms += 50_000
    await budget.acquire(40)
    clock.moment_ms += 10_000
    await budget.report(30)
    await budget.acquire(30)
    assert clock.sleeps == [], "40 of the last minute, 30 of this one, and 30 more"


async def test_a_request_heavier_than_the_limit_has_a_minute_for_itself(make: Make) -> None:
    clock = LeapClock()
    budget = make(10, clock)()
    started_ms = clock.now_ms()
    await budget.acquire(1)
    await budget.acquire(20)
    assert clock.now_ms() - started_ms >= 60_000


async def test_budgets_of_exchanges_are_their_own(redis_client: redis.asyncio.Redis) -> None:
    clock = LeapClock()
    for exchange in ("binance", "bitfinex"):
        await RedisBudget(redis_client, exchange, 1, clock).acquire(1)
    assert clock.sleeps == []
    assert set(await redis_client.keys()) == {b"candlehouse:budget:binance", b"candlehouse:budget:bitfinex"}


async def test_a_budget_leaves_nothing_behind(redis_client: redis.asyncio.Redis) -> None:
    """W20: a pause that outlives the process that asked for it stops others for ever."""
    clock = LeapClock()
    budget = RedisBudget(redis_client, "binance", 100, clock)
    for _ in range(300):
        clock.moment_ms += 1000
        await budget.acquire(1)
    await budget.pause(10)
    assert await redis_client.hlen("candlehouse:budget:binance") <= 62
    assert 0 < await redis_client.pttl("candlehouse:budget:binance") <= 132_000


async def test_without_redis_nobody_is_let_through() -> None:
    budget = RedisBudget(impatient_redis("redis://127.0.0.1:1/0"), "binance", 100, Clock())
    with pytest.raises(Retryable, match="Redis does not serve"):
        await budget.acquire(1)
