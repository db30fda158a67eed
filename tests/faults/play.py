"""Plays one round: a fetch, two workers and two servers, of which one after the other is killed and comes back."""

import asyncio
import itertools
import sys
import time
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import asyncpg
import psutil

from app.jobs.asked import time_text
from common.clock import Clock
from tests.faults.plan import Kill, Round, Victim
from tests.faults.servers import KillableServer, Servers
from tests.fixtures.instance import is_candle_request
from tests.fixtures.simulator import Simulator
from tests.fixtures.workers import Ended, Program, celery, environment, program, run

#: A leased page of a dead worker is free again after two minutes of this clock.
RATE = 12
SYMBOLS = "BTC/USDT,ETH/USDT"
#: Within which an exchange that is asked at all is asked once more; and in which a round's last fetch ends.
REQUEST_LIMIT_S, END_LIMIT_S = 20, 120
#: Resumed and fetched again so often at most: a page is given up at its third cut answer, and then asked anew.
ENDINGS = 6
_COMMAND = (sys.executable, "-m", "scripts.fetchers.rest")
#: Nothing of these waits for other workers or writes to a terminal.
LEAN = ("-c", "1", "--without-mingle", "--without-gossip", "-l", "INFO")


class Play:
    """`in_flight` counts the pages that were being asked for by what was killed."""

    def __init__(self, round_: Round, simulator: Simulator, servers: Servers, folder: Path) -> None:
        self.round = round_
        self.simulator = simulator
        self.servers = servers
        self.folder = folder
        self.environment = environment(simulator, servers.database_url, servers.redis_url, folder)
        for name in [name for name in self.environment if name.endswith("_WEIGHT_PER_MINUTE")]:
            del self.environment[name]  # the real limits
        self.environment |= {"FETCH_CONCURRENCY": "2", "EXCHANGES": round_.exchange}
        self.in_flight = 0
        self._numbers = itertools.count()
        self._stack = AsyncExitStack()
        self._workers: list[Program] = []
        self._command: Program

    async def run(self) -> None:
        """Return when the last fetch says that everything is complete."""
        async with self._stack:
            self._workers = [await self._worker(), await self._worker()]
            self._command = await self._started(*self._fetch())
            for kill, fault in zip(self.round.kills, self.round.faults, strict=True):
                await self._asked_more(kill.after_requests)
                self.simulator.call("DELETE", "/_sim/faults")
                self.simulator.fault(self.round.exchange, fault["kind"], **_without_kind(fault))
                await self._kill(kill)
            self.simulator.call("DELETE", "/_sim/faults")
            await self._end()

    async def _kill(self, kill: Kill) -> None:
        match kill.victim:
            case Victim.COMMAND:
                self._command.kill()
                await asyncio.sleep(kill.away_s)
                self._command = await self._started("resume", "--exchange", self.round.exchange)
            case Victim.WORKER:
                worker = self._workers.pop(0)
                worker.freeze()  # or the other one takes its pages before they are counted
                self.in_flight += await self._leases(_family(worker))
                worker.kill()
                await asyncio.sleep(kill.away_s)
                self._workers.append(await self._worker())
            case Victim.POSTGRES:
                await self._kill_server(self.servers.postgres)
                await asyncio.sleep(kill.away_s)
                await self.servers.postgres.start()
            case Victim.REDIS | Victim.EMPTIED_REDIS:
                await self._kill_server(self.servers.redis)
                if kill.victim is Victim.EMPTIED_REDIS:
                    self.servers.redis.lose_everything()
                await asyncio.sleep(kill.away_s)
                await self.servers.redis.start()

    async def _kill_server(self, server: KillableServer) -> None:
        """What is asked for now may find nobody to store it, or to count it."""
        for worker in self._workers:
            worker.freeze()  # or they give their pages back before these are counted
        self.in_flight += await self._leases(None)
        server.kill()
        for worker in self._workers:
            worker.thaw()

    async def _end(self) -> None:
        """Whatever was killed, `resume`, and the same fetch for pages that were given up, bring the rest."""
        for _ in range(ENDINGS):
            resumed = await self._ended("resume")
            fetched = await self._ended(*self._fetch())
            said = [resumed.output, resumed.errors, fetched.output, fetched.errors]
            if "Already complete" in fetched.output:
                return
        raise AssertionError(f"never complete: {said}")

    def _fetch(self) -> tuple[str, ...]:
        start, end = time_text(self.round.span.start_ms), time_text(self.round.span.end_ms)
        return ("fetch", "--exchange", self.round.exchange, "--start", start, "--end", end, "--symbols", SYMBOLS)

    async def _asked_more(self, requests: int) -> None:
        """Wait until the exchange was asked so often again, resuming where the command ended; not for ever."""
        before = self._requests()
        with suppress(TimeoutError):
            async with asyncio.timeout(REQUEST_LIMIT_S):
                while self._command.process.returncode != 0 and self._requests() < before + requests:
                    if self._command.process.returncode:
                        self._command = await self._started("resume", "--exchange", self.round.exchange)
                    await asyncio.sleep(0.05)

    def _requests(self) -> int:
        return sum(map(is_candle_request, self.simulator.log()))

    async def _worker(self) -> Program:
        number = next(self._numbers)
        queue = f"{self.round.exchange}_rest"
        command = celery("worker", "-Q", queue, "-n", f"{self.round.exchange}{number}@h", *LEAN)
        log = self.folder / f"worker{number}.log"
        worker = await self._stack.enter_async_context(program(self.environment, log, *command))
        await worker.says(" ready.", limit_s=90)
        return worker

    async def _started(self, *arguments: str) -> Program:
        log = self.folder / f"command{next(self._numbers)}.log"
        return await self._stack.enter_async_context(program(self.environment, log, *_COMMAND, *arguments))

    async def _ended(self, *arguments: str) -> Ended:
        return await run(self.environment, *_COMMAND, *arguments, limit_s=END_LIMIT_S)

    async def _leases(self, pids: set[int] | None) -> int:
        """How many pages these processes hold; None: all processes."""
        connection = await asyncpg.connect(self.servers.database_url)
        try:
            workers = await connection.fetch("SELECT worker FROM fetch_leases")
        finally:
            await connection.close()
        return sum(pids is None or int(row["worker"].split(":")[-2]) in pids for row in workers)


def _family(worker: Program) -> set[int]:
    """The process and its children; it must be alive."""
    process = psutil.Process(worker.process.pid)
    return {process.pid, *(child.pid for child in process.children(recursive=True))}


def _without_kind(fault: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in fault.items() if name != "kind"}


def fast_clock() -> Clock:
    return Clock(RATE, time.time_ns() // 1_000_000)
