"""What one process has to say of an exchange: events for people, and holes that REST is to be asked about."""

import asyncio
from collections.abc import Awaitable, Callable

from redis.asyncio import Redis

from app.happening import Happening, Kind, happening
from app.stores import events, heartbeat
from common.clock import Clock
from common.errors import Retryable
from common.market import Instrument

#: Events that wait for Redis; older ones are forgotten.
MOST_EVENTS = 500


class Notices:
    """Kept here until Redis takes them. `news` is set when there is something to send.

    `ring` is called when the feed may have missed something.
    """

    def __init__(
        self, exchange: str, redis: Redis, clock: Clock, ring: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        self._exchange = exchange
        self._redis = redis
        self._clock = clock
        self._ring = ring or (lambda: heartbeat.ring(redis, exchange, clock.now_ms()))
        self._happened: list[Happening] = []
        self._missed = False
        self.news = asyncio.Event()

    def tell(self, kind: Kind, detail: str, market: Instrument | None = None, **facts: int) -> None:
        name = market.symbol if market else ""
        self._happened.append(happening(kind, self._exchange, self._clock.now_ms(), detail, name, facts))
        del self._happened[:-MOST_EVENTS]
        self.news.set()

    def miss(self) -> None:
        """Something may be missing: have REST asked."""
        self._missed = True
        self.news.set()

    async def send(self) -> None:
        """Raises `Retryable` while Redis is away; nothing is lost by that."""
        if told := self._happened[:]:
            await events.tell(self._redis, told)
            self._happened = [one for one in self._happened if one not in told]
        if self._missed:
            self._missed = False  # before: what is missed meanwhile rings again
            try:
                await self._ring()
            except Retryable:
                self._missed = True
                raise
