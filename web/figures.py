"""What metrics alone ask for: what is stored, what waits to be stored, and what waits to be done."""

from redis.asyncio import Redis

from app.stores import backlog, events, pulse
from app.stores.statements import sql
from app.wiring import Stores
from web.deps import StoredFigures


class WiredFigures:
    """`broker` is the Redis database of Celery's messages."""

    def __init__(self, stores: Stores, redis: Redis, broker: Redis, exchanges: tuple[str, ...]) -> None:
        self._stores, self._redis, self._broker = stores, redis, broker
        self._exchanges = exchanges

    async def stored(self) -> StoredFigures:
        stores = self._stores
        async with stores.db.connection() as connection:
            candles, symbols = await connection.fetchrow(sql("status_counts"))
        dirty = await stores.rollups.dirty_count()
        failures = {exchange: await stores.errors.open_count(exchange) for exchange in self._exchanges}
        return StoredFigures(candles, symbols, dirty, failures, *await stores.minutes.figures())

    async def backlog(self) -> int:
        return await backlog.closed_candles(self._redis)

    async def events(self) -> dict[tuple[str, str], int]:
        return await events.counts(self._redis)

    async def pulse(self, exchange: str) -> int | None:
        return await pulse.last_ms(self._redis, exchange)

    async def queues(self) -> dict[str, int]:
        return await backlog.queue_lengths(
            self._broker, [*(f"{name}_rest" for name in self._exchanges), "all_rest"]
        )
