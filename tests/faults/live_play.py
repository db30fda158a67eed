"""Plays a live round: every role as a process of its own, two of them streaming, and a client at the WebSocket."""

import asyncio
import json
import sys
import time
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from common.clock import Clock
from common.span import MINUTE_MS, floor_minute
from tests.faults.live_plan import Blow, Round
from tests.faults.play import LEAN
from tests.faults.servers import Servers
from tests.fixtures.postgres import free_port
from tests.fixtures.simulator import Simulator
from tests.fixtures.workers import BIN, Program, celery, environment, program

#: A minute of the feed lasts so many real seconds.
RATE, MINUTE_S = 20, 3.0
MARKETS = ("BTC/USDT", "ETH/USDT", "ETH/BTC")
_PYTHON = (sys.executable, "-m")


@dataclass
class Listener:
    """A program at the WebSocket that comes back whenever it is cut off; it keeps the newest state of each bar."""

    address: str
    exchange: str
    bars: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)
    #: Since when the connection that is open has been.
    since_ms: int = 0

    async def run(self, clock: Clock) -> None:
        while True:
            with suppress(OSError, WebSocketException, TimeoutError):
                async with connect(f"ws://{self.address}/api/ohlcvs", open_timeout=5) as socket:
                    for market in MARKETS:
                        await socket.send(json.dumps(self._wish(*market.split("/"))))
                    self.since_ms = clock.now_ms()
                    async for text in socket:
                        self._hear(json.loads(text))
            await asyncio.sleep(0.2)

    def _wish(self, base: str, quote: str) -> dict[str, Any]:
        names = {"exchange": self.exchange, "base_id": base, "quote_id": quote, "interval": "1m"}
        return {"event_type": "subscribe", "data_type": "ohlcv", "mls": True, "tags": True, **names}

    def _hear(self, said: dict[str, Any]) -> None:
        if "event" not in said:
            self.bars[f"{said['base_id']}/{said['quote_id']}", said["time"]] = said


class LivePlay:
    """`start_ms` is the first minute that must be right, `end_ms` the minute after the last one."""

    def __init__(self, round_: Round, simulator: Simulator, servers: Servers, folder: Path) -> None:
        self.round, self.simulator, self.servers, self.folder = round_, simulator, servers, folder
        port = free_port()
        symbols = ",".join(f"{round_.exchange}:{market.replace('/', ':')}" for market in MARKETS)
        self.environment = environment(
            simulator,
            servers.database_url,
            servers.redis_url,
            folder,
            EXCHANGES=round_.exchange,
            SYMBOLS=symbols,
            WEB_PORT=str(port),
            RECONCILE_EVERY_S="120",
        )
        queue, name = f"{round_.exchange}_rest", f"{round_.exchange}RestWorker@h"
        stream = [*_PYTHON, "scripts.fetchers.ws", "fetch", "--exchange", round_.exchange]
        self._commands = {
            "stream 1": stream,
            "stream 2": stream,
            "update": [*_PYTHON, "scripts.fetchers.ws", "update"],
            "worker": celery("worker", "-Q", queue, "-n", name, *LEAN),
            "beat": celery("beat", "--pidfile", "", "-l", "INFO"),
            "web": [str(BIN / "uvicorn"), "web.main:app", "--port", str(port)],
        }
        self.listener = Listener(f"127.0.0.1:{port}", round_.exchange)
        self.start_ms = self.end_ms = 0
        self.running: dict[str, Program] = {}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> "LivePlay":
        await self._stack.__aenter__()
        for role in self._commands:
            await self._start(role)
        listening = asyncio.ensure_future(self.listener.run(self.simulator.clock))
        self._stack.callback(listening.cancel)
        return self

    async def __aexit__(self, *ended: Any) -> None:
        await self._stack.__aexit__(*ended)

    async def run(self) -> None:
        self.start_ms = floor_minute(self.simulator.clock.now_ms())
        for blow, minutes in self.round.blows:
            await self._strike(blow, minutes * MINUTE_S)
            await asyncio.sleep(MINUTE_S / 2)
        self.simulator.call("DELETE", "/_sim/faults")
        self.end_ms = floor_minute(self.simulator.clock.now_ms()) + 2 * MINUTE_MS

    async def _strike(self, blow: Blow, for_s: float) -> None:
        exchange, fault = self.round.exchange, self.simulator.fault
        match blow:
            case Blow.DISCONNECT:
                fault(exchange, "disconnect")
            case Blow.SILENCE | Blow.HEARTBEATS:
                await self._for_a_while(for_s, "silence", heartbeats=blow is Blow.HEARTBEATS)
            case Blow.MAINTENANCE:
                await self._for_a_while(for_s, "maintenance")
            case Blow.CORRECTIONS:
                await self._for_a_while(for_s, "late_correction", delay_s=20)
            case Blow.STREAM | Blow.UPDATE | Blow.WORKER | Blow.BEAT | Blow.WEB:
                role = "stream 1" if blow is Blow.STREAM else blow.name.lower()
                self.running[role].kill()
                await asyncio.sleep(for_s)
                await self._start(role)
            case Blow.FROZEN_STREAM:
                self.running["stream 2"].freeze()
                await asyncio.sleep(for_s + 8)  # longer than its lease
                self.running["stream 2"].thaw()
            case Blow.POSTGRES:
                self.servers.postgres.kill()
                await asyncio.sleep(for_s)
                await self.servers.postgres.start()
            case Blow.REDIS | Blow.EMPTIED_REDIS:
                self.servers.redis.kill()
                if blow is Blow.EMPTIED_REDIS:
                    self.servers.redis.lose_everything()
                await asyncio.sleep(for_s)
                await self.servers.redis.start()

    async def _for_a_while(self, for_s: float, kind: str, **more: object) -> None:
        self.simulator.fault(self.round.exchange, kind, **more)
        await asyncio.sleep(for_s)
        self.simulator.fault(self.round.exchange, kind, on=False)

    async def _start(self, role: str) -> None:
        """What keeps a role running is not played: it is started again as a supervisor would."""
        log = self.folder / f"{role.replace(' ', '')}-{time.monotonic_ns()}.log"
        self.running[role] = await self._stack.enter_async_context(
            program(self.environment, log, *self._commands[role])
        )

    def ended(self) -> dict[str, int]:
        """Roles that ended by themselves, and their status."""
        return {
            role: one.process.returncode
            for role, one in self.running.items()
            if one.process.returncode is not None
        }
