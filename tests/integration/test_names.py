"""A market that is called otherwise from some listing on stays the same series, found by every name it had."""

from collections.abc import Sequence
from dataclasses import replace

import msgspec
import pytest

from app.jobs.asked import named
from app.stores.database import Database
from app.stores.market_ids import MarketIds
from app.stores.symbols import SymbolStore
from common.market import Instrument
from common.span import DAY_MS, MINUTE_MS, Span
from tests.fixtures.bars import T0, candle
from tests.fixtures.house import House, house
from tests.fixtures.live import BTC as LIVE
from tests.fixtures.live import ETH, message
from tests.fixtures.live import T0 as NOW
from tests.fixtures.retention import stores_of

__all__ = ["house"]

ABC = Instrument("bitfinex", "BCHABC", "USD", "BABUSD", "BAB", "USD")
BCH = replace(ABC, base="BCH")
BTC = Instrument("bitfinex", "BTC", "USD", "BTCUSD", "BTC", "USD")


async def ohlcvs(database: Database, base: str) -> list[int]:
    async with database.connection() as connection:
        query = "SELECT time FROM ohlcvs WHERE exchange = 'bitfinex' AND base_id = $1 ORDER BY time"
        return [row[0] for row in await connection.fetch(query, base)]


async def id_by_name(symbols: SymbolStore, base: str, quote: str) -> int | None:
    found = await symbols.find("bitfinex", base, quote)
    return found and found.id


async def list_and_store(database: Database, listed: Sequence[Instrument]) -> None:
    """Each market with a minute of its own."""
    stores = stores_of(database)
    await stores.symbols.upsert("bitfinex", listed, T0)
    ids = [one.id for one in (await stores.symbols.load()).values()]
    rows = [candle(number, 1.0, number, 1.0, True) for number in ids]
    spans = [(number, Span(T0 + number * MINUTE_MS, T0 + (number + 1) * MINUTE_MS)) for number in ids]
    await stores.candles.write(rows, cover=spans)


async def test_a_market_that_we_call_otherwise_keeps_its_candles_and_is_found_by_both_names(
    database: Database,
) -> None:
    symbols = SymbolStore(database)
    await list_and_store(database, [ABC, BTC])
    before = await symbols.version()
    await symbols.upsert("bitfinex", [BCH, BTC], T0 + 1)
    assert await symbols.version() != before
    assert {key: one.id for key, one in (await symbols.load()).items()} == {BCH.key: 1, BTC.key: 2}
    assert [await id_by_name(symbols, base, "USD") for base in ("BCH", "BCHABC", "BAB", "XYZ")] == [1, 1, 1, None]
    assert await symbols.ids() == {ABC.key: 1, BCH.key: 1, BTC.key: 2}
    assert await ohlcvs(database, "BCH") == [T0 + MINUTE_MS]
    async with database.connection() as connection:
        bars = await connection.fetch("SELECT bucket FROM candles('bitfinex', 'bchabc', 'usd', '1m')")
    assert [row[0] for row in bars] == [T0 + MINUTE_MS]
    again = await symbols.version()
    await symbols.upsert("bitfinex", [BCH, BTC], T0 + 2)
    assert await symbols.version() == again, "nothing is new in a listing that is as before"


async def test_a_market_that_its_exchange_calls_otherwise_keeps_its_candles(database: Database) -> None:
    symbols = SymbolStore(database)
    await list_and_store(database, [BTC])
    dashed = replace(BTC, native="BTC-USD", native_base="XBT", native_quote="ZUSD")
    await symbols.upsert("bitfinex", [dashed], T0 + 1)
    stored = await symbols.load("bitfinex")
    assert [(one.id, one.instrument) for one in stored.values()] == [(1, dashed)]
    assert [one.id for one in named("BTC-USD,BTCUSD,XBT/ZUSD,tBTCUSD", stored)] == [1]
    assert [await id_by_name(symbols, *names) for names in (("BTC", "USD"), ("XBT", "ZUSD"))] == [1, 1]


async def test_two_markets_that_change_names_keep_each_its_own_candles(database: Database) -> None:
    symbols = SymbolStore(database)
    await list_and_store(database, [ABC, BTC])
    await symbols.upsert("bitfinex", [replace(ABC, base="BTC"), replace(BTC, base="BCHABC")], T0 + 1)
    assert [await ohlcvs(database, base) for base in ("BTC", "BCHABC")] == [[T0 + MINUTE_MS], [T0 + 2 * MINUTE_MS]]


