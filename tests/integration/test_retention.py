"""Minutes before a horizon go, and every answer made of bars stays what it was, on every storage tier."""

from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.jobs.retain import retain
from app.stores.candles import CandleStore, StoredCandle
from app.stores.database import Database
from app.stores.rollups import RollupStore
from app.wiring import Stores
from common.interval import ROLLUPS, Interval
from common.span import DAY_MS, MINUTE_MS, Span
from common.timeframe import parse
from tests.fixtures import web
from tests.fixtures.bars import FAR_MS, NAMES, T0, aggregate, candle, list_symbols, truth, views
from tests.fixtures.retention import stores_of

#: TimescaleDB in WebAssembly is slow on a busy machine.
pytestmark = pytest.mark.timeout(900)

#: Midnight of the Monday that begins a month, two weeks of the grid and, in the minutes, two hours after T0.
MONDAY_MS = T0 + 120 * MINUTE_MS
#: Made of minutes, of stored bars, of days of another zone, and of minutes because of where counting begins.
FRAMES = [
    (parse("7m"), True),
    (parse("45m"), False),
    (parse("3D"), False),
    (parse("1M", "Asia/Kathmandu"), False),
    (parse("1D", None, T0 + 7 * MINUTE_MS), True),
]


@dataclass
class Model:
    """`made`: the minutes that bars are made of, of each symbol; `kept`: those of them that are stored."""

    made: dict[int, dict[int, StoredCandle]] = field(default_factory=lambda: {symbol: {} for symbol in NAMES})
    kept: dict[int, dict[int, StoredCandle]] = field(default_factory=lambda: {symbol: {} for symbol in NAMES})
    horizons: dict[int, int] = field(default_factory=lambda: dict.fromkeys(NAMES, 0))

    def write(self, rows: list[StoredCandle]) -> None:
        for row in rows:
            if row.open_ms >= self.horizons[row.symbol_id]:
                self.made[row.symbol_id][row.open_ms] = self.kept[row.symbol_id][row.open_ms] = row

    def delete(self, symbol: int, span: Span) -> None:
        for open_ms in [ms for ms in self.kept[symbol] if span.has(ms)]:
            del self.kept[symbol][open_ms]
            if open_ms >= self.horizons[symbol]:
                del self.made[symbol][open_ms]

    def drop(self) -> None:
        for symbol, horizon_ms in self.horizons.items():
            self.kept[symbol] = {ms: row for ms, row in self.kept[symbol].items() if ms >= horizon_ms}


async def check(database: Database, model: Model) -> None:
    """Views, reads and other timeframes against the minutes that bars are made of."""
    store = CandleStore(database)
    made = {symbol: list(rows.values()) for symbol, rows in model.made.items()}
    async with database.connection() as connection:
        assert await views(connection) == truth(made)
    for symbol, rows in made.items():
        for interval in ROLLUPS:
            assert await store.read(symbol, interval, None, FAR_MS, 10_000) == aggregate(interval, rows)
        kept = model.kept[symbol].values()
        assert await store.read(symbol, Interval.M1, None, FAR_MS, 10_000) == aggregate(Interval.M1, kept)


async def check_other_timeframes(database: Database, model: Model) -> None:
    """A bar that is made of minutes is there when its bucket begins at or after the horizon."""
    for symbol, rows in model.made.items():
        minutes = [candle[1:7] for candle in sorted(rows.values(), key=lambda row: row.open_ms)]
        for timeframe, of_minutes in FRAMES:
            wanted = web.aggregate([web.Bar(*minute) for minute in minutes], timeframe)
            wanted = [bar for bar in wanted if not of_minutes or bar.open_ms >= model.horizons[symbol]]
            found = await CandleStore(database).bars(symbol, timeframe, None, FAR_MS, 10_000)
            assert [bar[:5] for bar in found] == [bar[:5] for bar in wanted], timeframe
            assert [bar.volume for bar in found] == pytest.approx([bar.volume for bar in wanted], rel=1e-12)


