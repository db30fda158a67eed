"""The live path as it is run: an exchange that sends, `stream`, Redis, the web, a hundred WebSocket clients.

Each frame carries the moment at which it was sent as its volume, so what a client measures holds everything:
the exchange's socket, the stream process, Redis, the web process and the client's own socket.
"""

import asyncio
import http
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import uvloop
from redis.asyncio import Redis
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from common.span import MINUTE_MS, floor_minute
from tests.fixtures.postgres import free_port
from tests.fixtures.workers import BIN, Program, program

SYMBOLS, CLIENTS, EACH = 2500, 100, 25
#: Frames a second that one stream process is to take.
MOST = 20_000
#: Real seconds of one measurement, and until everything is up.
MEASURED_S, LIMIT_S = 20, 90
TICK_S = 0.01
CPU_TICKS = os.sysconf("SC_CLK_TCK")


@pytest.mark.benchmark
def test_a_frame_reaches_a_hundred_clients_within_milliseconds(
    postgres_url: str, redis_url: str, tmp_path: Path
) -> None:
    for figure in uvloop.run(measured(postgres_url, redis_url, tmp_path)):
        print(json.dumps(figure))


async def measured(postgres_url: str, redis_url: str, folder: Path) -> list[dict[str, Any]]:
    async with playing(postgres_url, redis_url, folder) as play:
        await play.send(SYMBOLS)
        listener = Listener()
        async with listening(play.address, listener):
            loaded = await play.cpu()
            delays = sorted(listener.delays_ms)
        await play.send(SYMBOLS // 2)
        quiet = await play.cpu()
        await play.send(MOST)
        most = await play.cpu()
        written = sorted([delay async for delay in in_redis(redis_url)])
    name = (
        f"frame sent to WebSocket client, {CLIENTS} clients with {EACH} of {SYMBOLS} symbols, each once a second"
    )
    live = {"name": name, "unit": "ms", "value": _of(delays, 0.5), "p99": _of(delays, 0.99), "told": len(delays)}
    busy = {"name": f"processor of stream at {SYMBOLS // 2} frames/s of {SYMBOLS} symbols", "unit": "of a core"}
    full = {"name": f"frame sent to Redis at {MOST} frames/s, p99", "unit": "ms", "value": _of(written, 0.99)}
    full |= {"p50": _of(written, 0.5), "written_each_s": round(len(written) / MEASURED_S)}
    return [live | loaded, busy | {"value": quiet["stream_cpu"]}, full | most]


async def in_redis(redis_url: str) -> AsyncIterator[float]:
    """How long after it was sent each version of the last measurement lay in Redis, in milliseconds."""
    until_ms = int(time.time() * 1000)
    place = str(until_ms - MEASURED_S * 1000)
    async with Redis.from_url(redis_url) as client:
        while entries := await client.xrange("live_binance", place, until_ms, count=10_000):
            for entry, fields in entries:
                told = msgspec.json.decode(fields[b"candle"])
                if not told["source"]:
                    yield int(entry.split(b"-")[0]) - (EPOCH_S + told["volume"]) * 1000
            place = f"({entries[-1][0].decode()}"


def _of(delays: list[float], share: float) -> float:
    return round(delays[int(len(delays) * share)], 2)


def _cpu_s(one: Program) -> float:
    fields = Path(f"/proc/{one.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / CPU_TICKS


@dataclass(frozen=True)
class Play:
    """Where the web listens, the processes, and the exchange's ear."""

    address: str
    stream: Program
    web: Program
    exchange: ClientConnection

    async def send(self, rate: int) -> None:
        """Have the exchange send so many frames a second."""
        await self.exchange.send(json.dumps({"rate": rate}))

    async def cpu(self) -> dict[str, float]:
        """What the processes take of a core while the exchange goes on as it does."""
        before, started = (_cpu_s(self.stream), _cpu_s(self.web)), time.perf_counter()
        await asyncio.sleep(MEASURED_S)
        took = time.perf_counter() - started
        stream, web = _cpu_s(self.stream) - before[0], _cpu_s(self.web) - before[1]
        return {"stream_cpu": round(stream / took, 3), "web_cpu": round(web / took, 3)}


@asynccontextmanager
async def playing(postgres_url: str, redis_url: str, folder: Path) -> AsyncIterator[Play]:
    exchange_port, web_port = free_port(), free_port()
    rest, ws = f"http://127.0.0.1:{exchange_port}", f"ws://127.0.0.1:{exchange_port}"
    around = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "DATA_DIR": str(folder),
        "DATABASE_URL": postgres_url,
        "REDIS_URL": redis_url,
        "BINANCE_REST_URL": rest,
        "BINANCE_WS_URL": ws,
        "EXCHANGES": "binance",
        "SYMBOLS": "*",
        "WEB_PORT": str(web_port),
    }
    async with AsyncExitStack() as stack:
        sender = program(around, folder / "exchange.log", sys.executable, __file__, str(exchange_port))
        await (await stack.enter_async_context(sender)).says("ready")
        streaming = (str(BIN / "candlehouse"), "stream", "--exchange", "binance")
        stream = await stack.enter_async_context(program(around, folder / "stream.log", *streaming))
        serving = (
            sys.executable,
            "-m",
            "uvicorn",
            "web.main:app",
            "--port",
            str(web_port),
            "--log-level",
            "warning",
        )
        web = await stack.enter_async_context(program(around, folder / "web.log", *serving))
        control = await stack.enter_async_context(connect(f"{ws}/control"))
        await _is_streamed(f"127.0.0.1:{web_port}")
        yield Play(f"127.0.0.1:{web_port}", stream, web, control)


async def _is_streamed(address: str) -> None:
    async with asyncio.timeout(LIMIT_S), httpx.AsyncClient() as client:
        while True:
            try:
                answer = await client.get(f"http://{address}/ready")
                if answer.status_code == http.HTTPStatus.OK:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.2)


