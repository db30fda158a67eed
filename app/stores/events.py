"""What happened to the feeds: told in a Redis stream, kept in the table `events`."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import structlog
from redis.asyncio import Redis

from app.happening import Happening, Kind, decode, encode
from app.stores.database import Database
from app.stores.group_stream import GroupStream
from app.stores.redis_errors import translated
from app.stores.statements import sql
from common.errors import Malformed

log = structlog.get_logger(__name__)

EVENTS, COUNTS = "candlehouse:events", "candlehouse:event_counts"
#: So many are kept for those who have not read them yet: ten days of a loss a minute.
MOST = 15_000
_START = "0-0"


async def tell(redis: Redis, happenings: Sequence[Happening]) -> None:
    """All of them, in order. Raises Retryable when Redis does not take them; all may then be told again."""
    client: Any = redis
    with translated():
        async with client.pipeline(transaction=True) as pipe:
            for one in happenings:
                pipe.xadd(EVENTS, {"event": encode(one)}, maxlen=MOST, approximate=True)
                pipe.hincrby(COUNTS, f"{one.exchange} {one.kind}", 1)
            await pipe.execute()


async def counts(redis: Redis) -> dict[tuple[str, str], int]:
    """By exchange and kind, how many were ever told in this Redis."""
    client: Any = redis
    with translated():
        found = await client.hgetall(COUNTS)
    names = {tuple(name.decode().split(" ", 1)): int(count) for name, count in found.items()}
    return {(exchange, kind): count for (exchange, kind), count in names.items()}


class EventFeed:
    """Reads what is told from now on; the cursor is an entry's id."""

    def __init__(self, redis: Redis) -> None:
        self._redis: Any = redis

    async def tail(self) -> str:
        with translated():
            newest = await self._redis.xrevrange(EVENTS, count=1)
        return newest[0][0].decode() if newest else _START

    async def read(self, cursor: str, block_ms: int | None) -> tuple[str, list[Happening]]:
        """The new cursor, and what stands behind the old one; waits up to `block_ms` for something to come."""
        with translated():
            answer = await self._redis.xread({EVENTS: cursor}, count=MOST, block=block_ms)
        found = []
        for entry, fields in answer[0][1] if answer else ():
            cursor, one = entry.decode(), event(fields)
            if isinstance(one, Malformed):
                log.warning("An entry of the events is none", reason=str(one))
            else:
                found.append(one)
        return cursor, found


class EventStream(GroupStream[Happening]):
    """For a group that must miss none; what it is done with stays for those who only listen."""

    def __init__(self, redis: Redis, group: str, consumer: str, since: str = "0") -> None:
        super().__init__(redis, EVENTS, group, consumer, event, since=since, trims=False)


class EventStore:
    def __init__(self, db: Database) -> None:
        self._db = db

    async def write(self, happenings: Sequence[Happening]) -> None:
        """Those that are stored already stay as they are."""
        names = ("id", "at", "exchange", "kind", "market", "detail")
        columns = [[getattr(one, name) for one in happenings] for name in names]
        facts = [msgspec.json.encode(one.facts).decode() for one in happenings]
        async with self._db.begin() as connection:
            await connection.execute(sql("events_write"), *columns, facts)

    async def newest(
        self, limit: int, exchange: str | None = None, kind: Kind | None = None, before: str | None = None
    ) -> list[Happening]:
        """Newest first; `before` is the id of the last one of the page before."""
        async with self._db.connection() as connection:
            rows = await connection.fetch(sql("events_newest"), exchange, kind, before, limit)
        return [_stored(*row) for row in rows]


def _stored(id_: str, at_ms: int, exchange: str, kind: str, market: str, detail: str, facts: str) -> Happening:
    figures = msgspec.json.decode(facts, type=dict[str, int])
    return Happening(Kind(kind), exchange, at_ms, detail, market, figures, id_)


def event(fields: Mapping[bytes, bytes]) -> Happening | Malformed:
    try:
        return decode(fields[b"event"])
    except (KeyError, msgspec.MsgspecError) as error:
        return Malformed("event entry", f"{fields!r:.200}: {error}")
