"""The processes of a long run: a simulator that enforces limits, eight workers, beat, a stream, its updater."""

import os
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.migrate import upgrade
from app.settings import Settings, load_settings
from common.clock import Clock
from fetchers import registry
from scripts.simulator.listings import listings
from scripts.simulator.market import InventedMarket
from tests.fixtures.postgres import execute, free_port, running_postgres
from tests.fixtures.redis import running_redis
from tests.fixtures.simulator import Simulator
from tests.fixtures.workers import BIN, Program, celery, environment, program, worker

WORKERS = 8
#: Streamed and healed; history is asked of every market.
STREAMED = ("BTC/USDT", "ETH/USDT", "SOL/USDT", "XRP/USDT", "LTC/USDT", "DOGE/USDT", "ETH/BTC", "LTC/BTC")
#: In the simulator, over all exchanges.
MARKETS = 3000


@dataclass(frozen=True)
class Plan:
    """One run. `stated` is the weight a minute that the exchange allows."""

    exchange: str
    clock: Clock
    minutes: int
    stated: int

    @property
    def allowed(self) -> int:
        return int(self.stated * 0.8)


def plan_of(environ: Mapping[str, str]) -> Plan:
    exchange, rate = environ.get("EXCHANGE", "binance"), float(environ.get("CLOCK_RATE", "60"))
    # In a real second no more than at a real exchange, which is what a machine can do.
    stated = max(40, round(registry.get(exchange).limits.weight_per_minute / rate))
    stated = int(environ.get("LIMIT", stated))
    # A clock of rate 1 has no anchor; any other counts from now.
    return Plan(exchange, Clock(rate, int(time.time() * 1000)), int(environ.get("MINUTES", "60")), stated)


@dataclass(frozen=True)
class Fleet:
    """`environment` is every process's."""

    simulator: Simulator
    environment: dict[str, str]

    @property
    def settings(self) -> Settings:
        return load_settings(self.environment, dotenv="/nowhere")


@contextmanager
def servers() -> Iterator[tuple[str, str]]:
    """The addresses of a PostgreSQL with our tables and of a Redis."""
    with running_postgres() as postgres, running_redis() as redis_url:
        execute(postgres.url("postgres"), "CREATE DATABASE soak")
        upgrade(postgres.url("soak"))
        yield postgres.url("soak"), redis_url


@asynccontextmanager
async def fleet(plan: Plan, postgres_url: str, redis_url: str, folder: Path) -> AsyncIterator[Fleet]:
    """Everything runs, and the first candle has come."""
    async with AsyncExitStack() as stack:
        simulator = await _simulator(plan, folder, stack)
        env = _environment(plan, simulator, postgres_url, redis_url, folder)
        ws = [sys.executable, "-m", "scripts.fetchers.ws"]
        stream, update = [*ws, "fetch", "--exchange", plan.exchange], [*ws, "update"]
        streaming = await stack.enter_async_context(program(env, folder / "stream.out", *stream))
        await stack.enter_async_context(program(env, folder / "update.out", *update))
        await stack.enter_async_context(program(env, folder / "beat.out", *celery("beat", "-l", "INFO")))
        for number in range(WORKERS):
            name = ("-n", f"soak{number}@h", "-c", "1", "--without-mingle", "--without-gossip")
            await stack.enter_async_context(worker(env, folder / f"worker{number}.out", plan.exchange, *name))
        await streaming.says("Connected", 120)
        yield Fleet(simulator, env)


async def _simulator(plan: Plan, folder: Path, stack: AsyncExitStack) -> Simulator:
    port = free_port()
    time_ = (f"--clock-rate={plan.clock.rate}", f"--clock-anchor-ms={plan.clock.anchor_ms}")
    command = [str(BIN / "candlehouse"), "simulate", f"--port={port}", f"--symbols={MARKETS}", "--enforce-limits"]
    environ = {"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1"}
    running: Program = await stack.enter_async_context(
        program(environ, folder / "simulator.out", *command, *time_)
    )
    await running.says("The simulator serves", 60)
    simulator = Simulator(port, plan.clock, InventedMarket(listings(MARKETS)))
    status, answer = simulator.call("POST", "/_sim/limits", {plan.exchange: plan.stated})
    assert status == 200, answer
    return simulator


def _environment(
    plan: Plan, simulator: Simulator, postgres_url: str, redis_url: str, folder: Path
) -> dict[str, str]:
    streamed = ",".join(f"{plan.exchange}:{name.replace('/', ':')}" for name in STREAMED)
    weight = {f"{plan.exchange.upper()}_WEIGHT_PER_MINUTE": str(plan.stated)}
    own = {"EXCHANGES": plan.exchange, "SYMBOLS": streamed, "LOG_DIR": str(folder), **weight}
    return environment(simulator, postgres_url, redis_url, folder, **own)
