"""Plays a live round: every role as a process of its own, two of them streaming, and a client at the WebSocket."""

import asyncio
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import psutil
import redis.asyncio

from common.span import MINUTE_MS, floor_minute
from tests.faults.front import Front
from tests.faults.live_blows import MINUTE_S, strike
from tests.faults.live_client import MARKETS, Listener, Looker
from tests.faults.live_plan import Round
from tests.faults.machine import Machine
from tests.faults.play import LEAN
from tests.faults.servers import Servers
from tests.fixtures.live import running
from tests.fixtures.postgres import free_port
from tests.fixtures.simulator import Simulator
from tests.fixtures.workers import BIN, Program, celery, environment, program

_PYTHON = (sys.executable, "-m")


class LivePlay:
    """`start_ms` is the first minute that must be right, `end_ms` the minute after the last one."""

    def __init__(self, round_: Round, simulator: Simulator, servers: Servers, front: Front, folder: Path) -> None:
        self.round, self.simulator, self.servers, self.folder = round_, simulator, servers, folder
        self.front, self.machine = front, Machine(folder / "machine")
        self._port = free_port()
        self._environment = self._made_environment()
        self._commands = self._made_commands()
        self.listener = Listener(f"127.0.0.1:{self._port}", round_.exchange)
        self.looker = Looker(servers.redis_url, round_.exchange)
        self.start_ms = self.end_ms = 0
        self.running: dict[str, Program] = {}
        #: By role, and of Redis: bytes by which it grew while PostgreSQL was away for an hour.
        self.grown: dict[str, int] = {}
        self.left_out: list[str] = []
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> "LivePlay":
        await self._stack.__aenter__()
        for role in self._commands:
            await self.start(role)
        for watching in (self.listener.run(self.simulator.clock), self.looker.run()):
            await self._stack.enter_async_context(running(watching))
        return self

    async def __aexit__(self, *ended: Any) -> None:
        await self._stack.__aexit__(*ended)

    async def run(self) -> None:
        self.start_ms = floor_minute(self.simulator.clock.now_ms())
        for blow, minutes in self.round.blows:
            await strike(self, blow, minutes * MINUTE_S)
            await asyncio.sleep(MINUTE_S / 2)
        self.simulator.call("DELETE", "/_sim/faults")
        self.end_ms = floor_minute(self.simulator.clock.now_ms()) + 2 * MINUTE_MS

    async def start(self, role: str, log: Path | None = None) -> None:
        """What keeps a role running is not played: it is started again as a supervisor would."""
        log = log or self.folder / f"{role.replace(' ', '')}-{time.monotonic_ns()}.log"
        self.running[role] = await self._stack.enter_async_context(
            program(self._environment, log, *self._commands[role])
        )

    async def start_all_again(self, log: Path | None = None) -> None:
        """After a kill."""
        for one in self.running.values():
            one.kill()
        for role in self._commands:
            await self.start(role, log)

    async def memory(self) -> dict[str, int]:
        """Bytes that each role holds, and Redis."""
        found = {}
        for role, one in self.running.items():
            process = psutil.Process(one.process.pid)
            found[role] = sum(each.memory_full_info().pss for each in (process, *process.children(recursive=True)))
        async with redis.asyncio.Redis.from_url(self.servers.redis_url) as client:
            told: dict[str, int] = await client.info("memory")
        return {**found, "Redis": told["used_memory"]}

    def ended(self) -> dict[str, int]:
        """Roles that ended by themselves, and their status."""
        return {
            role: one.process.returncode
            for role, one in self.running.items()
            if one.process.returncode is not None
        }

    def _made_environment(self) -> dict[str, str]:
        """Everybody has a name, and the exchange is spoken to through the front."""
        exchange = self.round.exchange
        front = f"localhost:{self.front.port}"
        here = f"127.0.0.1:{self.simulator.port}"
        addresses = {
            name: url.replace(f"http://{here}", f"https://{front}").replace(f"ws://{here}", f"wss://{front}")
            for name, url in self.simulator.urls().items()
            if name.endswith(("_REST_URL", "_WS_URL"))
        }
        return {
            **environment(
                self.simulator,
                self.servers.database_url.replace("127.0.0.1", "localhost"),
                self.servers.redis_url.replace("127.0.0.1", "localhost"),
                self.folder,
                EXCHANGES=exchange,
                SYMBOLS=",".join(f"{exchange}:{market.replace('/', ':')}" for market in MARKETS),
                WEB_PORT=str(self._port),
                RECONCILE_EVERY_S="120",
            ),
            **addresses,
            **self.machine.environment,
            "SSL_CERT_FILE": str(self.front.trusted),
        }

    def _made_commands(self) -> dict[str, list[str]]:
        exchange = self.round.exchange
        stream = [*_PYTHON, "scripts.fetchers.ws", "fetch", "--exchange", exchange]
        return {
            "stream 1": stream,
            "stream 2": stream,
            "update": [*_PYTHON, "scripts.fetchers.ws", "update"],
            "worker": celery("worker", "-Q", f"{exchange}_rest", "-n", f"{exchange}RestWorker@h", *LEAN),
            "beat": celery("beat", "--pidfile", "", "-l", "INFO"),
            "web": [str(BIN / "uvicorn"), "web.main:app", "--port", str(self._port)],
        }
