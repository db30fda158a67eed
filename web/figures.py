"""What metrics alone ask for: what is stored, what waits to be stored, and what waits to be done."""

from redis.asyncio import Redis

from app.stores import backlog, census, closed_stream, events, heartbeat, latest, pulse
from app.stores.statements import sql
from app.wiring import Stores
from web.deps import StoredFigures

#: Real time within which an updater that lives looks for closed candles, unless PostgreSQL is away.
UPDATING_MS = 60_000


class WiredFigures:
    """`broker` is the Redis database of Celery's messages."""

    def __init__(self, stores: Stores, redis: Redis, broker: Redis, exchanges: tuple[str, ...]) -> None:
        self._stores, self._redis, self._broker = stores, redis, broker
        self._exchanges = exchanges
        self._queues = [*(f"{name}_rest" for name in exchanges), "all_rest"]

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

    async def oldest_ms(self) -> dict[str, int]:
        return await backlog.oldest_ms(self._broker, self._queues)

    async def updaters(self) -> int:
        return len(await closed_stream.readers(self._redis, UPDATING_MS))

    async def streams(self) -> dict[str, int]:
        names = [latest.CLOSED_CANDLES, events.EVENTS, *map(latest.live_stream, self._exchanges)]
        return await backlog.stream_lengths(self._redis, names)

    async def processes(self) -> list[census.Member]:
        return await census.living(self._redis)

    async def healing_since_ms(self, exchange: str) -> int | None:
        return await heartbeat.healing_since_ms(self._redis, exchange)

    async def pulse(self, exchange: str) -> int | None:
        return await pulse.last_ms(self._redis, exchange)

    async def queues(self) -> dict[str, int]:
        return await backlog.queue_lengths(self._broker, self._queues)
