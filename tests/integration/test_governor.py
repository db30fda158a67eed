"""Processes that want to ask all the time share one limit: the exchange's own log of requests says how."""

import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
import redis.asyncio

from common.clock import Clock
from common.span import MINUTE_MS
from tests.fixtures.instance import until
from tests.fixtures.simulator import Simulator, running_simulator
from tests.fixtures.workers import Program, environment, program

#: Of which 80 % are ours.
STATED, OURS = 75, 60
#: What history and live ask for; weight 1 each.
HISTORY, LIVE = "/api/v3/time", "/api/v3/ping"


class Fleet:
    """Processes that ask, each for as long as the test lasts."""

    def __init__(self, simulator: Simulator, env: dict[str, str], folder: Path, stack: AsyncExitStack) -> None:
        self.simulator = simulator
        self._env, self._folder, self._stack = env, folder, stack
        self._count = 0

    async def start(self, priority: str, path: str, tasks: int) -> Program:
        self._count += 1
        command = [sys.executable, "-m", "tests.fixtures.asker", priority, path, "1", str(tasks)]
        log = self._folder / f"{self._count}.log"
        return await self._stack.enter_async_context(program(self._env, log, *command))

    def requests(self, path: str = "") -> list[tuple[int, int]]:
        """(ms, status) of each, in order."""
        return [
            (one["at_ms"], one["status"]) for one in self.simulator.get("/_sim/verdicts") if path in one["path"]
        ]

    async def go_on(self, minutes: float) -> int:
        """Let market time pass, of which a first request is the beginning; the moment at its end."""
        await until(self.requests)
        end_ms = self.simulator.clock.now_ms() + minutes * MINUTE_MS
        await until(lambda: self.simulator.clock.now_ms() >= end_ms, limit_s=90)
        return self.simulator.clock.now_ms()

    async def see(self, happens: Callable[[], object]) -> None:
        await until(happens, limit_s=60)


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with running_simulator(Clock(60, int(time.time() * 1000)), enforce_limits=True) as running:
        running.call("POST", "/_sim/limits", {"binance": STATED})
        yield running


@pytest.fixture
async def fleet(simulator: Simulator, postgres_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[Fleet]:
    limit = {"BINANCE_WEIGHT_PER_MINUTE": str(STATED)}
    env = environment(simulator, postgres_url, redis_url, tmp_path, **limit)
    async with opened(simulator, env, tmp_path) as fleet:
        yield fleet


@asynccontextmanager
async def opened(simulator: Simulator, env: dict[str, str], folder: Path) -> AsyncIterator[Fleet]:
    async with AsyncExitStack() as stack:
        yield Fleet(simulator, env, folder, stack)


def most_in_a_minute(times_ms: list[int]) -> int:
    return max(sum(start_ms <= ms < start_ms + MINUTE_MS for ms in times_ms) for start_ms in times_ms)


def fits(requests: list[tuple[int, int]]) -> bool:
    return most_in_a_minute([ms for ms, _ in requests]) <= OURS


async def test_four_processes_use_the_limit_and_never_exceed_it_though_one_is_killed_and_redis_is_emptied(
    fleet: Fleet, redis_client: redis.asyncio.Redis
) -> None:
    processes = [await fleet.start("history", HISTORY, 4) for _ in range(4)]
    used_ms = await fleet.go_on(4)
    steady = [ms for ms, _ in fleet.requests()]
    processes[0].kill()
    await fleet.start("history", HISTORY, 4)
    await fleet.go_on(2)
    await redis_client.flushall()
    emptied_ms = await fleet.go_on(3)
    await fleet.see(lambda: fleet.requests()[-1][0] > emptied_ms)
    requests = fleet.requests()
    assert {status for _, status in requests} == {200} and fits(requests)
    assert len(steady) >= 0.7 * OURS * (used_ms - steady[0]) / MINUTE_MS, "most of it is used, not only respected"


async def test_live_goes_first_up_to_half_and_history_keeps_the_other_half(fleet: Fleet) -> None:
    for _ in range(3):
        await fleet.start("history", HISTORY, 4)
    await fleet.go_on(1)
    await fleet.start("live", LIVE, 4)
    await fleet.see(lambda: fleet.requests(LIVE))
    begin_ms = fleet.simulator.clock.now_ms()
    await fleet.go_on(6)
    live, history = ([ms for ms, _ in fleet.requests(path) if ms >= begin_ms] for path in (LIVE, HISTORY))
    assert fits(fleet.requests()) and most_in_a_minute(live) <= OURS / 2
    # By number the four would get a quarter of what sixteen ask for. Some of either are cut off at the ends.
    both = len(live) + len(history)
    assert len(live) > 0.35 * both and len(history) > 0.45 * both


async def test_after_a_429_everybody_is_quiet_for_as_long_as_it_says(fleet: Fleet) -> None:
    for _ in range(3):
        await fleet.start("history", HISTORY, 2)
    await fleet.go_on(1)
    fleet.simulator.fault("binance", "rate_limit", count=1, retry_after_s=300)
    await fleet.see(lambda: any(status == 429 for _, status in fleet.requests()))
    refused_ms = next(ms for ms, status in fleet.requests() if status == 429)
    await fleet.see(lambda: fleet.requests()[-1][0] > refused_ms + 300_000)
    # What was under way when the refusal came may still arrive.
    asked = [ms for ms, _ in fleet.requests() if refused_ms + MINUTE_MS < ms <= refused_ms + 300_000]
    assert asked == [] and fits(fleet.requests())


async def test_a_ban_is_waited_out_by_everybody_even_by_those_who_were_started_again(fleet: Fleet) -> None:
    processes = [await fleet.start("history", HISTORY, 2) for _ in range(3)]
    await fleet.go_on(1)
    fleet.simulator.fault("binance", "ban", seconds=400)
    await fleet.see(lambda: any(status == 418 for _, status in fleet.requests()))
    banned_ms = next(ms for ms, status in fleet.requests() if status == 418)
    await fleet.see(lambda: any("quiet until" in process.log.read_text() for process in processes))
    for process in processes:
        process.kill()
    again = [await fleet.start("live", LIVE, 2) for _ in range(2)]
    await again[0].says("binance is quiet until ")
    await fleet.see(lambda: fleet.requests(LIVE))
    requests = fleet.requests()
    assert fleet.requests(LIVE)[0][1] == 200
    assert sum(status == 418 for _, status in requests) <= 6, "what was under way, and nobody else"
    assert [ms for ms, _ in requests if banned_ms + MINUTE_MS < ms < banned_ms + 390_000] == []
