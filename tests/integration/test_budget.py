"""One budget for everybody who asks an exchange: the same promises in Redis and in memory."""

import asyncio
import heapq
import itertools
from collections.abc import Awaitable, Callable

import pytest
import redis.asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.stores.budget import UNDER_WAY_S, RedisBudget, budget_state
from app.stores.memory_budget import MemoryBudget
from common.clock import Clock
from common.errors import Retryable
from common.ports import Budget, Priority
from tests.fixtures.live import LeapClock, eventually, impatient_redis

MINUTE_MS = 60_000
#: For how long weight counts after its answer: a minute, the second it falls into, one for clocks apart.
WINDOW_S = 62
LEAN = settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
_names = itertools.count()

#: (limit, clock, limit a second) -> what each of an exchange's clients holds.
Make = Callable[..., Callable[[], Budget]]


@pytest.fixture(params=["redis", "memory"])
def make(request: pytest.FixtureRequest, redis_client: redis.asyncio.Redis) -> Make:
    def in_redis(limit: int, clock: Clock, a_second: float | None = None) -> Callable[[], Budget]:
        name = f"exchange{next(_names)}"
        return lambda: RedisBudget(redis_client, name, limit, clock, "", a_second)

    def in_memory(limit: int, clock: Clock, a_second: float | None = None) -> Callable[[], Budget]:
        budget = MemoryBudget(limit, clock, a_second)
        return lambda: budget

    return in_redis if request.param == "redis" else in_memory


class PatientClock(LeapClock):
    """Leaps on only while everybody sleeps: nobody's question is old before it is answered."""

    def __init__(self) -> None:
        super().__init__()
        self.awake = set[asyncio.Task[None] | None]()

    def now_ms(self) -> int:
        self.awake.add(asyncio.current_task())
        return super().now_ms()

    async def sleep(self, seconds: float) -> None:
        until_ms = self.moment_ms + seconds * 1000
        self.awake.discard(asyncio.current_task())
        while any(task and not task.done() for task in self.awake):  # noqa: ASYNC110 - nobody says so
            await asyncio.sleep(0)
        self.moment_ms = max(self.moment_ms, until_ms)


class TurnClock(PatientClock):
    """Sleeps end one after the other, as in real time."""

    def __init__(self) -> None:
        super().__init__()
        self._until_ms = dict[asyncio.Task[None] | None, float]()

    async def sleep(self, seconds: float) -> None:
        until_ms, task = self.moment_ms + seconds * 1000, asyncio.current_task()
        self._until_ms[task] = until_ms
        self.awake.discard(task)
        while self._is_early(until_ms):  # noqa: ASYNC110 - nobody says so
            await asyncio.sleep(0)
        del self._until_ms[task]
        self.awake.add(task)
        self.moment_ms = max(self.moment_ms, until_ms)

    def _is_early(self, until_ms: float) -> bool:
        is_anybody_awake = any(task and not task.done() for task in self.awake)
        return is_anybody_awake or min(self._until_ms.values()) < until_ms


