"""What commands that ask exchanges themselves work with."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from redis.asyncio import Redis

from app import wiring
from app.settings import Settings
from app.stores.latest import LiveSink
from common.clock import Clock
from common.ports import Exchange
from fetchers.history import Get
from fetchers.http import HttpClient

#: Before a person is told that an exchange does not answer.
ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Desk:
    settings: Settings
    clock: Clock
    redis: Redis
    http: HttpClient
    stores: wiring.Stores
    sink: LiveSink

    def get(self, exchange: Exchange) -> Get:
        """Asks within the budget that all processes share, after whatever is live."""
        return lambda request: self.http.get_retrying(exchange, request, attempts=ATTEMPTS)


@asynccontextmanager
async def open_desk(settings: Settings, role: str) -> AsyncIterator[Desk]:
    """Nothing connects before its first use."""
    redis, clock = wiring.open_redis(settings), wiring.clock(settings)
    http = wiring.open_http(settings, redis)
    try:
        async with wiring.open_stores(settings, role=role) as stores:
            yield Desk(settings, clock, redis, http, stores, LiveSink(redis, clock))
    finally:
        await http.close()
        await redis.aclose()
