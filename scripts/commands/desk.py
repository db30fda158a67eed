"""What commands that ask exchanges themselves work with."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from redis.asyncio import Redis

from app import wiring
from app.disk import Room, room
from app.jobs import instruments
from app.settings import Settings
from app.stores.latest import LiveSink
from app.stores.symbols import StoredSymbol
from common.clock import Clock
from common.ports import Exchange, Priority
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

    async def markets(self, exchange: Exchange) -> dict[str, StoredSymbol]:
        """All that it lists, by key; it is asked where nothing is known yet."""
        await instruments.ensure_known(
            exchange,
            get=lambda request: self.http.get_retrying(exchange, request, attempts=2, priority=Priority.LIVE),
            symbols=self.stores.symbols,
            clock=self.clock,
        )
        return await self.stores.symbols.load(exchange.name)

    async def room(self) -> Room:
        """How the database's disk stands."""
        return await room(self.settings, self.stores.db, self.clock.now_ms())


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
