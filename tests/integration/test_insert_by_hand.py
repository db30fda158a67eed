"""INSERT INTO ohlcvs, as people do by hand."""

import io
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from app.stores.candles import CandleStore, StoredCandle
from app.stores.coverage import CoverageStore
from app.stores.database import Database
from app.stores.rollups import RollupStore
from app.stores.symbols import SymbolStore
from common.market import Instrument
from common.span import MINUTE_MS, Span
from tests.fixtures.postgres import execute

T0 = round(datetime(2024, 5, 5, 23, 58, tzinfo=UTC).timestamp() * 1000)
INSERT = "INSERT INTO ohlcvs VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
MARKETS = [
    Instrument("bitfinex", "BTC", "USDT", "BTCUST", "BTC", "UST"),
    Instrument("bitfinex", "ETH", "USD", "ETHUSD"),
]


@pytest.fixture
async def listed(database: Database) -> Database:
    await SymbolStore(database).upsert("bitfinex", MARKETS, T0)
    return database


async def insert(
    database: Database, minute: int, *values: float | None, base: str = "BTC", quote: str = "USDT"
) -> None:
    async with database.connection() as connection:
        await connection.execute(INSERT, T0 + minute * MINUTE_MS, "bitfinex", base, quote, *values)


async def rows(database: Database, query: str = "SELECT * FROM candles ORDER BY 1, 2") -> list[tuple]:
    async with database.connection() as connection:
        return [tuple(row) for row in await connection.fetch(query)]


async def test_an_inserted_candle_is_the_record_and_shows_in_every_bar_at_once(listed: Database) -> None:
    await insert(listed, 0, 1.0, 3.0, 0.5, 2.0, 0.1)
    await insert(listed, 1, 2.0, 2.5, 1.5, 1.75, 0.2, quote="UST")
    await insert(listed, 2, 9.0, 9.0, 9.0, 9.0, 1.0, base="eth", quote="usd")
    assert await rows(listed) == [
        (1, T0, 1.0, 3.0, 0.5, 2.0, 0.1, None, None, 3),
        (1, T0 + MINUTE_MS, 2.0, 2.5, 1.5, 1.75, 0.2, None, None, 3),
        (2, T0 + 2 * MINUTE_MS, 9.0, 9.0, 9.0, 9.0, 1.0, None, None, 3),
    ]
    week = T0 + 2 * MINUTE_MS - 7 * 86_400_000  # Monday
    wanted = [(week, "bitfinex", "BTC", "USDT", 1.0, 3.0, 0.5, 1.75, 0.3)]
    bars = "SELECT * FROM ohlcvs_summary_7day WHERE base_id = 'BTC'"
    assert await rows(listed, bars) == wanted
    assert await RollupStore(listed).dirty_count() == 3
    await RollupStore(listed).refresh()
    assert await rows(listed, bars) == wanted
    covered = await CoverageStore(listed).covered([1, 2])
    assert covered == {
        1: [Span(T0, T0 + 2 * MINUTE_MS)],
        2: [Span(T0 + 2 * MINUTE_MS, T0 + 3 * MINUTE_MS)],
    }


@pytest.mark.parametrize("source", [1, 2, 3])
@pytest.mark.parametrize("close", [1.5, 1.25])
async def test_an_inserted_candle_replaces_by_the_rule_of_sources(
    listed: Database, source: int, close: float
) -> None:
    """As an answer of REST would; but the same values keep what ohlcvs has no column for."""
    before = StoredCandle(1, T0, 1.0, 2.0, 0.5, 1.5, 10.0, 15.0, 7, source)
    await CandleStore(listed).write([before])
    await RollupStore(listed).refresh()
    await insert(listed, 0, 1.0, 2.0, 0.5, close, 10.0)
    after = before._replace(source=3, close=close)
    if close != before.close:
        after = after._replace(quote_volume=None, trades=None)
    assert await rows(listed) == [tuple(after)]
    assert await RollupStore(listed).dirty_count() == (0 if after == before else 1)