async def test_a_name_that_another_market_bears_later_is_never_mixed_with_the_old_ones_history(
    database: Database,
) -> None:
    symbols = SymbolStore(database)
    await list_and_store(database, [ABC, BTC])
    await symbols.upsert("bitfinex", [BTC], T0 + 30 * DAY_MS)
    await symbols.upsert("bitfinex", [BTC, replace(ABC, native="ABCUSD")], T0 + 60 * DAY_MS)
    found = await symbols.find("bitfinex", "BCHABC", "USD")
    assert found and found.id not in (1, 2)
    assert await symbols.ids() == {BTC.key: 2, ABC.key: found.id}
    assert await ohlcvs(database, "BCHABC") == []
    await stores_of(database).candles.write([candle(9, 1.0, found.id, 1.0, True)])
    assert await ohlcvs(database, "BCHABC") == [T0 + 9 * MINUTE_MS]
    async with database.connection() as connection:
        kept = await connection.fetchval("SELECT count(*) FROM candles WHERE symbol_id = 1")
        daily = await connection.fetch("SELECT volume FROM ohlcvs_summary_daily WHERE base_id = 'BCHABC'")
    assert (kept, [row[0] for row in daily]) == (1, [1.0])


async def test_a_former_name_that_another_market_bears_means_that_one(database: Database) -> None:
    symbols = SymbolStore(database)
    await list_and_store(database, [ABC])
    await symbols.upsert("bitfinex", [BCH], T0 + 1)
    other = Instrument("bitfinex", "BCHABC", "USD", "ABCUSD", "ABC", "USD")
    await symbols.upsert("bitfinex", [BCH, other], T0 + 2)
    stored = await symbols.load("bitfinex")
    assert await id_by_name(symbols, "BCHABC", "USD") == stored[other.key].id != 1
    assert [one.instrument for one in named("BCHABC/USD", stored)] == [other]
    assert await symbols.ids() == {BCH.key: 1, other.key: stored[other.key].id}


@pytest.mark.parametrize("name", ["BTC", "XBT"])
async def test_closed_candles_under_either_name_go_to_the_one_series(house: House, name: str) -> None:
    """A name may change while candles wait for their database; the updater runs on."""
    symbols = SymbolStore(house.database)
    async with house.updating():
        await house.tell([message(0, 3, 3, LIVE)])
        await house.drained()
        await symbols.upsert("binance", [replace(LIVE, base="XBT"), ETH], NOW)
        await house.tell([message(1, 4, 3, replace(LIVE, base=name))])
        await house.drained()
    assert await house.rows() == [("XBT", 0, 3, 3), ("XBT", 1, 4, 3)]


@pytest.mark.parametrize("native", ["BTC2USDT", ""])
async def test_an_updater_that_runs_on_gives_a_name_that_was_used_again_to_the_later_market(
    house: House, native: str
) -> None:
    symbols = SymbolStore(house.database)
    async with house.updating():
        await house.tell([message(0, 3, 3, LIVE)])
        await house.drained()
        await symbols.upsert("binance", [replace(LIVE, base="XBT"), replace(LIVE, native="BTC2USDT"), ETH], NOW)
        await house.tell([msgspec.structs.replace(message(1, 4, 3, LIVE), native=native)])
        await house.drained()
    assert await house.rows() == [("BTC", 1, 4, 3), ("XBT", 0, 3, 3)]


async def test_what_was_told_of_a_market_before_another_bore_its_name_stays_its_own(house: House) -> None:
    """Streams learn of names within seconds, and candles may wait for their database for hours."""
    await house.tell([message(0, 3, 2, LIVE)])
    later = replace(LIVE, native="BTC2USDT")
    await SymbolStore(house.database).upsert("binance", [replace(LIVE, base="XBT"), later, ETH], NOW)
    await house.tell([message(1, 4, 2, LIVE), message(1, 5, 2, later)])
    async with house.updating():
        await house.drained()
    assert await house.rows() == [("BTC", 1, 5, 2), ("XBT", 0, 3, 2), ("XBT", 1, 4, 2)]


async def test_a_name_that_changes_while_names_are_read_is_known_for_the_next_batch(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, renamed = SymbolStore.ids, replace(LIVE, base="XBT")

    async def read_as_it_changes(self: SymbolStore) -> MarketIds:
        found = await read(self)
        await SymbolStore(house.database).upsert("binance", [renamed, ETH], NOW)
        return found

    async with house.updating():
        monkeypatch.setattr(SymbolStore, "ids", read_as_it_changes)
        for told in (message(0, 3, 2, LIVE), message(1, 4, 2, renamed)):
            await house.tell([msgspec.structs.replace(told, native="")])
            await house.drained()
    assert (await house.rows(), await house.errors()) == ([("XBT", 0, 3, 2), ("XBT", 1, 4, 2)], [])
