"""What `status` tells: each exchange's stream, what is stored, what is being fetched, and what is amiss."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app import tiers, wiring
from app.disk import Room, room
from app.settings import Settings
from app.stores import heartbeat, pulse
from app.stores.budget import BudgetState, budget_state
from app.stores.plan import JobRow, Progress
from app.stores.retention import Horizons
from app.stores.statements import sql
from app.tiers import Tier
from common.clock import Clock
from common.errors import CandlehouseError


@dataclass(slots=True)
class Stream:
    """What an exchange's stream last said of itself; `age_s` is its newest candle's, None before the first."""

    exchange: str
    state: str
    connections: int
    symbols: int
    age_s: float | None
    last_error: str

    @property
    def live(self) -> bool:
        return self.state == "connected" and self.age_s is not None and self.age_s * 1000 <= heartbeat.FRESH_MS


@dataclass(slots=True)
class Report:
    """`troubles` are sentences; a report without any is healthy.

    `tier` is None where the database does not answer.
    """

    streams: list[Stream] = field(default_factory=list)
    budgets: dict[str, BudgetState] = field(default_factory=dict)
    candles: int = 0
    symbols: int = 0
    dirty: int = 0
    tier: Tier | None = None
    better: Tier = Tier.PLAIN
    failures: int = 0
    horizons: Horizons = field(default_factory=lambda: Horizons(0, None, None))
    jobs: list[tuple[JobRow, Progress]] = field(default_factory=list)
    room: Room | None = None
    troubles: list[str] = field(default_factory=list)


async def make(settings: Settings) -> Report:
    """Ask both servers; one that does not answer is a trouble, not an error."""
    report = Report()
    for part in (_streams, _stored):
        try:
            await part(settings, report)
        except CandlehouseError as error:
            report.troubles.append(str(error))
    return report


async def _streams(settings: Settings, report: Report) -> None:
    clock = wiring.clock(settings)
    async with wiring.open_redis(settings) as redis:
        for exchange in settings.streaming:
            stream = parse(exchange, await heartbeat.told(redis, exchange), clock)
            report.streams.append(stream)
            if not stream.live:
                report.troubles.append(f"{exchange} is not live.")
        for exchange in settings.exchange_names:
            report.budgets[exchange] = await budget_state(redis, exchange, clock, settings.egress_address)
            pulse_ms = await pulse.last_ms(redis, exchange)
            if sentence := pulse.trouble(exchange, pulse_ms, clock.now_ms()):
                report.troubles.append(sentence)


def parse(exchange: str, told: Mapping[str, str], clock: Clock) -> Stream:
    """A stream that says nothing is stopped: what it said lapses after half a minute."""
    last_ms = int(told.get("last_candle_ms") or 0)
    age_s = (clock.now_ms() - last_ms) / 1000 if last_ms else None
    counts = int(told.get("connections") or 0), int(told.get("symbols") or 0)
    return Stream(exchange, told.get("state", "stopped"), *counts, age_s, told.get("last_error", ""))


async def _stored(settings: Settings, report: Report) -> None:
    async with wiring.open_stores(settings, pool_size=1, role="status") as stores:
        async with stores.db.connection() as connection:
            report.candles, report.symbols = await connection.fetchrow(sql("status_counts"))
            await _tier(connection, report)
        report.dirty = await stores.rollups.dirty_count()
        report.horizons = await stores.retention.state()
        report.failures = await stores.errors.open_count()
        for job in await stores.plan.unfinished():
            report.jobs.append((job, await stores.plan.progress(job.id)))
        report.room = await room(settings, stores.db, wiring.clock(settings).now_ms())
        if report.room.warning:
            report.troubles.append(report.room.warning)


async def _tier(connection: Any, report: Report) -> None:
    report.tier, report.better, _ = await tiers.prospect(connection)
    if report.tier is Tier.TIMESCALE:
        report.candles += await connection.fetchval(sql("status_packed"))
    if shortage := await tiers.shortage(connection):
        report.troubles.append(shortage)
