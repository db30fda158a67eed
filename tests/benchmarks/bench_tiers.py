"""What the storage tiers cost and give: reads, one correction, a refresh after a backfill, bytes a row.

On plain and, where a Docker Engine has its image, apache: each against PostgreSQL's own work in the same run.
On timescale, in WebAssembly, only the bytes in columnstore count.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
import uvloop

from app.migrate import raise_tier, upgrade
from app.stores.candles import CandleStore, StoredCandle
from app.stores.database import SESSION, Database, open_database
from app.stores.rollups import RollupStore
from app.tiers import Tier
from common.interval import ROLLUPS
from common.span import MINUTE_MS
from tests.fixtures.bars import list_symbols
from tests.fixtures.postgres import execute, running_postgres
from tests.fixtures.tiers import open_tier, running_apache, running_timescale
from tests.integration.test_recordings import BITFINEX, RECORDINGS, recorded

#: A year that ends with 2023, written newest first in pages as history arrives.
ROWS, PAGE = 525_600, 10_000
END_MS = 1_704_067_200_000
REPEATS = 15
#: A busy machine disturbs most reads of a millisecond or two; the best of so many tells what they cost.
READS = 300
COLUMNS = ("symbol_id", "time", *StoredCandle._fields[2:])
RAW = "CREATE TABLE raw (LIKE candles); ALTER TABLE raw ADD PRIMARY KEY (symbol_id, time); "
RAW_BARS = """
CREATE TABLE raw_bars AS
SELECT symbol_id, bucket, open, high, low, close, volume::float8, quote_volume::float8, trades FROM bars_5min;
CREATE INDEX ON raw_bars (symbol_id, bucket);
ANALYZE
"""
STAGED = "CREATE TEMP TABLE raw_staged (LIKE candles) ON COMMIT DELETE ROWS"
MERGE = (
    "INSERT INTO raw SELECT * FROM raw_staged ON CONFLICT (symbol_id, time) DO UPDATE SET close = excluded.close"
)
BARE = (
    "SELECT bucket, open, high, low, close, volume, quote_volume, trades FROM raw_bars "
    "WHERE symbol_id = 1 AND bucket >= $1 AND bucket < $2 ORDER BY 1 DESC LIMIT 1000"
)
SIZE = """
SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class
WHERE relkind = 'r' AND oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = 'candles'::regclass)
"""
BARS_SIZE = (
    "SELECT sum(pg_total_relation_size(oid))::bigint FROM pg_class WHERE relname ~ '^stored_' AND relkind = 'r'"
)
#: Of all chunks: what is packed, their indexes, and what packing left behind.
PACKED_SIZE = "SELECT hypertable_size('candles')"
BY_STATEMENT = """
INSERT INTO candles (symbol_id, time, open, high, low, close, volume, quote_volume, trades, source)
SELECT symbol_id, to_timestamp(time / 1000), open, high, low, close, volume, quote_volume, trades, source
FROM jsonb_to_recordset($1::jsonb) AS r (symbol_id int, time bigint, open float8, high float8, low float8,
    close float8, volume float8, quote_volume float8, trades int, source int)
