"""Two markets that a person says are one become one series, on every tier, with all that refers to them."""

from typing import Any

import pytest

from app.stores.candles import StoredCandle
from app.stores.database import Database
from app.stores.errors import FetchError
from app.stores.join import Joined, JoinStore
from app.stores.symbols import SymbolStore
from common.clock import Clock
from common.errors import BadInput, Retryable
from common.interval import Interval
from common.market import Instrument
from common.span import DAY_MS, MINUTE_MS, Span
from tests.fixtures import bars
from tests.fixtures.bars import T0, candle, check
from tests.fixtures.retention import stores_of

#: TimescaleDB in WebAssembly is slow on a busy machine.
pytestmark = pytest.mark.timeout(900)

NOW = T0 + 20 * DAY_MS
CLOCK = Clock(1e-9, NOW)
MATIC = Instrument("binance", "BTC", "USDT", "BTCUSDT", "BTC", "USDT", is_trading=False)
POL = Instrument("binance", "ETH", "BTC", "ETHBTC", "ETH", "BTC")
OLD, NEW = 1, 2
NEAR_MS = T0 + 1000 * MINUTE_MS


def at(minute: int) -> int:
    return T0 + minute * MINUTE_MS


def minutes(start: int, end: int) -> Span:
    return Span(at(start), at(end))


def row(minute: int, price: float, symbol: int, source: int) -> StoredCandle:
    return candle(minute, price, symbol, 1.0, True)._replace(source=source)


def failed(symbol_id: int, span: Span) -> FetchError:
    return FetchError("binance", f"native {symbol_id}", span, "Rejected", "no", symbol_id=symbol_id)


async def everything_named_so(database: Database) -> dict[str, set[int]]:
    """Each column that holds ids of symbols, with the ids in it."""
    found: dict[str, set[int]] = {}
    async with database.connection() as connection:
        tables = await connection.fetch(
            "SELECT table_name FROM information_schema.columns JOIN information_schema.tables "
            "USING (table_schema, table_name) WHERE table_schema = 'public' AND column_name = 'symbol_id'"
        )
        for (table,) in tables:
            rows = await connection.fetch(f"SELECT DISTINCT symbol_id FROM {table} WHERE symbol_id IS NOT NULL")
            found[table] = {one[0] for one in rows}
        rows = await connection.fetch("SELECT DISTINCT unnest(symbols) FROM exchange_outages")
        found["exchange_outages"] = {one[0] for one in rows}
    return found


async def fill(database: Database) -> Any:
    """The old market traded until minute 1000, the new one since minute 980; some minutes are told by both."""
    stores = stores_of(database, CLOCK)
    await stores.symbols.upsert("binance", [MATIC, POL], T0)
    old = [row(minute, 1.0, OLD, 3) for minute in range(0, 980, 3)]
    both = [row(980, 1.0, OLD, 3), row(981, 1.0, OLD, 2), row(982, 1.0, OLD, 1)]
    await stores.candles.write(old + both, cover=[(OLD, minutes(0, 1100))])
    both = [row(980, 2.0, NEW, 2), row(981, 2.0, NEW, 3), row(982, 2.0, NEW, 1)]
    new = [row(minute, 2.0, NEW, 3) for minute in range(1000, 3000, 5)]
    await stores.candles.write(both + new, cover=[(NEW, minutes(500, 3000))])
    await stores.candles.write([row(1000, 3.0, NEW, 3), row(981, 3.0, NEW, 3)])
    await stores.coverage.want({OLD: minutes(0, 1200), NEW: minutes(900, 3000)})
    for symbol_id in (OLD, NEW):
        await stores.errors.record(failed(symbol_id, minutes(100, 200)), NOW)
    async with database.connection() as connection:
        for symbol_id in (OLD, NEW):
            await connection.execute(
                "INSERT INTO outages_sought VALUES ($1, tstzmultirange(tstzrange($2, $3)))",
                *(symbol_id, at(400), at(1500)),
            )
            await connection.execute(
                "INSERT INTO imported_archives VALUES ($1, gen_random_uuid(), 'x', tstzrange($2, $3), 1, $3)",
                *(symbol_id, at(0), at(1)),
            )
        await connection.execute(
            "INSERT INTO exchange_outages (exchange, span, symbols, evidence, found_at) "
            "VALUES ('binance', tstzrange($1, $2), '{2,1}', '', $2)",
            *(at(0), at(1)),
        )
    return stores