class StepClock(LeapClock):
    """A sleep ends when it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.naps = 0
        self.steps = asyncio.Semaphore(0)

    async def sleep(self, seconds: float) -> None:
        self.naps += 1
        await self.steps.acquire()
        await super().sleep(seconds)


class EventClock(LeapClock):
    """Does what is due on the way to the end of a sleep."""

    def __init__(self) -> None:
        super().__init__()
        self._due: list[tuple[float, int, Callable[[], Awaitable[None]]]] = []

    def at(self, ms: float, do: Callable[[], Awaitable[None]]) -> None:
        heapq.heappush(self._due, (ms, next(_names), do))

    async def sleep(self, seconds: float) -> None:
        until_ms = self.moment_ms + seconds * 1000
        while self._due and self._due[0][0] <= until_ms:
            ms, _, do = heapq.heappop(self._due)
            self.moment_ms = max(self.moment_ms, ms)
            await do()
        await super().sleep(max(0, until_ms - self.moment_ms) / 1000)


def most_in_a_minute(spent: list[tuple[float, int]]) -> int:
    """The heaviest window of 60 s that begins with one of these (ms, weight)."""
    return max(
        (sum(weight for ms, weight in spent if start_ms <= ms < start_ms + MINUTE_MS) for start_ms, _ in spent),
        default=0,
    )


async def spend(budget: Budget, weight: int, told: int | None = None) -> None:
    """A request that is answered at once."""
    await budget.settle(await budget.acquire(weight), told)


async def test_what_fits_is_not_held_up(make: Make) -> None:
    clock = LeapClock()
    budget = make(100, clock)()
    for _ in range(20):
        await spend(budget, 5)
    assert clock.sleeps == []


async def test_what_does_not_fit_waits_until_it_does(make: Make) -> None:
    clock = LeapClock()
    budget = make(10, clock)()
    started_ms = clock.now_ms()
    await spend(budget, 8)
    clock.moment_ms += 20_000
    await spend(budget, 2)
    await spend(budget, 3)
    assert 61_000 <= clock.now_ms() - started_ms <= 64_000


@LEAN
@given(
    limit=st.integers(5, 30),
    steps=st.lists(
        st.tuples(st.integers(0, 40_000), st.integers(1, 5), st.integers(0, 90_000), st.floats(0, 1)), max_size=40
    ),
)
async def test_no_minute_ever_exceeds_the_limit_whenever_the_server_counts_a_request(
    make: Make, limit: int, steps: list[tuple[int, int, int, float]]
) -> None:
    """W19, W20: each is under way for some time, and counted at some moment of that, by whatever minutes."""
    clock, counted = EventClock(), list[tuple[float, int]]()
    budget = make(limit, clock)()
    for pause_ms, weight, under_way_ms, arrives in steps:
        await clock.sleep(pause_ms / 1000)
        spending = await budget.acquire(weight)
        counted.append((clock.moment_ms + arrives * under_way_ms, weight))
        clock.at(clock.moment_ms + under_way_ms, lambda spending=spending: budget.settle(spending))  # type: ignore[misc]
    assert most_in_a_minute(counted) <= limit


@LEAN
@given(
    limit=st.integers(5, 30),
    steps=st.lists(st.tuples(st.integers(0, 40_000), st.integers(1, 5)), max_size=40),
)
async def test_nobody_waits_longer_than_the_limit_wants(
    redis_client: redis.asyncio.Redis, limit: int, steps: list[tuple[int, int]]
) -> None:
    """Compared with a model that looks at each second in turn."""
    clock, spent = LeapClock(), list[tuple[int, int]]()
    budget = RedisBudget(redis_client, f"exchange{next(_names)}", limit, clock)
    for pause_ms, weight in steps:
        clock.moment_ms += pause_ms
        asked_ms = clock.now_ms()
        await spend(budget, weight)

        def fits(second: int, weight: int = weight) -> bool:
            return weight + sum(w for ms, w in spent if ms // 1000 > second - WINDOW_S) <= limit

        second = next(second for second in itertools.count(asked_ms // 1000) if fits(second))
        # A nap is longer than needed by at most its jitter, and a wait consists of at most seven.
        assert max(asked_ms, second * 1000) <= clock.now_ms() <= max(asked_ms, second * 1000) + 200
        spent.append((clock.now_ms(), weight))


async def test_many_clients_together_stay_within_one_limit(make: Make) -> None:
    """W20: with many at once nobody loses his turn, and none of the minute's weight stays unused."""
    clock, spent = PatientClock(), list[tuple[float, int]]()
    client_of = make(30, clock)

    async def ask() -> None:
        client = client_of()
        spending = await client.acquire(1)
        spent.append((clock.now_ms(), 1))
        await client.settle(spending)

    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        for _ in range(75):
            tasks.create_task(ask())
    assert len(spent) == 75
    assert most_in_a_minute(spent) == 30
    assert clock.now_ms() - min(ms for ms, _ in spent) < 4 * MINUTE_MS