"""


def page(number: int) -> list[StoredCandle]:
    """Prices that wander in cents and volumes of eight decimals, as exchanges write them."""
    last_ms = END_MS - number * PAGE * MINUTE_MS
    return [made(last_ms - n * MINUTE_MS) for n in range(PAGE, 0, -1)]


def made(open_ms: int, symbol: int = 1) -> StoredCandle:
    minute = open_ms // MINUTE_MS
    price = 30_000 + (minute * 7919 % 100_003) % 901 / 100 + minute // 60 % 997
    volume = (minute * 104_729 % 1_299_709) / 1e5
    spread = minute % 13 / 100
    return StoredCandle(
        *(symbol, open_ms, price, price + spread, price - spread, price + spread / 2),
        *(volume, round(volume * price, 2), minute % 450, 3),
    )


def pages() -> Iterator[list[StoredCandle]]:
    yield from (page(number) for number in range(ROWS // PAGE))


async def seconds(work: Awaitable[Any]) -> float:
    started = time.perf_counter()
    await work
    return time.perf_counter() - started


def figure(tier: Tier, name: str, value: float, unit: str, against: float | None = None) -> None:
    told: dict[str, Any] = {"name": f"{tier}: {name}", "value": round(value, 2), "unit": unit}
    if against is not None:
        told |= {"against": round(against, 2), "ratio": round(value / against, 3)}
    print(json.dumps(told))


async def raw(database: Database) -> float:
    """Seconds of a staged COPY-and-merge of the same rows into one plain keyed table."""
    took = 0.0
    async with database.connection() as connection:
        await connection.execute(RAW + STAGED)
        for rows in pages():
            took += await seconds(_merge(connection, rows))
    return took


async def _merge(connection: Any, rows: Sequence[StoredCandle]) -> None:
    async with connection.transaction():
        await connection.copy_records_to_table("raw_staged", records=rows, columns=COLUMNS)
        await connection.execute(MERGE)


async def figures(database: Database, tier: Tier, url: str) -> None:
    await list_symbols(database)
    candles, rollups = CandleStore(database), RollupStore(database)
    for rows in pages():
        await candles.write(rows)
    refreshed, merged = await seconds(rollups.refresh()), await raw(database)
    figure(tier, f"refresh after a backfill of {ROWS:,} rows, against COPY and merge", refreshed, "s", merged)
    async with database.connection() as connection:
        size, bars = await connection.fetchval(SIZE), await connection.fetchval(BARS_SIZE)
    written = ROWS // PAGE * PAGE
    figure(tier, "bytes of a 1-minute row with its index, newest first", size / written, "B")
    figure(tier, "bytes of all bars for each of these rows", bars / written, "B")
    assert refreshed <= merged * 1.5
    assert size / written <= 150
    async with database.connection() as connection:
        await connection.execute(RAW_BARS)
    await reads(database, tier, url)
    times = []
    for n in range(REPEATS):
        await candles.write([made(END_MS - (100_000 + n * 20_011) * MINUTE_MS)._replace(close=1.0)])
        times.append(await seconds(rollups.refresh()))
    figure(tier, "one old corrected minute refreshed in eleven timeframes", min(times) * 1000, "ms")


async def reads(database: Database, tier: Tier, url: str) -> None:
    """The newest thousand of each timeframe, in turns with a thousand indexed rows by asyncpg as it comes."""
    candles, bare = CandleStore(database), await asyncpg.connect(url, server_settings=SESSION)
    end = datetime.fromtimestamp(END_MS / 1000, UTC)
    for interval in ROLLUPS:
        ours, against = [], []
        for _ in range(READS):
            ours.append(await seconds(candles.read(1, interval, None, END_MS, 1000)))
            against.append(await seconds(bare.fetch(BARE, end - timedelta(minutes=5000), end)))
        name = f"last 1,000 bars of {interval.value}, against a bare read"
        figure(tier, name, min(ours) * 1e3, "ms", min(against) * 1e3)
        assert min(ours) <= min(against) * 2
    await bare.close()


@pytest.mark.benchmark
@pytest.mark.timeout(900)
@pytest.mark.parametrize("tier", [Tier.PLAIN, Tier.APACHE])
def test_figures_of_a_year(tier: Tier) -> None:
    with ExitStack() as stack:
        if tier is Tier.PLAIN:
            url = stack.enter_context(running_postgres(fast=False)).url("bench")
        else:
            url = f"{stack.enter_context(running_apache())}/bench"
        execute(url.replace("/bench", "/postgres"), "CREATE DATABASE bench")
        if tier is Tier.APACHE:
            execute(url, "CREATE EXTENSION timescaledb")
        upgrade(url)
        raise_tier(url, tier)
        uvloop.run(_with(url, tier))


async def _with(url: str, tier: Tier) -> None:
    database = open_database(url)
    try:
        await figures(database, tier, url)
    finally:
        await database.close()


def recorded_months() -> list[StoredCandle]:
    """All minutes recorded of Bitfinex: six months of four markets, prices and volume as it wrote them."""
    found = [
        StoredCandle(symbol, int(row[0]), *row[1:6], None, None, 3)
        for symbol, files in enumerate(BITFINEX.values(), start=1)
        for file in files
        for row in recorded("bitfinex", file)
    ]
    assert len(found) == len({(row.symbol_id, row.open_ms) for row in found})
    return found


def made_minutes() -> list[StoredCandle]:
    return [row for number in range(9) for row in page(number)]


@pytest.mark.benchmark
@pytest.mark.timeout(900)
@pytest.mark.skipif(not RECORDINGS.is_dir(), reason=f"no recordings at {RECORDINGS}")
def test_bytes_of_recorded_months_in_columnstore() -> None:
    """Chunk stores of the field reach 24.7 bytes."""
    size = packed_bytes(recorded_months(), "of recorded months, prices and volume")
    assert size <= 40


@pytest.mark.benchmark
@pytest.mark.timeout(900)
def test_bytes_of_all_columns_in_columnstore() -> None:
    """No recording of a month has all columns, so these are made up, with and without the further two."""
    packed_bytes(made_minutes(), "made up, all columns")
    plain = [row._replace(quote_volume=None, trades=None) for row in made_minutes()]
    packed_bytes(plain, "made up, prices and volume")


def packed_bytes(rows: list[StoredCandle], which: str) -> float:
    with running_timescale() as url:
        upgrade(url)
        raise_tier(url, Tier.TIMESCALE)
        size = asyncio.run(_packed_bytes(url, rows))
    figure(Tier.TIMESCALE, f"bytes of each of {len(rows):,} 1-minute rows in columnstore, {which}", size, "B")
    return size


async def _packed_bytes(url: str, rows: list[StoredCandle]) -> float:
    database = open_tier(url, Tier.TIMESCALE)
    async with database.connection() as connection:
        for at in range(0, len(rows), 3000):
            part = [dict(zip(COLUMNS, row, strict=True)) for row in rows[at : at + 3000]]
            await connection.execute(BY_STATEMENT, json.dumps(part))
    await RollupStore(database).pack(END_MS + 365 * 1440 * MINUTE_MS)
    async with database.connection() as connection:
        size: int = await connection.fetchval(PACKED_SIZE)
    await database.close()
    return size / len(rows)
