"""WebSocket /api/ohlcvs: a client that stands still while the market goes on, over real sockets and servers."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from app.messages import from_candle
from app.stores.candles import CandleStore, StoredCandle
from app.stores.database import Database
from app.stores.latest import LiveSink
from app.stores.symbols import SymbolStore
from common.clock import Clock
from common.market import Bar, Candle, Instrument, Source
from common.span import MINUTE_MS
from tests.fixtures.live_web import LIMIT_S, hear_json, narrow, say
from tests.fixtures.web import NOW_MS, SetClock, aggregate, listening, web_deps
from web.live import limits
from web.live.streams import timeframe_of

MARKETS = [Instrument("binance", f"C{n}", "USDT", f"C{n}USDT", f"C{n}", "USDT") for n in range(400)]
#: The first minute of an hour.
START = NOW_MS - NOW_MS % (60 * MINUTE_MS)
STREAMS = ["binance:*:USDT@1m", "binance:C7:USDT@5m"]
SUBSCRIBE = {"event_type": "subscribe", "streams": STREAMS}
#: More than are ever played.
MOST_MINUTES = 60


@dataclass
class Market:
    """Every market trades twice in each minute, which then closes and reaches the database a minute later."""

    address: str
    clock: SetClock
    sink: LiveSink
    candles: CandleStore
    ids: list[int]
    minute: int = 0
    closed: list[list[Bar]] = field(default_factory=list)

    async def play(self, minutes: int = 1) -> None:
        for _ in range(minutes):
            open_ms = START + self.minute * MINUTE_MS
            bars = [
                Bar(open_ms, 10.0, 12.0 + n, 9.0, 10.0 + self.minute / 8, n + 1.0) for n in range(len(MARKETS))
            ]
            for share in (0.25, 0.75):
                await self._tell(open_ms, share, [one._replace(volume=one.volume * share) for one in bars])
            await self._tell(open_ms, 1.02, bars, Source.CLOSING_MESSAGE)
            for late in self.closed[-1:]:
                rows = zip(self.ids, late, strict=True)
                await self.candles.write(
                    [StoredCandle(symbol_id, *one, Source.CLOSING_MESSAGE) for symbol_id, one in rows]
                )
            self.closed.append(bars)
            self.minute += 1

    async def _tell(self, open_ms: int, share: float, bars: list[Bar], source: Source = Source.RUNNING) -> None:
        self.clock.set(open_ms + int(share * MINUTE_MS))
        candles = [Candle(whose, *one[:6], None, None, source) for whose, one in zip(MARKETS, bars, strict=True)]
        await self.sink.write([from_candle(one, self.clock.now_ms()) for one in candles])

    def truth(self) -> dict[str, list[Bar]]:
        """The closed bars of each stream."""
        found = {f"binance:C{n}:USDT@1m": [bars[n] for bars in self.closed] for n in range(len(MARKETS))}
        whole = self.closed[: self.minute // 5 * 5]
        found["binance:C7:USDT@5m"] = aggregate([bars[7] for bars in whole], timeframe_of("5m"))
        return found

    async def dropped(self) -> int:
        """Clients that were given up."""
        async with httpx.AsyncClient() as client:
            text = (await client.get(f"http://{self.address}/metrics")).text
        (line,) = [one for one in text.splitlines() if one.startswith("candlehouse_websocket_dropped_total ")]
        return int(float(line.split()[1]))


@pytest.fixture
async def market(database: Database, redis_client: Redis) -> AsyncIterator[Market]:
    clock, symbols = SetClock(START), SymbolStore(database)
    await symbols.upsert("binance", MARKETS, START)
    ids = {stored.instrument.base: stored.id for stored in (await symbols.load("binance")).values()}
    async with listening(web_deps(database, redis_client, clock)) as address:
        sink = LiveSink(redis_client, Clock(), MARKETS)
        yield Market(address, clock, sink, CandleStore(database), [ids[one.base] for one in MARKETS])


class Reader:
    """Everything that one client was told, over several connections."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.closed = 0

    async def until(self, socket: ClientConnection, market: Market) -> None:
        """Read until so many bars were closed as the truth has."""
        wanted = sum(map(len, market.truth().values()))
        async with asyncio.timeout(LIMIT_S):
            while self.closed < wanted:
                self._take(await hear_json(socket))

    async def to_the_end(self, socket: ClientConnection) -> tuple[int, str]:
        """Read all that still comes, and how the server ended it."""
        async with asyncio.timeout(LIMIT_S):
            try:
                while True:
                    self._take(json.loads(await socket.recv()))
            except ConnectionClosed as closed:
                assert closed.rcvd is not None
                return closed.rcvd.code, closed.rcvd.reason

    def _take(self, one: dict[str, Any]) -> None:
        if "stream" in one:
            self.told.append(one)
            self.closed += one["closed"]

    def bars(self) -> dict[str, list[Bar]]:
        """Those told as closed, in that order, however often."""
        found: dict[str, list[Bar]] = {}
        for one in self.told:
            if one["closed"]:
                values = [one[name] for name in ("time", "open", "high", "low", "close", "volume")]
                found.setdefault(one["stream"], []).append(Bar(*values))
        return found


async def join(socket: ClientConnection, **more: Any) -> None:
    await say(socket, SUBSCRIBE | more)
    assert len((await hear_json(socket))["streams"]) == len(MARKETS) + 1
    await say(socket, {"event_type": "ping"})


async def test_a_client_paused_for_a_minute_reads_on_without_a_missing_or_doubled_bar(market: Market) -> None:
    seen = Reader()
    async with narrow(market.address) as socket:
        await join(socket)
        await market.play(4)
        await seen.until(socket, market)
        before = len(seen.told)
        socket.transport.pause_reading()
        await market.play(1)
        socket.transport.resume_reading()
        await market.play(2)
        await seen.until(socket, market)
        states = (len(seen.told) - before) / len(MARKETS) / 3
    assert seen.bars() == market.truth()
    assert states <= 3, "a state was told twice"
    assert await market.dropped() == 0


async def test_a_client_paused_for_longer_than_we_wait_resumes_without_a_missing_or_doubled_bar(
    market: Market,
) -> None:
    seen = Reader()
    async with narrow(market.address) as socket:
        await join(socket)
        await market.play(2)
        await seen.until(socket, market)
        socket.transport.pause_reading()
        while not await market.dropped():
            assert market.minute < MOST_MINUTES
            await market.play(1)
        socket.transport.resume_reading()
        assert await seen.to_the_end(socket) == (limits.SLOW, limits.TOO_SLOW)
    assert seen.bars() != market.truth()
    async with narrow(market.address) as socket:
        await join(socket, resume_from=seen.told[-1]["seq"])
        await market.play(2)
        await seen.until(socket, market)
    assert seen.bars() == market.truth()
