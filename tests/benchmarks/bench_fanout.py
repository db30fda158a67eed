"""Fan-out as it is run: updates written to Redis as `stream` does, the web on one core, its clients on the other.

The sockets are bare asyncio protocols that count, so that what is measured is the server. The measure is a bare
`websockets` server on the same core, which broadcasts the same updates to as many sockets, one by one.
"""

import asyncio
import json
import os
import random
import re
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

# ruff: noqa: ASYNC110 - processes and sockets tell nobody when they are ready
import pytest
import uvloop
from redis.asyncio import Redis
from websockets.asyncio.server import ServerConnection, broadcast, serve

from app.messages import CandleMessage, from_candle
from app.stores.database import open_database
from app.stores.latest import LiveSink
from app.stores.symbols import SymbolStore
from common.clock import Clock
from common.market import Bar, Candle, Instrument
from common.span import floor_minute
from tests.fixtures.postgres import free_port
from tests.fixtures.workers import Program, program
from web.live.frames import Shape, State, frame, names_of
from web.live.streams import timeframe_of

#: Clients who all want the same, how many symbols, and updates of each a second; clients with wishes of their own.
ALIKE, ALIKE_SYMBOLS, ALIKE_RATE = 500, 200, 5
CLIENTS, EACH, SYMBOLS = 2000, 50, 2500
#: Boards that are wanted at once, by connections of so many.
AT_ONCE, CONNECTION_SYMBOLS = 2500, 1000
#: Real seconds of one measurement, until everything is up, and between two writes to Redis.
MEASURED_S, LIMIT_S, TICK_S = 10, 120, 0.02
CPU_TICKS = os.sysconf("SC_CLK_TCK")
MARKETS = [Instrument("binance", f"C{n}", "USDT", f"C{n}USDT", f"C{n}", "USDT") for n in range(SYMBOLS)]
#: Moments are told as seconds since then, so that they keep their microseconds as a volume.
EPOCH_S = 1_790_000_000
HANDSHAKE = (
    b"GET /api/ohlcvs HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
_CANDLE, _VOLUME = b'"seq":', re.compile(rb'"volume":([0-9.]+),"closed":false')


@pytest.mark.benchmark
@pytest.mark.timeout(600)
def test_updates_reach_many_sockets(postgres_url: str, redis_url: str, tmp_path: Path) -> None:
    for figure in uvloop.run(measured(postgres_url, redis_url, tmp_path)):
        print(json.dumps(figure))


async def measured(postgres_url: str, redis_url: str, folder: Path) -> list[dict[str, Any]]:
    await list_markets(postgres_url)
    async with playing(postgres_url, redis_url, folder) as play:
        ours = await alike(play)
        own = await of_their_own(play)
        joined = await at_once(play)
    bare = await bare_broadcast(folder)
    return [ours | bare | {"value": round(ours["updates_s"] / bare["bare_updates_s"], 2)}, own, joined]


async def alike(play: "Play") -> dict[str, Any]:
    markets = MARKETS[:ALIKE_SYMBOLS]
    async with play.clients([markets] * ALIKE) as counts, play.writing(markets, ALIKE_RATE):
        await asyncio.sleep(2)
        counts.is_cheap = True
        await asyncio.sleep(1)
        before, cpu, began = counts.candles, cpu_s(play.web), time.perf_counter()
        await asyncio.sleep(MEASURED_S)
        took = time.perf_counter() - began
        candles, used = counts.candles - before, (cpu_s(play.web) - cpu) / took
    name = f"updates delivered to {ALIKE} WebSocket clients in batches, by a broadcast of the same one by one"
    delivered = {"updates_s": round(candles / took), "web_cpu": round(used, 2)}
    return {"name": name, "unit": "ratio", **delivered, "updates_cpu_s": round(candles / took / used)}


async def of_their_own(play: "Play") -> dict[str, Any]:
    chance = random.Random(1)
    wishes = [chance.sample(MARKETS, EACH) for _ in range(CLIENTS)]
    async with play.clients(wishes) as counts, play.writing(MARKETS):
        await asyncio.sleep(3)
        counts.delays_s = []
        web, own, began = Use(play.web.process.pid), Use(os.getpid()), time.perf_counter()
        await asyncio.sleep(MEASURED_S)
        took = time.perf_counter() - began
        used = web.shares("web") | own.shares("clients")
        delays = sorted(counts.delays_s or ())
    name = f"update written to Redis to WebSocket client, {CLIENTS} clients x {EACH} symbols once a second, p99"
    told = {"told_s": round(len(delays) / took)}
    return {"name": name, "unit": "ms", "value": part(delays, 0.99), "p50": part(delays, 0.5), **told, **used}


async def at_once(play: "Play") -> dict[str, Any]:
    """What others feel while somebody subscribes to everything at a timeframe that nobody had."""
    wishes = [MARKETS[:20]] * 20
    async with play.clients(wishes) as counts, play.writing(MARKETS):
        await asyncio.sleep(2)
        counts.delays_s = []
        began = time.perf_counter()
        parts = [MARKETS[at : at + CONNECTION_SYMBOLS] for at in range(0, AT_ONCE, CONNECTION_SYMBOLS)]
        async with play.clients(parts, "5m", batch=False) as joining:
            while joining.candles < AT_ONCE:
                await asyncio.sleep(0.01)
            took = time.perf_counter() - began
            await asyncio.sleep(0.5)
        delays = sorted(counts.delays_s or ())
    name = f"the longest that other clients wait while {AT_ONCE} boards are loaded"
    return {
        "name": name,
        "unit": "ms",
        "value": part(delays, 1),
        "p99": part(delays, 0.99),
        "took_s": round(took, 2),
    }


def part(delays_s: Sequence[float], share: float) -> float:
    return round(delays_s[min(int(len(delays_s) * share), len(delays_s) - 1)] * 1000, 1)


def cpu_s(one: Program) -> float:
    fields = Path(f"/proc/{one.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / CPU_TICKS


class Use:
    """What a process has of its core since then; `waited` is how long others had it while there was work to do."""

    def __init__(self, pid: int) -> None:
        self._pid, self._began = pid, time.perf_counter()
        self._before = self._now()

    def shares(self, whose: str) -> dict[str, float]:
        took_ns = (time.perf_counter() - self._began) * 1e9
        ran, waited = ((now - then) / took_ns for now, then in zip(self._now(), self._before, strict=True))
        return {f"{whose}_cpu": round(ran, 2), f"{whose}_waited": round(waited, 2)}

    def _now(self) -> list[int]:
        """Nanoseconds of its main thread, which is the one that serves."""
        return [int(one) for one in Path(f"/proc/{self._pid}/schedstat").read_text().split()[:2]]


class Counts:
    """What all sockets were told together."""

    def __init__(self) -> None:
        self.candles = self.acknowledged = 0
        #: Nothing but candles counts from now on, for the clients must not be what is measured.
        self.is_cheap = False
        #: None where they are not of interest.
        self.delays_s: list[float] | None = None


class Counting(asyncio.Protocol):
    """A client that asks for its streams and counts what comes."""

    def __init__(self, counts: Counts, messages: Sequence[bytes]) -> None:
        self._counts, self._messages = counts, messages
        self._rest = b""
        self._is_open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._transport.write(HANDSHAKE)

    def data_received(self, data: bytes) -> None:
        if self._counts.is_cheap:
            data = self._rest[1 - len(_CANDLE) :] + data
            self._counts.candles += data.count(_CANDLE)
            self._rest = data[1 - len(_CANDLE) :]
            return
        data, at = self._rest + data, 0
        if not self._is_open:
            at = data.find(b"\r\n\r\n") + 4
            if at < 4:
                self._rest = data
                return
            self._is_open = True
            for message in self._messages:
                self._transport.write(masked(message))
        now = time.time() - EPOCH_S
        while (end := frame_end(data, at)) <= len(data):
            self._take(data[at:end], now)
            at = end
        self._rest = data[at:]

    def _take(self, told: bytes, now: float) -> None:
        counts = self._counts
        counts.candles += told.count(_CANDLE)
        counts.acknowledged += told.count(b'"subscribed"')
        if counts.delays_s is not None:
            counts.delays_s += [now - float(volume) for volume in _VOLUME.findall(told)]


def frame_end(data: bytes, at: int) -> int:
    """Where the server's frame ends that begins there; behind all where it has not come yet."""
    if len(data) < at + 10:
        return len(data) + 1 if len(data) < at + 2 or len(data) < at + 2 + data[at + 1] else at + 2 + data[at + 1]
    size = data[at + 1]
    if size < 126:
        return at + 2 + size
    width = 2 if size == 126 else 8
    return at + 2 + width + int.from_bytes(data[at + 2 : at + 2 + width], "big")


def masked(text: bytes) -> bytes:
    """A client's frame, with a mask that changes nothing."""
    assert 125 < len(text) < 65_536 or len(text) < 126
    size = bytes([0x80 | len(text)]) if len(text) < 126 else b"\xfe" + len(text).to_bytes(2, "big")
    return b"\x81" + size + bytes(4) + text


class Play:
    """The web, the sockets and who feeds it."""

    def __init__(self, port: int, web: Program, redis: Redis) -> None:
        self.port, self.web = port, web
        self._sink = LiveSink(redis, Clock(), [])

    @asynccontextmanager
    async def clients(
        self, wishes: Sequence[Sequence[Instrument]], interval: str = "1m", *, batch: bool = True
    ) -> AsyncIterator[Counts]:
        counts, loop, transports = Counts(), asyncio.get_running_loop(), []
        for markets in wishes:
            messages = [json.dumps({"event_type": "configure", "batch": batch}).encode()]
            for at in range(0, len(markets), 500):
                streams = [f"binance:{one.base}:USDT@{interval}" for one in markets[at : at + 500]]
                messages.append(json.dumps({"event_type": "subscribe", "streams": streams}).encode())
            made, _ = await loop.create_connection(
                lambda messages=messages: Counting(counts, messages), "127.0.0.1", self.port
            )
            transports.append(made)
        async with asyncio.timeout(LIMIT_S):
            while batch and counts.acknowledged < sum(-(-len(markets) // 500) for markets in wishes):
                await asyncio.sleep(0.05)
        try:
            yield counts
        finally:
            for transport in transports:
                transport.abort()
            await asyncio.sleep(1)

    @asynccontextmanager
    async def writing(self, markets: Sequence[Instrument], rate: int = 1) -> AsyncIterator[None]:
        """Each market so often a second, spread over it."""
        task = asyncio.create_task(self._write(markets, rate))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    async def _write(self, markets: Sequence[Instrument], rate: int) -> None:
        at, began = 0.0, time.perf_counter()
        while True:
            until = (time.perf_counter() - began) * len(markets) * rate
            now = [markets[n % len(markets)] for n in range(int(at), int(until))]
            at = until
            await self._sink.write([update(one) for one in now])
            await asyncio.sleep(TICK_S)


def update(market: Instrument) -> CandleMessage:
    now = time.time()
    values = (100.1, 100.9, 99.9, 100.3, round(now - EPOCH_S, 6))
    return from_candle(Candle(market, floor_minute(int(now * 1000)), *values), int(now * 1000))


async def list_markets(postgres_url: str) -> None:
    database = open_database(postgres_url)
    await SymbolStore(database).upsert("binance", MARKETS, int(time.time() * 1000))
    await database.close()


@asynccontextmanager
async def playing(postgres_url: str, redis_url: str, folder: Path) -> AsyncIterator[Play]:
    port = free_port()
    around = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "DATA_DIR": str(folder),
        "DATABASE_URL": postgres_url,
        "REDIS_URL": redis_url,
        "EXCHANGES": "binance",
    }
    options = ["--port", str(port), "--log-level", "warning", "--ws-per-message-deflate", "false"]
    command = [sys.executable, "-m", "uvicorn", "web.main:app", "--ws", "web.live.sockets:Sockets", *options]
    async with AsyncExitStack() as stack:
        web = await stack.enter_async_context(program(around, folder / "web.log", *command))
        redis = await stack.enter_async_context(Redis.from_url(redis_url))
        async with asyncio.timeout(LIMIT_S), httpx.AsyncClient() as client:
            while not await answers(client, f"http://127.0.0.1:{port}/health"):
                await asyncio.sleep(0.2)
        alone(web.process.pid)
        yield Play(port, web, redis)


async def answers(client: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await client.get(url)).is_success
    except httpx.TransportError:
        return False


def alone(pid: int) -> None:
    """One core for the server, the others for everybody else."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(pid, cores[:1])
    if len(cores) > 1:
        os.sched_setaffinity(0, cores[1:])


async def bare_broadcast(folder: Path) -> dict[str, int]:
    """What the library alone does on the same core."""
    port, counts, loop = free_port(), Counts(), asyncio.get_running_loop()
    around = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    async with program(around, folder / "bare.log", sys.executable, __file__, str(port)) as bare:
        await bare.says("ready")
        alone(bare.process.pid)
        transports = [
            (await loop.create_connection(lambda: Counting(counts, ()), "127.0.0.1", port))[0]
            for _ in range(ALIKE)
        ]
        while counts.candles == 0:
            await asyncio.sleep(0.1)
        counts.is_cheap = True
        await asyncio.sleep(1)
        before, cpu, began = counts.candles, cpu_s(bare), time.perf_counter()
        await asyncio.sleep(MEASURED_S)
        took = time.perf_counter() - began
        told, used = (counts.candles - before) / took, (cpu_s(bare) - cpu) / took
        for transport in transports:
            transport.abort()
    return {"bare_updates_s": round(told), "bare_updates_cpu_s": round(told / used)}


async def broadcasting(port: int) -> None:
    """To all who are connected, once they are ALIKE, one update after another for ever."""
    connected: set[ServerConnection] = set()

    async def stay(socket: ServerConnection) -> None:
        connected.add(socket)
        await socket.wait_closed()

    async with serve(stay, "127.0.0.1", port, compression=None):
        print("ready", flush=True)
        while len(connected) < ALIKE:
            await asyncio.sleep(0.1)
        number = 0
        while True:
            market = MARKETS[number % ALIKE_SYMBOLS]
            number += 1
            told = update(market)
            bar = Bar(told.time, told.open, told.high, told.low, told.close, told.volume)
            state = State(bar, False, False, f"5cc19233:{told.received}-0-40741163343")
            broadcast(connected, frame(state, names_of(market, MINUTE), Shape()))
            await asyncio.sleep(0)
            while number % 20 == 0 and max(one.transport.get_write_buffer_size() for one in connected) > 1 << 18:
                await asyncio.sleep(0.001)  # or what is not taken yet would grow without end


MINUTE = timeframe_of("1m")

if __name__ == "__main__":
    uvloop.run(broadcasting(int(sys.argv[1])))
