"""The composition root: which store, client and clock the settings mean. Nothing connects before its first use."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

from redis.asyncio import Redis

from app.settings import Settings
from app.stores.budget import RedisBudget
from app.stores.candles import CandleStore
from app.stores.coverage import CoverageStore
from app.stores.database import Database, open_database
from app.stores.erase import EraseStore
from app.stores.errors import ErrorStore
from app.stores.minutes import MinuteStore
from app.stores.outages import OutageStore
from app.stores.plan import PlanStore
from app.stores.retention import RetentionStore
from app.stores.rollups import RollupStore
from app.stores.symbols import SymbolStore
from common.clock import Clock
from fetchers import registry
from fetchers.http import HttpClient

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Stores:
    """Everything kept in PostgreSQL, over one pool."""

    db: Database
    symbols: SymbolStore
    candles: CandleStore
    coverage: CoverageStore
    plan: PlanStore
    rollups: RollupStore
    errors: ErrorStore
    outages: OutageStore
    minutes: MinuteStore
    retention: RetentionStore
    erase: EraseStore


def known_exchanges(settings: Settings) -> tuple[str, ...]:
    """Every exchange that has an adapter of its own, configured or not, and those of ccxt that are."""
    return tuple(dict.fromkeys((*registry.names(), *settings.exchange_names)))


def clock(settings: Settings) -> Clock:
    """The one clock of this instance."""
    return Clock(settings.clock_rate, settings.clock_anchor_ms)


def open_redis(settings: Settings) -> Redis:
    """Database 0, where the candles are; answers are bytes."""
    return Redis.from_url(settings.redis_url, health_check_interval=30)


@asynccontextmanager
async def open_stores(settings: Settings, *, pool_size: int = 5, role: str = "") -> AsyncIterator[Stores]:
    """The stores, for as long as the context lasts; the server shows who we are as `candlehouse {role}`."""
    db = open_database(settings.database_url, pool_size=pool_size, name=f"candlehouse {role}".strip())
    time = clock(settings)
    try:
        yield Stores(
            db,
            SymbolStore(db),
            CandleStore(db, time),
            CoverageStore(db),
            PlanStore(db, time),
            RollupStore(db),
            ErrorStore(db),
            OutageStore(db),
            MinuteStore(db),
            RetentionStore(db),
            EraseStore(db),
        )
    finally:
        await db.close()


def open_http(settings: Settings, redis: Redis) -> HttpClient:
    """One client for every exchange, within the rate budget that all processes share."""
    time = clock(settings)

    def budget(name: str) -> RedisBudget:
        weights = budget_weight(settings, name), budget_weight_per_second(settings, name)
        return RedisBudget(redis, name, weights[0], time, settings.egress_address, weights[1])

    return HttpClient(_OnDemand(settings.rest_url), _OnDemand(budget), time)


class _OnDemand(dict[str, V]):
    """By exchange, each made when it is first wanted: ccxt's are many, and cost time."""

    def __init__(self, make: Callable[[str], V]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, exchange: str) -> V:
        self[exchange] = made = self._make(exchange)
        return made


def budget_weight(settings: Settings, exchange: str) -> int:
    """The rate units a minute that we allow ourselves."""
    return max(1, int(settings.weight_per_minute(exchange) * settings.budget_share))


def budget_weight_per_second(settings: Settings, exchange: str) -> float | None:
    """The same of a second, where the exchange limits that, too; a setting for the minute holds in proportion."""
    limits = registry.get(exchange).limits
    if limits.weight_per_second is None:
        return None
    settings_share = settings.weight_per_minute(exchange) / limits.weight_per_minute
    return limits.weight_per_second * settings_share * settings.budget_share