edges = st.one_of(
    st.integers(-3, 12),
    st.integers(115, 126),
    st.integers(1555, 1565),
    st.sampled_from([-40 * 1440, -8 * 1440, 6 * 1440, 13 * 1440, 28 * 1440, 60 * 1440]),
)
written = st.lists(
    st.builds(
        candle,
        minute=edges,
        price=st.sampled_from([1.0, 1.1, 3.3, 1e-8]),
        symbol=st.sampled_from([1, 2]),
        volume=st.sampled_from([0.1, 0.2, 1e-8, 1234.5]),
        full=st.booleans(),
    ),
    min_size=1,
    max_size=12,
)
deletions = st.builds(
    lambda symbol, minute, length: (symbol, Span(T0 + minute * MINUTE_MS, T0 + (minute + length) * MINUTE_MS)),
    *(st.sampled_from([1, 2]), edges, st.integers(1, 2000)),
)


@dataclass(frozen=True)
class Horizon:
    """A move of some symbols' horizon; `at_once`: whether the minutes go, or stay for a while."""

    symbols: tuple[int, ...]
    day: int
    at_once: bool


moves = st.builds(
    Horizon, st.sampled_from([(1,), (2,), (1, 2)]), st.sampled_from([-38, 0, 1, 3, 7, 28]), st.booleans()
)
others = st.sampled_from(["refresh", "pack", "rebuild", "drop"])
steps = st.lists(st.one_of(written, written, deletions, moves, others), min_size=2, max_size=8)


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(steps=steps)
async def test_frozen_bars_equal_their_minutes_of_then_after_any_interleaving(
    tier_database: Database, steps: list
) -> None:
    """Horizons anywhere among writes, corrections, deletions, refreshes and rebuilds, checked after each."""
    await forget_all(tier_database)
    model, stores = Model(), stores_of(tier_database)
    for step in steps:
        await take(step, model, stores)
        await check(tier_database, model)
    await stores.rollups.refresh()
    assert await stores.rollups.dirty_count() == 0
    await check(tier_database, model)
    await check_other_timeframes(tier_database, model)


async def take(step: object, model: Model, stores: Stores) -> None:
    if isinstance(step, list):
        late = sum(row.open_ms < model.horizons[row.symbol_id] for row in step)
        assert (await stores.candles.write(step)).refused == late
        model.write(step)
    elif isinstance(step, tuple):
        async with stores.db.begin() as connection:
            await connection.execute(
                "DELETE FROM candles WHERE symbol_id = $1 AND time >= $2 AND time < $3", step[0], *step[1]
            )
        model.delete(*step)
    elif isinstance(step, Horizon):
        await move(step, model, stores)
    elif step == "refresh":
        await stores.rollups.refresh()
    elif step == "pack":
        await stores.rollups.pack(FAR_MS)
    elif step == "rebuild":
        assert [spans async for spans in stores.rollups.rebuild()]
    else:
        await retain(stores, [], 0)
        model.drop()


async def move(step: Horizon, model: Model, stores: Stores) -> None:
    """What is known, and so which bars are partial, does not change."""
    horizon_ms = MONDAY_MS + step.day * DAY_MS
    before = [await stores.candles.known(symbol) for symbol in NAMES]
    if step.at_once:
        await retain(stores, step.symbols, horizon_ms)
    else:
        await stores.retention.move(step.symbols, horizon_ms)
    moved = await stores.retention.horizons(list(NAMES))
    assert all(moved.get(symbol, 0) in (old_ms, horizon_ms) for symbol, old_ms in model.horizons.items())
    model.horizons |= moved
    if step.at_once:
        for symbol in step.symbols:
            assert all(open_ms >= horizon_ms for open_ms in model.kept[symbol]) or symbol in moved
        model.drop()
    assert [await stores.candles.known(symbol) for symbol in NAMES] == before


async def forget_all(database: Database) -> None:
    """A database as new, horizons and frozen bars included."""
    await list_symbols(database)
    async with database.connection() as connection:
        await connection.execute("DELETE FROM coverage")
        await connection.execute("DELETE FROM candles")
    assert [spans async for spans in RollupStore(database).rebuild()]