async def test_where_the_exchange_limits_the_second_too_no_second_holds_more(make: Make) -> None:
    clock, spent = PatientClock(), list[tuple[float, int]]()
    client_of = make(600, clock, 10)

    async def ask(weight: int) -> None:
        client = client_of()
        spending = await client.acquire(weight)
        spent.append((clock.now_ms(), weight))
        await client.settle(spending)

    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        for weight in (1, 2, 5, 1, 1) * 6:
            tasks.create_task(ask(weight))
    seconds = [sum(w for ms, w in spent if start <= ms < start + 1000) for start, _ in spent]
    assert (len(spent), max(seconds) <= 10 + 4) == (30, True), "the last to begin may weigh beyond its end"
    assert 5_000 <= max(spent)[0] - min(spent)[0] < 12_000, "60 units, ten a second"


async def test_what_is_live_is_served_before_history_where_the_second_is_limited_too(
    redis_client: redis.asyncio.Redis,
) -> None:
    clock, served = TurnClock(), list[Priority]()

    async def ask(priority: Priority, after_s: float, times: int) -> None:
        budget = RedisBudget(redis_client, "okx", 600, clock, "", 1.0)
        await clock.sleep(after_s)
        for _ in range(times):
            await budget.settle(await budget.acquire(1, priority))
            served.append(priority)

    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        for _ in range(8):
            tasks.create_task(ask(Priority.HISTORY, 0, 5))
        tasks.create_task(ask(Priority.LIVE, 5, 10))
    first = served.index(Priority.LIVE)
    assert served[first:].index(Priority.HISTORY) == 10, served


async def test_a_clock_that_is_set_back_keeps_nobody_waiting_for_as_long(make: Make) -> None:
    clock = LeapClock()
    budget = make(100, clock, 10.0)()
    for _ in range(3):
        await budget.settle(await budget.acquire(1))
    clock.moment_ms -= 3_600_000
    set_ms = clock.now_ms()
    await budget.settle(await budget.acquire(1))
    assert clock.now_ms() - set_ms <= WINDOW_S * 1000


async def test_what_is_live_is_served_before_history_that_has_waited_longer(
    redis_client: redis.asyncio.Redis,
) -> None:
    clocks = {Priority.HISTORY: StepClock(), Priority.LIVE: StepClock()}
    served = list[Priority]()

    async def ask(priority: Priority) -> None:
        budget = RedisBudget(redis_client, "binance", 10, clocks[priority])
        await budget.settle(await budget.acquire(5, priority))
        served.append(priority)

    async def after_naps(priority: Priority, naps: int) -> None:
        async def napping() -> bool:
            return clocks[priority].naps == naps or bool(served)

        await eventually(napping)

    for _ in range(2):
        await spend(RedisBudget(redis_client, "binance", 10, clocks[Priority.HISTORY]), 5)
        for clock in clocks.values():
            clock.moment_ms += 30_000
    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        for priority in clocks:
            tasks.create_task(ask(priority))
            await after_naps(priority, 1)
        clocks[Priority.HISTORY].steps.release()
        await after_naps(Priority.HISTORY, 2)
        assert served == [], "five are free, and set aside"
        clocks[Priority.LIVE].steps.release()
        await eventually(lambda: asyncio.sleep(0, served))
        assert served == [Priority.LIVE]
        for _ in range(20):
            clocks[Priority.HISTORY].steps.release()


async def test_a_request_of_a_killed_process_counts_for_as_long_as_it_may_have_lived(
    redis_client: redis.asyncio.Redis,
) -> None:
    clock = LeapClock()
    started_ms = clock.now_ms()
    await RedisBudget(redis_client, "binance", 10, clock).acquire(10)
    await RedisBudget(redis_client, "binance", 10, clock).acquire(1)
    waited_s = (clock.now_ms() - started_ms) / 1000
    assert UNDER_WAY_S + 60 <= waited_s <= UNDER_WAY_S + WINDOW_S + 1


async def test_a_limit_that_is_lowered_holds_for_those_who_do_not_know_yet_and_with_requests_under_way(
    redis_client: redis.asyncio.Redis,
) -> None:
    clock = LeapClock()
    old, new = (RedisBudget(redis_client, "binance", limit, clock) for limit in (100, 40))
    under_way = [await old.acquire(10) for _ in range(3)]
    await spend(new, 10)
    lowered_ms = clock.now_ms()
    for one in under_way:
        await old.settle(one)
    await spend(old, 1)
    assert clock.now_ms() - lowered_ms >= 61_000, "30 of the old, 10 of the new: the lower limit is reached"


