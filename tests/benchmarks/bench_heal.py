"""From reconnecting to healed: every minute that was over by then is in the database, of every market.

Real processes (a stream, the updater, a worker, beat), the exchange's own limits, and a way to it and back of a
tenth of a second. Against what is promised: 10 s for as many markets as the budget allows in 10 s, and beyond that
what the budget needs for all, and 10 s. Five losses take half an hour, for the clock goes as it does: a
faster one (HEAL_RATE) makes losses shorter, but no machine faster. HEAL_MARKETS and HEAL_LOSSES choose how many.
"""

import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from common.clock import Clock
from common.span import MINUTE_MS, floor_minute
from tests.faults.front import Front
from tests.faults.machine import Machine
from tests.faults.play import LEAN
from tests.fixtures.feed import now_ms
from tests.fixtures.live import eventually
from tests.fixtures.simulator import Simulator, running_simulator
from tests.fixtures.workers import celery, environment, program

RATE = float(os.environ.get("HEAL_RATE", "1"))
MARKETS, LOSSES = int(os.environ.get("HEAL_MARKETS", "300")), int(os.environ.get("HEAL_LOSSES", "5"))
#: Binance's limit a minute; our share of it; what a request of candles costs; real seconds there and back.
WEIGHT_PER_MINUTE, SHARE, WEIGHT, WAY_S = 6000, 0.8, 2, 0.1
#: Seconds of the clock that a loss lasts: longer than from one pass to the next, so that one has failed meanwhile.
LOST_S, LIMIT_S = 330, 900

_COUNT = """
SELECT count(*) FROM candles WHERE time >= to_timestamp($1 / 1000.0) AND time < to_timestamp($2 / 1000.0)
"""