async def test_two_markets_become_one_with_all_that_is_known_of_them(
    tier_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores = await fill(tier_database)
    job = await stores.plan.create("binance", [OLD, NEW], minutes(0, 5000))
    leases = await stores.plan.lease(job, "worker", lambda _, piece: Span(piece.end_ms - DAY_MS, piece.end_ms), 2)
    assert {one.symbol_id for one in leases} == {OLD, NEW}
    await stores.rollups.refresh()
    await check(tier_database)
    assert await JoinStore(tier_database).join(OLD, NEW, NOW) == Joined(403, 3)

    monkeypatch.setitem(bars.NAMES, OLD, ("binance", "ETH", "BTC"))
    await check(tier_database)
    await stores.rollups.refresh()
    await check(tier_database)
    assert NEW not in set().union(*(await everything_named_so(tier_database)).values())
    await check_candles(tier_database, stores)
    assert (await stores.coverage.covered([OLD]))[OLD] == [minutes(0, 3000)]
    assert (await stores.coverage.wanted([OLD]))[OLD] == [minutes(0, 5000)]
    assert await stores.outages.sought([OLD]) == {OLD: [minutes(400, 1500)]}
    assert await stores.errors.open_count() == 0, "their minutes are answered"
    assert (await stores.plan.progress(job)).minutes_left == 2000
    assert [one.instrument for one in (await stores.symbols.load()).values()] == [POL]
    assert await stores.symbols.ids() == {MATIC.key: OLD, POL.key: OLD}
    assert {one.id for one in (await stores.symbols.now([OLD, NEW])).values()} == {OLD}
    assert await stores.minutes.gaps([OLD], minutes(0, 3000), NOW) == []


async def check_candles(database: Database, stores: Any) -> None:
    stored = {one.open_ms: one.open for one in await stores.candles.read(OLD, Interval.M1, None, NOW, 10_000)}
    told = {at(minute): 1.0 for minute in range(0, 980, 3)} | {at(minute): 2.0 for minute in range(1000, 3000, 5)}
    assert stored == told | {at(980): 1.0, at(981): 3.0, at(982): 2.0, at(1000): 3.0}
    async with database.connection() as connection:
        found = await connection.fetch("SELECT symbol_id, time, open FROM candle_revisions ORDER BY time, id")
    assert [tuple(one) for one in found] == [(OLD, at(981), 1.0), (OLD, at(982), 1.0), (OLD, at(1000), 2.0)]


async def test_what_the_exchange_answered_under_a_name_counts_for_the_time_of_that_name(
    database: Database,
) -> None:
    """Answers of nothing for minutes in which the market was called otherwise say nothing of it."""
    stores = stores_of(database, CLOCK)
    await stores.symbols.upsert("binance", [MATIC], T0)
    await stores.symbols.upsert("binance", [MATIC, POL], at(1000))
    await stores.candles.write([row(0, 1.0, OLD, 3), row(900, 1.0, OLD, 3)], cover=[(OLD, minutes(500, 2000))])
    await stores.candles.write([row(1000, 2.0, NEW, 3)], cover=[(NEW, minutes(0, 1200))])
    await stores.coverage.want({NEW: minutes(0, 1200)})
    await JoinStore(database).join(OLD, NEW, NOW)
    assert (await stores.coverage.covered([OLD]))[OLD] == [minutes(500, 1200)]
    (market,) = (await stores.symbols.load()).values()
    asked = [market.instrument.asked_as(minutes(*span)) for span in ((0, 1200), (0, 901), (950, 960))]
    assert [(name.native, span) for name, span in asked] == [
        ("ETHBTC", minutes(901, 1200)),
        ("BTCUSDT", minutes(0, 901)),
        ("ETHBTC", minutes(950, 960)),
    ]


async def test_who_writes_under_an_id_that_is_gone_learns_of_it_and_stores_nothing(database: Database) -> None:
    stores = await fill(database)
    await JoinStore(database).join(OLD, NEW, NOW)
    with pytest.raises(Retryable, match="Market 2 was renamed and joined to another meanwhile; begin again"):
        await stores.candles.write([row(5000, 1.0, NEW, 3), row(5000, 1.0, OLD, 3)], cover=[(OLD, minutes(0, 9))])
    await stores.coverage.want({NEW: minutes(0, 10)})
    await stores.errors.record(failed(NEW, minutes(9000, 9001)), NOW)
    await stores.plan.create("binance", [NEW], minutes(0, 10))
    await stores.outages.replace("binance", [minutes(0, 9)], [], {NEW: [minutes(0, 9)]}, NOW)
    await stores.rollups.refresh()
    assert NEW not in set().union(*(await everything_named_so(database)).values())
    assert await stores.candles.read(OLD, Interval.M1, at(5000), at(5001), 1) == []


async def test_a_market_is_joined_to_what_was_joined_before(database: Database) -> None:
    stores = await fill(database)
    third = Instrument("binance", "POL", "BTC", "POLBTC", "POL", "BTC")
    await stores.symbols.upsert("binance", [POL, third], NOW)
    await JoinStore(database).join(NEW, 3, NOW)
    await JoinStore(database).join(OLD, NEW, NOW)
    assert await stores.symbols.ids() == {one.key: OLD for one in (MATIC, POL, third)}
    assert {one.id for one in (await stores.symbols.now([OLD, NEW, 3])).values()} == {OLD}
    (market,) = (await stores.symbols.load()).values()
    assert market.instrument.asked_as(minutes(0, 900))[0].native == "BTCUSDT"


async def test_minutes_that_retention_has_dropped_are_not_joined(database: Database) -> None:
    stores = await fill(database)
    await stores.rollups.refresh()
    assert await stores.retention.move([NEW], T0 + 2 * 3_600_000 + DAY_MS) == [NEW]
    with pytest.raises(BadInput, match="Retention has dropped minutes of the new market"):
        await JoinStore(database).join(OLD, NEW, NOW)
    assert set(await SymbolStore(database).ids()) == {MATIC.key, POL.key}
    assert await stores.minutes.stored([OLD, NEW]) != {}
