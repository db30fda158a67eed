"""What a client costs that subscribes to all it may and reads nothing, in memory of the web and of the system.

What it is told waits in three places: our outbox, uvicorn's buffer, and the socket's, which is the system's. So
the web is weighed by its share of memory (PSS), and sockets by what the system says that TCP holds.
"""

import asyncio
import json
import os
import socket
import statistics
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvloop

from common.market import Instrument
from tests.benchmarks.bench_fanout import HANDSHAKE, MARKETS, Play, list_markets, masked, playing
from web.live.limits import MOST_SUBSCRIPTIONS, SEND_LIMIT_S

STILL, STREAMS = 60, MARKETS[:MOST_SUBSCRIPTIONS]
#: Second of a minute at which they stand still: every bar ends and another begins before they are given up.
FROM_S, WATCHED_S, EVERY_S = 59, SEND_LIMIT_S, 0.25
#: Bytes of the web, and of all sockets of this machine.
Weight = tuple[int, int]
PAGE_BYTES, MIB = os.sysconf("SC_PAGE_SIZE"), 1 << 20


@pytest.mark.benchmark
@pytest.mark.timeout(600)
def test_a_client_that_stands_still_costs_little(postgres_url: str, redis_url: str, tmp_path: Path) -> None:
    print(json.dumps(uvloop.run(measured(postgres_url, redis_url, tmp_path))))


async def measured(postgres_url: str, redis_url: str, folder: Path) -> dict[str, object]:
    await list_markets(postgres_url)
    async with (
        playing(postgres_url, redis_url, folder) as play,
        play.writing(STREAMS, 2),
        # What is there as soon as somebody reads is not what those cost who stand still.
        play.clients([STREAMS]),
    ):
        before, told = await weighed(play)
    web = (max(now for now, _ in told) - before[0]) / STILL / MIB
    # Now and then whoever reads has something in its socket, too.
    system = (statistics.median(now for _, now in told) - before[1]) / STILL / MIB
    name = f"memory for a client that subscribes to {len(STREAMS)} streams and reads nothing"
    parts = {"web": round(web, 2), "sockets_of_both": round(system, 2)}
    return {"name": name, "unit": "MiB", "value": round(web + system, 2), **parts, "clients": STILL}


async def weighed(play: Play) -> tuple[Weight, list[Weight]]:
    """Without those who stand still, and at each moment with them."""
    await asyncio.sleep(3 + (FROM_S - 3 - time.time()) % 60)
    before, told = weight(play), []
    async with standing_still(play, STREAMS):
        for _ in range(int(WATCHED_S / EVERY_S)):
            told.append(weight(play))
            await asyncio.sleep(EVERY_S)
    return before, told


def weight(play: Play) -> Weight:
    rollup = Path(f"/proc/{play.web.process.pid}/smaps_rollup").read_text()
    (pss,) = (line.split()[1] for line in rollup.splitlines() if line.startswith("Pss:"))
    (tcp,) = (line.split() for line in Path("/proc/net/sockstat").read_text().splitlines() if line[:4] == "TCP:")
    return int(pss) * 1024, int(tcp[tcp.index("mem") + 1]) * PAGE_BYTES


class Still(asyncio.Protocol):
    """A client that asks for streams and reads no answer but the first."""

    def __init__(self, messages: Sequence[bytes]) -> None:
        self._messages = messages

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._transport.write(HANDSHAKE)

    def data_received(self, data: bytes) -> None:
        self._transport.pause_reading()
        self._transport.writelines([masked(message) for message in self._messages])


@asynccontextmanager
async def standing_still(play: Play, markets: Sequence[Instrument]) -> AsyncIterator[None]:
    names = [f"binance:{one.base}:USDT@1m" for one in markets]
    parts = [names[at : at + 500] for at in range(0, len(names), 500)]
    messages = [json.dumps({"event_type": "subscribe", "streams": part}).encode() for part in parts]
    loop, transports = asyncio.get_running_loop(), []
    for _ in range(STILL):
        small = socket.socket()
        # What waits with the client itself is not what is measured.
        small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        small.setblocking(False)
        await loop.sock_connect(small, ("127.0.0.1", play.port))
        transports.append((await loop.create_connection(lambda: Still(messages), sock=small))[0])
    try:
        yield
    finally:
        for transport in transports:
            transport.abort()