class Stage:
    """What can be lost, and what is looked at."""

    def __init__(self, simulator: Simulator, front: Front, machine: Machine, url: str) -> None:
        self.simulator, self.front, self.machine, self.url = simulator, front, machine, url
        self.kinds: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
            "refused": (lambda: self.fault("maintenance"), lambda: self.fault("maintenance", on=False)),
            "silent": (lambda: self.fault("silence"), lambda: self.fault("silence", on=False)),
            "half-open": (front.goes_quiet, front.speaks),
            "a stranger's certificate": (self.show_a_strangers, front.is_itself),
            "no names": (self.lose_names, lambda: machine.resolve_names(on=True)),
        }

    def fault(self, kind: str, **more: Any) -> None:
        self.simulator.fault("binance", kind, **more)

    def show_a_strangers(self) -> None:
        self.front.is_foreign()
        self.fault("disconnect")

    def lose_names(self) -> None:
        self.machine.resolve_names(on=False)
        self.fault("disconnect")

    async def until_stored(self, first_ms: int, end_ms: int) -> int:
        """When all minutes of this span are in the database, of all markets."""
        connection = await asyncpg.connect(self.url)
        wanted = len(self.markets()) * ((end_ms - first_ms) // MINUTE_MS)
        try:
            async with asyncio.timeout(LIMIT_S / RATE + 120):
                while await connection.fetchval(_COUNT, first_ms, end_ms) < wanted:  # noqa: ASYNC110 - tells nobody
                    await asyncio.sleep(0.05)
        finally:
            await connection.close()
        return self.simulator.clock.now_ms()

    def markets(self) -> list[Any]:
        return [one for one in self.simulator.market.symbols("binance") if one.status == "TRADING"]

    async def lose(self, kind: str) -> float:
        """Seconds of the clock from reconnecting until healed."""
        strike, take_back = self.kinds[kind]
        clock, first_ms = self.simulator.clock, floor_minute(self.simulator.clock.now_ms())
        before = len(self.simulator.log())
        strike()
        await clock.sleep(LOST_S)
        take_back()
        back_ms = clock.now_ms()
        # One that was opened in the silence brings candles from its end on.
        since_ms = 0 if kind == "silent" else back_ms
        opened: int = await eventually(lambda: asyncio.to_thread(self._opened, before, since_ms), LIMIT_S)
        reconnected_ms = max(back_ms, opened)
        healed_ms = await self.until_stored(first_ms, floor_minute(reconnected_ms))
        return (healed_ms - reconnected_ms) / 1000

    def _opened(self, before: int, since_ms: int) -> int:
        """When the last connection since then was opened; 0 where none was."""
        found = (int(one["received_ms"]) for one in self.simulator.log()[before:] if one["method"] == "WS")
        return max((at_ms for at_ms in found if at_ms >= since_ms), default=0)


@asynccontextmanager
async def stage(postgres_url: str, redis_url: str, folder: Path) -> AsyncIterator[Stage]:
    with running_simulator(Clock(RATE, now_ms()), per_exchange={"binance": MARKETS}) as simulator:
        simulator.fault("binance", "slow", seconds=WAY_S * RATE)
        machine = Machine(folder / "machine")
        async with Front(simulator.port, folder).running() as front, AsyncExitStack() as stack:
            env = made_environment(simulator, front, machine, postgres_url, redis_url, folder)
            ws = [sys.executable, "-m", "scripts.fetchers.ws"]
            worker = celery("worker", "-Q", "binance_rest", "-n", "binanceRestWorker@h", *LEAN)
            for name, command in {
                "stream": [*ws, "fetch", "--exchange", "binance"],
                "update": [*ws, "update"],
                "worker": worker,
                "beat": celery("beat", "--pidfile", "", "-l", "INFO"),
            }.items():
                await stack.enter_async_context(program(env, folder / f"{name}.log", *command))
            yield Stage(simulator, front, machine, postgres_url)


def made_environment(
    simulator: Simulator, front: Front, machine: Machine, postgres_url: str, redis_url: str, folder: Path
) -> dict[str, str]:
    address = f"localhost:{front.port}"
    more = {
        "EXCHANGES": "binance",
        "SYMBOLS": "binance:*:*",
        "BINANCE_WEIGHT_PER_MINUTE": str(WEIGHT_PER_MINUTE),
        "BINANCE_REST_URL": f"https://{address}/binance",
        "BINANCE_WS_URL": f"wss://{address}/binance",
        "SSL_CERT_FILE": str(front.trusted),
    }
    return {**environment(simulator, postgres_url, redis_url, folder), **more, **machine.environment}


@pytest.mark.benchmark
@pytest.mark.timeout(7200)
async def test_minutes_that_were_missed_are_there_soon_after_reconnecting(
    postgres_url: str, redis_url: str
) -> None:
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="candlehouse-heal-") as name:
        async with stage(postgres_url, redis_url, Path(name)) as played:
            first_ms = floor_minute(played.simulator.clock.now_ms()) + 2 * MINUTE_MS
            await played.until_stored(first_ms, first_ms + MINUTE_MS)
            took = [(kind, await played.lose(kind)) for kind in [*played.kinds] * (LOSSES // len(played.kinds))]
            markets = len(played.markets())
    seconds = [one for _, one in took]
    need_s = markets * WEIGHT / (WEIGHT_PER_MINUTE * SHARE / 60)
    promised_s = 10 if need_s <= 10 else need_s + 10
    p95 = statistics.quantiles(seconds, n=20, method="inclusive")[-1]
    figure: dict[str, Any] = {"name": "reconnect to healed, p95", "value": round(p95, 1), "unit": "s of the clock"}
    figure |= {"against": round(promised_s, 1), "ratio": round(p95 / promised_s, 2)}
    figure |= {"p50": round(statistics.median(seconds), 1), "losses": len(took), "markets": markets, "rate": RATE}
    by_kind = {kind: [round(one, 1) for of, one in took if of == kind] for kind in dict(took)}
    print(json.dumps(figure | {"by_kind": by_kind, "s": round(time.monotonic() - began_s)}))
