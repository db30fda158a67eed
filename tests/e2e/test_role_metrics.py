"""Every role of a running instance tells Prometheus of its own work, and is found while it lives."""

import asyncio
import json
import os
import signal
import sys
import urllib.request
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from prometheus_client.parser import text_string_to_metric_families
from redis.asyncio import Redis

from app.metrics import process, requests, stream, update, worker
from app.metrics.scrape import Figures
from app.stores.census import Member, living
from tests.fixtures import start
from tests.fixtures.live import eventually
from tests.fixtures.simulator import Simulator, simulator
from tests.fixtures.start import World
from tests.fixtures.workers import environment, program
from tests.fixtures.workers import worker as worker_pool

__all__ = ["simulator"]

LIMIT_S = 100
#: A minute of the market takes three seconds.
QUICK = {"EXCHANGES": "binance", "FIRST_FILL_HOURS": "1", "CLOCK_RATE": "20"}
#: What each role tells.
TOLD: dict[str, Figures] = {
    "stream": {**process.FIGURES, **stream.FIGURES, **requests.FIGURES},
    "update": {**process.FIGURES, **update.FIGURES},
    "worker": {**process.FIGURES, **worker.FIGURES, **requests.FIGURES},
    "beat": {**process.FIGURES, **worker.ORDER_FIGURES},
}
NAMES = ("stream binance", "update", "worker binance", "beat")


class Sample(NamedTuple):
    labels: dict[str, str]
    value: float


class Target(NamedTuple):
    """A process as Prometheus finds it."""

    role: str
    process: str
    address: str

    def scrape(self) -> dict[str, list[Sample]]:
        """The samples by name; every figure is one of the role's and has the labels that are written of it."""
        text = get(f"http://{self.address}/metrics").decode()
        found: dict[str, list[Sample]] = {}
        for family in text_string_to_metric_families(text):
            name = f"{family.name}_total" if family.type == "counter" else family.name
            found[name] = []
            for sample in family.samples:
                assert set(sample.labels) - {"le"} == set(TOLD[self.role][name].labels), sample
                found.setdefault(sample.name, []).append(Sample(sample.labels, sample.value))
        return found

    def sum(self, name: str, **labels: str) -> float:
        """Of all samples that have these labels."""
        samples = self.scrape().get(name, [])
        return sum(one.value for one in samples if labels.items() <= one.labels.items())


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=20) as answer:
        body: bytes = answer.read()
    return body


def targets(world: World) -> list[Target]:
    found = json.loads(get(f"http://127.0.0.1:{world.ports['WEB_PORT']}/metrics/targets"))
    return [Target(one["labels"]["role"], one["labels"]["process"], *one["targets"]) for one in found]


async def until(happens: Callable[[], Any], limit_s: float = LIMIT_S) -> Any:
    """What `happens` returns as soon as that is true."""
    async with asyncio.timeout(limit_s):
        while not (found := await asyncio.to_thread(happens)):  # noqa: ASYNC110  other processes' doing
            await asyncio.sleep(0.2)
    return found


def all_of(world: World, count: int) -> list[Target]:
    """The targets once they are so many."""
    found = targets(world)
    return found if len(found) == count else []


async def grows(target: Target, name: str, **labels: str) -> None:
    before = await asyncio.to_thread(target.sum, name, **labels)
    await until(lambda: target.sum(name, **labels) > before)


async def ready(line: Callable[[float], Awaitable[str]]) -> None:
    while not (await line(LIMIT_S)).startswith("Candlehouse is ready"):
        pass


@pytest.mark.timeout(300)
async def test_every_role_tells_of_its_work_and_is_found_while_it_lives(tmp_path: Path) -> None:
    with start.world("scripts.cli", "up", "--demo") as world:
        ports = f"{(first := start.any_port())}-{first + 40}"
        async with world.start(METRICS_PORTS=ports, **QUICK) as instance:
            await ready(instance.line)
            found = {one.process: one for one in await until(lambda: all_of(world, 4))}
            assert [found[name].role for name in NAMES] == ["stream", "update", "worker", "beat"]
            assert len({one.address for one in found.values()}) == 4
            await _works(found)
            await _comes_and_goes(world, found, tmp_path)
            await instance.end(signal.SIGTERM)