async def test_many_rows_of_one_statement_are_one_span_of_the_ledger_a_week(listed: Database) -> None:
    async with listed.connection() as connection:
        await connection.execute(
            "INSERT INTO ohlcvs (base_id, quote_id, exchange, time, open, high, low, close, volume) "
            "SELECT 'BTC', 'USDT', 'bitfinex', $1::timestamptz + n * interval '1 minute', n, n + 1, n, n, 1 "
            "FROM generate_series(0, 9) AS n",
            T0,
        )
    monday = T0 + 2 * MINUTE_MS
    assert await rows(listed, "SELECT symbol_id, lower(span), upper(span) FROM rollup_dirty ORDER BY 2") == [
        (1, T0, monday),
        (1, monday, T0 + 10 * MINUTE_MS),
    ]
    assert await CoverageStore(listed).covered([1]) == {1: [Span(T0, T0 + 10 * MINUTE_MS)]}
    assert [row[2] for row in await rows(listed)] == [float(n) for n in range(10)]


async def test_writing_twice_equals_writing_once(listed: Database) -> None:
    await insert(listed, 0, 1.0, 3.0, 0.5, 2.0, 0.1)
    await RollupStore(listed).refresh()
    before = await rows(listed)
    await insert(listed, 0, 1.0, 3.0, 0.5, 2.0, 0.1)
    assert (await rows(listed), await RollupStore(listed).dirty_count()) == (before, 0)


REFUSED: list[tuple[list[Any], str]] = [
    (["binance", "BTC", "USDT", 1, 1, 1, 1, 1], "Unknown market: binance has no BTC/USDT (spot)."),
    (["bitfinex", None, "USDT", 1, 1, 1, 1, 1], "Unknown market: bitfinex has no NULL/USDT (spot)."),
    (["bitfinex", "BTC", "USDT", 1, 1, 1, None, 1], "A candle needs time, open, high, low, close and volume."),
    (["bitfinex", "BTC", "USDT", 1, float("nan"), 1, 1, 1], "Prices and volume must be numbers."),
    (["bitfinex", "BTC", "USDT", 1, 1, 1, 1, float("inf")], "Prices and volume must be numbers."),
]


@pytest.mark.parametrize(("values", "sentence"), REFUSED)
async def test_what_is_no_candle_is_refused_in_one_sentence(
    listed: Database, values: list[Any], sentence: str
) -> None:
    async with listed.connection() as connection:
        with pytest.raises(asyncpg.PostgresError) as told:
            await connection.execute(INSERT, T0, *values)
    assert told.value.args[0] == sentence
    assert [await rows(listed), await rows(listed, "SELECT * FROM coverage")] == [[], []]


async def test_a_candle_within_a_minute_is_refused(listed: Database) -> None:
    async with listed.connection() as connection:
        with pytest.raises(asyncpg.PostgresError) as told:
            await connection.execute(INSERT, T0 + 1000, "bitfinex", "BTC", "USDT", 1, 1, 1, 1, 1)
    assert told.value.args[0] == "A candle starts with its minute, and 2024-05-05 23:58:01+00 does not."


async def test_copy_is_refused_and_says_what_to_do(listed: Database, postgres_url: str) -> None:
    """And it is COPY alone that is refused, not what is inserted while another table is copied into."""
    line = b"2024-05-05 23:58+00\tbitfinex\tBTC\tUSDT\t1\t3\t0.5\t2\t0.1\n"
    execute(
        postgres_url,
        "CREATE TABLE mine (LIKE ohlcvs)",
        "CREATE FUNCTION pass_on() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN INSERT INTO ohlcvs SELECT NEW.*; RETURN NEW; END $$",
        "CREATE TRIGGER pass_on BEFORE INSERT ON mine FOR EACH ROW EXECUTE FUNCTION pass_on()",
    )
    async with listed.connection() as connection:
        with pytest.raises(asyncpg.FeatureNotSupportedError) as told:
            await connection.copy_to_table("ohlcvs", source=io.BytesIO(line))
        assert told.value.args[0] == "COPY into ohlcvs is not possible."
        assert told.value.hint == "COPY into a table of your own, then INSERT INTO ohlcvs SELECT from it."
        assert await rows(listed) == []
        await connection.copy_to_table("mine", source=io.BytesIO(line))
    assert await rows(listed) == [(1, T0, 1.0, 3.0, 0.5, 2.0, 0.1, None, None, 3)]
    execute(postgres_url, "DROP TABLE mine", "DROP FUNCTION pass_on")
