"""After a refusal nobody asks; a Redis that forgot what was spent is taken for one in which everything was."""

import pytest
import redis.asyncio

from app.stores.budget import RedisBudget, budget_state
from common.errors import Blocked, Retryable
from tests.fixtures.live import LeapClock
from tests.integration.test_budget import WINDOW_S, spend

KEY = "candlehouse:budget:binance"


@pytest.fixture
def clock() -> LeapClock:
    return LeapClock()


@pytest.fixture
def budget(redis_client: redis.asyncio.Redis, clock: LeapClock) -> RedisBudget:
    return RedisBudget(redis_client, "binance", 100, clock)


def other(redis_client: redis.asyncio.Redis, clock: LeapClock) -> RedisBudget:
    """Another process, or the same one after it was started again."""
    return RedisBudget(redis_client, "binance", 100, clock)


async def refuse(
    budget: RedisBudget, clock: LeapClock, status: int, seconds: float, sent_s_ago: float = 0
) -> None:
    now_ms = clock.now_ms()
    await budget.refuse(status, now_ms + round(seconds * 1000), now_ms - round(sent_s_ago * 1000))


async def test_a_short_quiet_is_waited_out_by_everybody_and_the_longest_counts(
    budget: RedisBudget, redis_client: redis.asyncio.Redis, clock: LeapClock
) -> None:
    """W19: after a refusal nobody asks sooner, let alone more."""
    started_ms = clock.now_ms()
    await refuse(budget, clock, 429, 80)
    await refuse(budget, clock, 429, 30, sent_s_ago=1)
    await spend(other(redis_client, clock), 1)
    assert 80_000 <= clock.now_ms() - started_ms < 82_000


async def test_a_ban_is_told_to_whoever_would_ask_even_after_all_processes_were_started_again(
    budget: RedisBudget, redis_client: redis.asyncio.Redis, clock: LeapClock
) -> None:
    await spend(budget, 1)
    await refuse(budget, clock, 418, 3 * 86_400)
    until = "2024-05-18 12:34:00 UTC (418)"
    for _ in range(2):
        with pytest.raises(Retryable, match=r"^binance is quiet until ") as told:
            await other(redis_client, clock).acquire(1)
        assert str(told.value) == f"binance is quiet until {until}." and told.value.retry_after_s == 3 * 86_400
    assert (await budget_state(redis_client, "binance", clock)).sentence == f"quiet until {until}"
    clock.moment_ms += 3 * 86_400_000
    await spend(other(redis_client, clock), 1)
    assert clock.sleeps == [] and (await budget_state(redis_client, "binance", clock)).sentence == ""


async def quiet_s(redis_client: redis.asyncio.Redis, clock: LeapClock) -> float:
    return ((await budget_state(redis_client, "binance", clock)).quiet_until_ms - clock.now_ms()) / 1000


async def test_each_429_in_a_row_keeps_quiet_for_twice_as_long(
    budget: RedisBudget, redis_client: redis.asyncio.Redis, clock: LeapClock
) -> None:
    seen = []
    for _ in range(4):
        await refuse(budget, clock, 429, 30)
        seen.append(await quiet_s(redis_client, clock))
        clock.moment_ms += seen[-1] * 1000
    clock.moment_ms += 3_600_000
    await refuse(budget, clock, 429, 30)
    assert [*seen, await quiet_s(redis_client, clock)] == [30, 60, 120, 240, 30]


async def test_many_answers_to_one_burst_are_one_refusal(
    budget: RedisBudget, redis_client: redis.asyncio.Redis, clock: LeapClock
) -> None:
    for _ in range(5):
        await refuse(budget, clock, 429, 5, sent_s_ago=1)
    assert await quiet_s(redis_client, clock) == 5
    clock.moment_ms += 6_000
    await refuse(budget, clock, 429, 5, sent_s_ago=7)
    assert await quiet_s(redis_client, clock) == 5, "sent before the first refusal came"


async def test_who_is_blocked_is_told_so_at_once_in_the_same_sentence(
    budget: RedisBudget, redis_client: redis.asyncio.Redis, clock: LeapClock
) -> None:
    sentence = "Binance refuses this network or country (HTTP 451): …"
    await budget.refuse(451, clock.now_ms() + 50_000, clock.now_ms(), sentence)
    with pytest.raises(Blocked) as told:
        await other(redis_client, clock).acquire(1)
    assert (str(told.value), told.value.status, clock.sleeps) == (sentence, 451, [])
    clock.moment_ms += 50_000
    await spend(other(redis_client, clock), 1)


async def test_an_emptied_redis_counts_as_spent_for_one_window(
    budget: RedisBudget, redis_client: redis.asyncio.Redis, clock: LeapClock
) -> None:
    idle = other(redis_client, clock)
    await spend(idle, 1)
    await spend(budget, 99)
    emptied_ms = clock.now_ms()
    await redis_client.flushall()
    await spend(budget, 1)
    assert 60_000 < clock.now_ms() - emptied_ms <= (WINDOW_S + 1) * 1000
    clock.moment_ms += 1_000
    clock.sleeps.clear()
    await spend(idle, 1)
    await spend(other(redis_client, clock), 1)
    assert clock.sleeps == [], "told once is enough, whoever notices later"


async def test_whoever_asks_an_emptied_redis_first_leaves_nothing_to_those_who_knew_it(
    budget: RedisBudget, redis_client: redis.asyncio.Redis, clock: LeapClock
) -> None:
    await spend(budget, 100)
    await redis_client.flushall()
    await spend(other(redis_client, clock), 1)
    asked_ms = clock.now_ms()
    await spend(budget, 1)
    assert clock.now_ms() - asked_ms > 60_000


async def test_a_ban_survives_an_emptied_redis_as_long_as_anybody_knows_of_it(
    budget: RedisBudget, redis_client: redis.asyncio.Redis, clock: LeapClock
) -> None:
    await refuse(budget, clock, 418, 1000)
    for _ in range(2):
        with pytest.raises(Retryable, match="418"):
            await budget.acquire(1)
        await redis_client.flushall()
    with pytest.raises(Retryable, match="418"):
        await budget.acquire(1)
    assert await quiet_s(redis_client, clock) == 1000


async def test_a_redis_that_came_back_with_an_older_snapshot_counts_as_spent_too(
    budget: RedisBudget, redis_client: redis.asyncio.Redis, clock: LeapClock
) -> None:
    await spend(budget, 1)
    snapshot = await redis_client.dump(KEY)
    await spend(budget, 99)
    await redis_client.restore(KEY, 0, snapshot, replace=True)
    lost_ms = clock.now_ms()
    await spend(budget, 1)
    assert clock.now_ms() - lost_ms > 60_000
