"""The web's real dependencies, made of what the settings mean."""

import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any

from pydantic import SecretStr
from redis.asyncio import Redis

from app import wiring
from app.disk import Room, room
from app.settings import load_settings
from app.stores import analytics, heartbeat, streamed
from app.stores.bar_stream import BarStream
from app.stores.budget import budget_state
from app.stores.database import Database
from app.stores.events import EventFeed, EventStore
from app.stores.keys import KeyStore
from app.stores.live_feed import LiveFeed
from app.stores.many_bars import ManyBars
from app.stores.newest import newest
from app.stores.plan import PlanStore
from app.stores.redis_errors import translated
from app.stores.revisions import RevisionStore
from common.clock import Clock
from web.deps import Deps, FetchProgress, Rows
from web.fetches import Fetches, WiredFetches, ordering
from web.figures import WiredFigures
from web.remembered import RememberedSymbols

#: Connections to PostgreSQL of one web process.
POOL_SIZE = 10
#: The garbage collector's thresholds. Looking through the rows of 32 answers at once took four tenths of the time.
COLLECT = (50_000, 20, 50)
#: The limit that means every row.
ALL = -1


class AnalyticsViews:
    """The analytics views of one database, in values that JSON knows."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def geodr(self, upper: float | None, lower: float | None, limit: int) -> Rows:
        return _plain(await analytics.geodr(self._db, upper, lower, None if limit == ALL else limit))

    async def wr(self, upper: float | None, lower: float | None, limit: int) -> Rows:
        rows = _plain(await analytics.wr(self._db, upper, lower, None if limit == ALL else limit))
        return [row | {"time": datetime.fromtimestamp(row["time"] / 1000, UTC).isoformat()} for row in rows]

    async def top20qvlm(self) -> Rows:
        return _plain(await analytics.top20qvlm(self._db))

    async def test_row(self) -> Rows:
        row = await analytics.test_row(self._db)
        return _plain([row] if row else [])


def _plain(rows: Iterable[Mapping[str, Any]]) -> Rows:
    return [{name: _number(value) for name, value in row.items()} for row in rows]


def _number(value: Any) -> Any:
    """A numeric without a fraction becomes a whole number, any other the nearest float."""
    if not isinstance(value, Decimal):
        return value
    return float(value) if value % 1 else int(value)


@asynccontextmanager
async def open_wired() -> AsyncIterator[Deps]:
    """Read the settings and open their servers, none of which is connected before its first use."""
    settings = load_settings()
    async with AsyncExitStack() as stack:
        stores = await stack.enter_async_context(wiring.open_stores(settings, pool_size=POOL_SIZE, role="web"))
        redis = await stack.enter_async_context(wiring.open_redis(settings))
        broker = await stack.enter_async_context(Redis.from_url(settings.celery_broker_url))
        clock = wiring.clock(settings)
        disk = partial(room, settings, stores.db)
        fetches = WiredFetches(stores, lambda: settings, clock, lambda: disk(clock.now_ms()), ordering(redis))
        deps = deps_of(
            stores,
            redis,
            clock,
            wiring.known_exchanges(settings),
            settings.streaming,
            room=lambda: disk(clock.now_ms()),
            token=settings.web_token,
            broker=broker,
            fetches=fetches,
            egress=settings.egress_address,
        )
        # What is there now stays, and of what comes little is part of a cycle.
        gc.freeze()
        gc.set_threshold(*COLLECT)
        yield replace(deps, is_public=settings.public, hosts=settings.hosts, origins=settings.origins)


def deps_of(
    stores: wiring.Stores,
    redis: Redis,
    clock: Clock,
    exchanges: tuple[str, ...],
    streaming: tuple[str, ...],
    room: Callable[[], Awaitable[Room]],
    token: SecretStr | None,
    broker: Redis,
    fetches: Fetches,
    egress: str = "",
) -> Deps:
    """What the web needs, over the stores of one database and one Redis."""
    return Deps(
        clock=clock,
        token=token,
        keys=KeyStore(stores.db),
        exchanges=exchanges,
        streaming=streaming,
        symbols=RememberedSymbols(stores.symbols),
        candles=stores.candles,
        many_bars=ManyBars(stores.db),
        bar_stream=BarStream(stores.db),
        revisions=RevisionStore(stores.db),
        events=EventStore(stores.db),
        happened=EventFeed(redis),
        minutes=stores.minutes,
        analytics=AnalyticsViews(stores.db),
        feed=LiveFeed(redis),
        heartbeat=partial(heartbeat.told, redis),
        budget=partial(budget_state, redis, clock=clock, egress=egress),
        jobs=_jobs(stores.plan),
        fetches=fetches,
        figures=WiredFigures(stores, redis, broker, exchanges),
        room=room,
        newest=partial(newest, redis),
        traded=partial(streamed.traded, stores.db),
        database_answers=_database_answers(stores.db),
        redis_answers=_redis_answers(redis),
    )


def _jobs(plan: PlanStore) -> Callable[[], Awaitable[list[FetchProgress]]]:
    async def read() -> list[FetchProgress]:
        found = []
        for job in await plan.unfinished():
            seen = await plan.progress(job.id)
            counts = (seen.minutes_total, seen.minutes_left, seen.rows_written, seen.requests, seen.errors)
            found.append(FetchProgress(job.id, job.exchange, seen.state, *counts))
        return found

    return read


def _database_answers(db: Database) -> Callable[[], Awaitable[None]]:
    async def ask() -> None:
        async with db.connection() as connection:
            await connection.execute("SELECT 1")

    return ask


def _redis_answers(redis: Redis) -> Callable[[], Awaitable[None]]:
    async def ask() -> None:
        with translated():
            await redis.ping()

    return ask