class Listener:
    """What the clients measured, in milliseconds."""

    def __init__(self) -> None:
        self.delays_ms: list[float] = []
        self._heard: set[tuple[ClientConnection, str]] = set()
        self.has_all = asyncio.Event()

    async def hear(self, socket: ClientConnection) -> None:
        decode = msgspec.json.Decoder(dict[str, Any]).decode
        async for text in socket:
            now = time.time()
            said = decode(text)
            if "volume" not in said:
                continue
            if not self.has_all.is_set():
                self._heard.add((socket, said["base_id"]))
                if len(self._heard) == CLIENTS * EACH:
                    self.has_all.set()
            if not said["closed"]:  # that is told by time
                self.delays_ms.append((now - EPOCH_S - said["volume"]) * 1000)


#: Moments are told as seconds since then, so that they keep their microseconds as a volume.
EPOCH_S = 1_790_000_000


@asynccontextmanager
async def listening(address: str, listener: Listener) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        hearing = []
        for number in range(CLIENTS):
            socket = await stack.enter_async_context(connect(f"ws://{address}/api/ohlcvs", compression=None))
            for n in range(EACH):
                wish = {"exchange": "binance", "base_id": f"C{(number * EACH + n) % SYMBOLS}", "quote_id": "USDT"}
                wish |= {"event_type": "subscribe", "data_type": "ohlcv", "interval": "1m"}
                await socket.send(json.dumps(wish | {"mls": True, "tags": True}))
            hearing.append(tasks.create_task(listener.hear(socket)))
        await listener.has_all.wait()
        await asyncio.sleep(3)  # what waited meanwhile has gone out
        listener.delays_ms.clear()
        yield
        for one in hearing:
            one.cancel()


# What follows runs in the exchange's process.


class Feed:
    """Sends frames of all subscribed series in turn, spread evenly over the second."""

    def __init__(self) -> None:
        self._series: list[tuple[ServerConnection, str]] = []
        self._rate = 500

    def answer(self, socket: ServerConnection, request: Request) -> Response | None:
        if not request.path.startswith("/api/v3/exchangeInfo"):
            return None
        response = socket.respond(
            http.HTTPStatus.OK, json.dumps({"symbols": [_market(n) for n in range(SYMBOLS)]})
        )
        return response

    async def serve(self, socket: ServerConnection) -> None:
        async for text in socket:
            said = json.loads(text)
            self._rate = said.get("rate", self._rate)
            self._series += [(socket, one.partition("@")[0].upper()) for one in said.get("params", [])]

    async def send(self) -> None:
        at, due, last = 0, 0.0, time.perf_counter()
        while True:
            await asyncio.sleep(TICK_S)
            now = time.perf_counter()
            due, last = due + (now - last) * self._rate, now
            while due >= 1 and self._series:
                socket, symbol = self._series[at % len(self._series)]
                socket.transport.write(frame(symbol))
                at, due = at + 1, due - 1


def _market(n: int) -> dict[str, Any]:
    return {"symbol": f"C{n}USDT", "status": "TRADING", "baseAsset": f"C{n}", "quoteAsset": "USDT", "filters": []}


def frame(symbol: str) -> bytes:
    now = time.time()
    open_ms = floor_minute(int(now * 1000))
    k = {"t": open_ms, "T": open_ms + MINUTE_MS - 1, "s": symbol, "i": "1m", "f": 38248833, "L": 38248914}
    k |= {"o": "100.10000000", "c": "100.30000000", "h": "100.90000000", "l": "99.90000000"}
    k |= {"v": f"{now - EPOCH_S:.6f}", "n": 82, "x": False, "q": "71058.51891400"}
    k |= {"V": "156133.30000000", "Q": "53013.75454200", "B": "0"}
    payload = msgspec.json.encode({"e": "kline", "E": int(now * 1000), "s": symbol, "k": k})
    return b"\x81\x7e" + len(payload).to_bytes(2, "big") + payload


async def send(port: int) -> None:
    feed = Feed()
    async with serve(feed.serve, "127.0.0.1", port, process_request=feed.answer, compression=None):
        print("ready", flush=True)
        await feed.send()


if __name__ == "__main__":
    asyncio.run(send(int(sys.argv[1])))
