"""Who watches a live round from outside: a program at the WebSocket, and one that looks into Redis."""

import asyncio
import json
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import redis.asyncio
from redis.exceptions import RedisError
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from app.stores.latest import EPOCH, newest_key
from common.clock import Clock

MARKETS = ("BTC/USDT", "ETH/USDT", "ETH/BTC")
#: Real seconds between two looks into Redis.
LOOK_S = 0.05


@dataclass
class Listener:
    """A program at the WebSocket that comes back whenever it is cut off; it keeps the newest state of each bar."""

    address: str
    exchange: str
    bars: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)
    #: Since when the connection that is open has been.
    since_ms: int = 0
    #: How often this connection was told that a bar is closed, corrections apart.
    closings: Counter[tuple[str, int]] = field(default_factory=Counter)
    doubled: list[tuple[str, int]] = field(default_factory=list)

    async def run(self, clock: Clock) -> None:
        while True:
            with suppress(OSError, WebSocketException, TimeoutError):
                async with connect(f"ws://{self.address}/api/ohlcvs", open_timeout=5) as socket:
                    for market in MARKETS:
                        await socket.send(json.dumps(self._wish(*market.split("/"))))
                    self.since_ms = clock.now_ms()
                    self.closings.clear()
                    async for text in socket:
                        self._hear(json.loads(text))
            await asyncio.sleep(0.2)

    def _wish(self, base: str, quote: str) -> dict[str, Any]:
        names = {"exchange": self.exchange, "base_id": base, "quote_id": quote, "interval": "1m"}
        return {"event_type": "subscribe", "data_type": "ohlcv", "mls": True, "tags": True, **names}

    def _hear(self, said: dict[str, Any]) -> None:
        if "event" in said:
            return
        place = f"{said['base_id']}/{said['quote_id']}", said["time"]
        if said["closed"] and not said["corrected"]:
            self.closings[place] += 1
            if self.closings[place] > 1:
                self.doubled.append(place)
        self.bars[place] = said


@dataclass
class Looker:
    """Looks at the newest candle of each market in Redis, and notes each that is older than one before it."""

    url: str
    exchange: str
    went_back: list[tuple[str, int, int]] = field(default_factory=list)
    _newest: dict[str, int] = field(default_factory=dict)
    _epoch: bytes | None = None

    async def run(self) -> None:
        keys = {one: newest_key(self.exchange, *one.split("/")) for one in MARKETS}
        async with redis.asyncio.Redis.from_url(self.url) as client:
            while True:
                with suppress(RedisError, OSError):
                    await self._look(client, keys)
                await asyncio.sleep(LOOK_S)

    async def _look(self, client: Any, keys: dict[str, str]) -> None:
        async with client.pipeline(transaction=True) as pipe:
            pipe.get(EPOCH)
            for key in keys.values():
                pipe.hget(key, "time")
            epoch, *times = await pipe.execute()
        if epoch != self._epoch:  # Redis was emptied and begins anew
            self._epoch, self._newest = epoch, {}
        for market, told in zip(keys, times, strict=True):
            before, now = self._newest.get(market, 0), int(told or 0)
            if now < before:
                self.went_back.append((market, before, now))
            self._newest[market] = now