async def _works(found: dict[str, Target]) -> None:
    of, feed, updater, worker_, beat = {"exchange": "binance"}, *(found[name] for name in NAMES)
    async with asyncio.TaskGroup() as tasks:
        for name in ("frames_total", "bytes_total", "candles_total", "write_seconds_count", "delay_seconds_count"):
            tasks.create_task(grows(feed, f"candlehouse_feed_{name}", **of))
        for name in ("commit_seconds_count", "batch_candles_sum", "candles_total", "delay_seconds_count"):
            tasks.create_task(grows(updater, f"candlehouse_update_{name}"))
        tasks.create_task(grows(worker_, "candlehouse_tasks_total", task="pulse", outcome="success"))
        tasks.create_task(grows(worker_, "candlehouse_task_seconds_count", task="reconcile_slice"))
        tasks.create_task(grows(worker_, "candlehouse_task_wait_seconds_count", queue="binance_rest"))
        tasks.create_task(grows(worker_, "candlehouse_exchange_request_seconds_count", **of, status="200"))
        tasks.create_task(grows(beat, "candlehouse_orders_total", task="pulse"))
        tasks.create_task(until(lambda: worker_.sum("candlehouse_heal_seconds_count", **of)))
    for name in NAMES:
        assert TOLD[found[name].role].keys() <= found[name].scrape().keys()
    told = feed.scrape()
    assert told["candlehouse_feed_connections"] == told["candlehouse_feed_opened_total"] == [Sample(of, 1)]
    assert told["candlehouse_feed_lost_total"] == [Sample(of, 0)]
    assert told["candlehouse_feed_markets"][0].value > 3
    assert updater.sum("candlehouse_update_candles_total") == updater.sum("candlehouse_update_batch_candles_sum")


async def _comes_and_goes(world: World, found: dict[str, Target], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "scripts.cli", "stream", "--exchange", "binance"]
    async with program(world.environ, tmp_path / "second.log", *command) as second:
        await until(lambda: len(targets(world)) == 5)
        streams = [one for one in targets(world) if one.role == "stream"]
        assert {one.process for one in streams} == {"stream binance"}
        assert len({one.address for one in streams}) == 2
        (new,) = (one for one in streams if one != found["stream binance"])
        await grows(new, "candlehouse_feed_frames_total", exchange="binance")
        os.kill(second.process.pid, signal.SIGKILL)
        await until(lambda: new not in targets(world))
    assert set(targets(world)) == set(found.values())


async def test_each_process_of_a_workers_pool_answers_at_a_port_of_its_own_and_so_does_the_one_that_replaces_it(
    simulator: Simulator, postgres_url: str, redis_url: str, redis_client: Redis, tmp_path: Path
) -> None:
    ports = f"{(first := start.any_port())}-{first + 9}"
    env = environment(simulator, postgres_url, redis_url, tmp_path, METRICS_PORTS=ports)

    async def pool(without: tuple[Member, ...] = ()) -> list[Member]:
        found = [one for one in await living(redis_client) if one not in without]
        return found if len(found) == 2 else []

    async with worker_pool(env, tmp_path / "log", "binance", "-c", "2"):
        before = await eventually(pool, LIMIT_S)
        assert {(one.name, one.queues) for one in before} == {("worker binance", ("all_rest", "binance_rest"))}
        assert len({one.address for one in before}) == 2
        for one in before:
            target = Target(one.role, one.name, one.address)
            await until(lambda target=target: target.sum("process_cpu_seconds_total") > 0)
        killed = before[0]
        os.kill(int(killed.id.split("-")[-2]), signal.SIGKILL)
        after = await eventually(lambda: pool((killed,)), LIMIT_S)
        assert before[1] in after
        assert await asyncio.to_thread(Target(*(after[0].role, after[0].name, after[0].address)).scrape)
    assert [one for one in await living(redis_client) if one != killed] == [], "who ends says so"