async def test_where_the_server_counts_more_it_is_right(make: Make) -> None:
    """W20: others spend from the same address."""
    clock = LeapClock()
    budget = make(100, clock)()
    started_ms = clock.now_ms()
    await spend(budget, 10, told=98)
    await spend(budget, 2)
    assert clock.now_ms() == started_ms
    await spend(budget, 1)
    assert clock.now_ms() - started_ms >= 60_000


async def test_where_the_server_counts_less_it_has_not_seen_all_yet(make: Make) -> None:
    clock = LeapClock()
    budget = make(10, clock)()
    started_ms = clock.now_ms()
    await spend(budget, 10, told=2)
    await spend(budget, 1)
    assert clock.now_ms() - started_ms >= 60_000


async def test_what_is_under_way_is_no_spending_of_others(make: Make) -> None:
    clock = LeapClock()
    budget = make(100, clock)()
    first, second = await budget.acquire(40), await budget.acquire(40)
    await budget.settle(first, 80)
    await budget.settle(second, 80)
    await spend(budget, 20)
    assert clock.sleeps == []


async def test_the_server_begins_to_count_anew_each_minute(make: Make) -> None:
    clock = LeapClock()
    budget = make(100, clock)()
    clock.moment_ms += 50_000
    await spend(budget, 40)
    clock.moment_ms += 10_000
    await spend(budget, 1, told=30)
    await spend(budget, 30)
    assert clock.sleeps == [], "40 of the last minute, 30 of this one, and 30 more"


async def test_a_request_heavier_than_the_limit_has_a_minute_for_itself(make: Make) -> None:
    clock = LeapClock()
    budget = make(10, clock)()
    started_ms = clock.now_ms()
    await spend(budget, 1)
    await spend(budget, 20)
    assert clock.now_ms() - started_ms >= 60_000


async def test_budgets_of_exchanges_and_of_addresses_are_their_own(redis_client: redis.asyncio.Redis) -> None:
    clock = LeapClock()
    for exchange, egress in (("binance", ""), ("bitfinex", ""), ("binance", "198.51.100.7")):
        await spend(RedisBudget(redis_client, exchange, 1, clock, egress), 1)
    assert clock.sleeps == []
    assert set(await redis_client.keys()) == {
        b"candlehouse:budget:binance",
        b"candlehouse:budget:bitfinex",
        b"candlehouse:budget:binance@198.51.100.7",
    }
    assert (await budget_state(redis_client, "binance", clock, "198.51.100.7")).used == 1


async def test_a_budget_leaves_nothing_behind_but_its_last_window(redis_client: redis.asyncio.Redis) -> None:
    clock = LeapClock()
    budget = RedisBudget(redis_client, "binance", 5, clock)
    for _ in range(300):
        clock.moment_ms += 1000
        await spend(budget, 1)
    clock.moment_ms += 200_000
    await budget.acquire(1)
    left = {name.decode().split(":")[0] for name in await redis_client.hkeys("candlehouse:budget:binance")}
    assert left == {"epoch", "born", "seq", "hold", "limit"}


async def test_the_state_tells_what_is_spent_who_waits_and_the_limit(redis_client: redis.asyncio.Redis) -> None:
    clock = LeapClock()
    assert not any(await budget_state(redis_client, "binance", clock))
    budget = RedisBudget(redis_client, "binance", 10, clock)
    await spend(budget, 3)
    await budget.acquire(6)
    state = await budget_state(redis_client, "binance", clock)
    assert (state.used, state.limit, state.waiting_history, state.sentence) == (9, 10, 0, "")


async def test_without_redis_nobody_is_let_through() -> None:
    budget = RedisBudget(impatient_redis("redis://127.0.0.1:1/0"), "binance", 100, Clock())
    with pytest.raises(Retryable, match="Redis does not serve"):
        await budget.acquire(1)
