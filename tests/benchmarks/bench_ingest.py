"""Binance kline frames in at real sockets, out in Redis (two hashes, channel, stream), through one live process.

Against bare redis-py that pipelines the same commands with the same, ready-made data. Each frame is another
(market, minute), so that none can be merged with another on the way: what is counted has reached Redis.
"""

import asyncio
import json
import subprocess
import sys
import time
from contextlib import suppress
from typing import Any

import msgspec
import pytest
import redis
import uvloop
from redis.asyncio import Redis
from structlog.testing import capture_logs
from websockets.asyncio.server import ServerConnection, serve

from app.jobs.live import Live
from app.stores.memory_budget import MemoryBudget
from common.clock import Clock
from common.market import Instrument
from common.span import MINUTE_MS, floor_minute
from fetchers import registry
from fetchers.http import HttpClient

CONNECTIONS, MINUTES = 12, 5
SYMBOLS = CONNECTIONS * 1024
UPDATES = SYMBOLS * MINUTES
BATCH, BARE_UPDATES = 500, 20_000
LIMIT_S = 120


@pytest.mark.benchmark
def test_ten_thousand_updates_a_second_reach_redis(redis_url: str) -> None:
    sender = subprocess.Popen([sys.executable, __file__], stdout=subprocess.PIPE, text=True)
    try:
        assert sender.stdout
        port = int(sender.stdout.readline())
        with capture_logs():
            value, cpu = uvloop.run(ingest(redis_url, port))
    finally:
        sender.terminate()
        sender.wait(10)
        sender.stdout.close()
    against = uvloop.run(bare(redis_url))
    figure: dict[str, Any] = {"name": "kline frames at the socket to redis, one process", "value": round(value)}
    figure |= {"unit": "updates/s", "against": round(against), "ratio": round(value / against, 3)}
    print(json.dumps(figure | {"updates": UPDATES, "per_cpu_second": round(cpu)}))


async def ingest(redis_url: str, port: int) -> tuple[float, float]:
    """Updates a second as Redis's own entry ids tell, and updates a second of this process's time."""
    exchange, clock = registry.get("binance"), Clock()
    instruments = [Instrument("binance", f"C{n}", "USDT", f"C{n}USDT", f"C{n}", "USDT") for n in range(SYMBOLS)]
    http = HttpClient({}, {"binance": MemoryBudget(1, clock)}, clock)
    async with Redis.from_url(redis_url) as client:
        job = Live(exchange, ws_url=f"ws://127.0.0.1:{port}", http=http, redis=client, clock=clock)
        job.carry(instruments)
        live = asyncio.ensure_future(job.run())
        while not await client.xlen("live_binance"):  # noqa: ASYNC110 - Redis tells nobody
            await asyncio.sleep(0.001)
        cpu_s = time.process_time()
        async with asyncio.timeout(LIMIT_S):
            while await client.xlen("live_binance") < UPDATES and not live.done():  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.05)
        cpu_s = time.process_time() - cpu_s
        live.cancel()
        with suppress(asyncio.CancelledError):
            await live
        first = (await client.xrange("live_binance", count=1))[0][0]
        last = (await client.xrevrange("live_binance", count=1))[0][0]
        assert await client.xlen("live_binance") == UPDATES
    await http.close()
    return UPDATES / ((_ms(last) - _ms(first)) / 1000), UPDATES / cpu_s


async def bare(redis_url: str) -> float:
    """redis-py's own rate; keys, fields and JSON are made before."""
    with redis.Redis.from_url(redis_url) as client:
        entries = client.xrange("live_binance", count=BARE_UPDATES)
        client.flushall()
    messages = [fields[b"candle"] for _, fields in entries]
    fields = [
        {name: one[name] for name in ("time", "open", "high", "low", "close", "volume")}
        for one in map(msgspec.json.decode, messages)
    ]
    keys = [f"{one['exchange']};;{one['base']};;{one['quote']}" for one in map(msgspec.json.decode, messages)]
    async with Redis.from_url(redis_url) as client:
        started_s = time.perf_counter()
        for at in range(0, len(messages), BATCH):
            pipe = client.pipeline(transaction=False)
            for n in range(at, min(at + BATCH, len(messages))):
                pipe.hset(f"ws_send_{keys[n]}", mapping=fields[n])
                pipe.hset(f"ws_serve_{keys[n]}", mapping=fields[n])
                pipe.publish(f"ws_send_{keys[n]}", messages[n])
                pipe.xadd("live_binance", {"candle": messages[n]})
            await pipe.execute()
        return len(messages) / (time.perf_counter() - started_s)


def _ms(entry_id: bytes) -> int:
    return int(entry_id.split(b"-")[0])


# What follows runs in the sender's process.


class Sender:
    """Waits until every series is subscribed to, then writes all frames as fast as they are taken."""

    def __init__(self) -> None:
        self.subscribed = 0
        self.everything = asyncio.Event()

    async def serve(self, socket: ServerConnection) -> None:
        streams: list[str] = []
        while len(streams) < SYMBOLS // CONNECTIONS:
            streams += json.loads(await socket.recv())["params"]
        first_ms = floor_minute(time.time_ns() // 1_000_000) + MINUTE_MS
        # Minutes that have not ended, so that time closes none meanwhile.
        minutes = [first_ms + n * MINUTE_MS for n in range(MINUTES)]
        blobs = [b"".join(frame(stream, at_ms) for stream in streams) for at_ms in minutes]
        self.subscribed += len(streams)
        if self.subscribed == SYMBOLS:
            self.everything.set()
        await self.everything.wait()
        for blob in blobs:
            for at in range(0, len(blob), 1 << 16):
                socket.transport.write(blob[at : at + (1 << 16)])
                while socket.transport.get_write_buffer_size() > 1 << 16:  # noqa: ASYNC110 - for no drain()
                    await asyncio.sleep(0.001)
        await socket.wait_closed()


def frame(stream: str, open_ms: int) -> bytes:
    """A text frame as it stands on the wire, of the size and the fields that Binance sends."""
    symbol = stream.partition("@")[0].upper()
    price = 100 + sum(symbol.encode()) % 97 / 7
    k = {"t": open_ms, "T": open_ms + 59_999, "s": symbol, "i": "1m", "f": 38248833, "L": 38248914}
    k |= {"o": f"{price:.8f}", "c": f"{price:.8f}", "h": f"{price * 1.01:.8f}", "l": f"{price * 0.99:.8f}"}
    k |= {"v": "209224.30000000", "n": 82, "x": False, "q": "71058.51891400"}
    k |= {"V": "156133.30000000", "Q": "53013.75454200", "B": "0"}
    payload = json.dumps(
        {"e": "kline", "E": open_ms + 30_000, "s": symbol, "k": k}, separators=(",", ":")
    ).encode()
    return b"\x81\x7e" + len(payload).to_bytes(2, "big") + payload


async def send() -> None:
    sender = Sender()
    async with serve(sender.serve, "127.0.0.1", 0, compression=None) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await server.serve_forever()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(send())
