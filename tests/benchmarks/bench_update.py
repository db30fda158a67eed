"""Closed candles into PostgreSQL as `update` writes them (sources, ledger, coverage, yearly partitions), fsync on.

Against a raw staged COPY-and-merge of the same rows into one plain keyed table, which knows none of these.
"""

import asyncio
import json
import time
from collections.abc import Awaitable
from typing import Any

import pytest

from app.migrate import upgrade
from app.stores.candles import CandleStore, StoredCandle
from app.stores.database import Database, open_database
from common.span import MINUTE_MS, Span
from tests.fixtures.postgres import execute, running_postgres

SYMBOLS, BATCHES = 2500, 30
MINUTES_A_BATCH = 2
FIRST_MS = 1_700_000_040_000
COLUMNS = ("symbol_id", "time", "open", "high", "low", "close", "volume", "quote_volume", "trades", "source")
RAW_TABLES = """
CREATE TABLE raw_candles (LIKE candles INCLUDING ALL);
CREATE TEMP TABLE raw_staged (LIKE candles) ON COMMIT DELETE ROWS
"""
RAW_MERGE = """
INSERT INTO raw_candles SELECT * FROM raw_staged ON CONFLICT (symbol_id, time) DO UPDATE
SET open = excluded.open, high = excluded.high, low = excluded.low, close = excluded.close,
    volume = excluded.volume, quote_volume = excluded.quote_volume,
    trades = excluded.trades, source = excluded.source
"""


def batch(number: int) -> list[StoredCandle]:
    """Two minutes of every market, as they come: minute by minute."""
    return [
        StoredCandle(
            symbol, FIRST_MS + minute * MINUTE_MS, 1.5, 2.5, 0.5, 1.0 + symbol, 3.3 * minute, 4.4, minute, 2
        )
        for minute in range(number * MINUTES_A_BATCH, (number + 1) * MINUTES_A_BATCH)
        for symbol in range(1, SYMBOLS + 1)
    ]


async def raw(connection: Any, rows: list[StoredCandle]) -> None:
    async with connection.transaction():
        await connection.copy_records_to_table("raw_staged", records=rows, columns=COLUMNS)
        await connection.execute(RAW_MERGE)


async def ours(store: CandleStore, rows: list[StoredCandle], cover: list[tuple[int, Span]]) -> None:
    await store.write(rows, cover=cover)


def minutes(rows: list[StoredCandle]) -> list[tuple[int, Span]]:
    return [(row.symbol_id, Span(row.open_ms, row.open_ms + MINUTE_MS)) for row in rows]


async def seconds(work: Awaitable[None]) -> float:
    started = time.perf_counter()
    await work
    return time.perf_counter() - started


async def compare(database: Database) -> list[tuple[float, float]]:
    """Seconds of each batch, ours and raw in turns, so that a busy machine slows both alike."""
    store = CandleStore(database)
    async with database.connection() as connection:
        await connection.execute(RAW_TABLES)
        batches = [batch(number) for number in range(BATCHES)]
        return [
            (await seconds(ours(store, rows, minutes(rows))), await seconds(raw(connection, rows)))
            for rows in batches
        ]


@pytest.mark.benchmark
async def test_update_writes_at_half_the_rate_of_a_raw_merge() -> None:
    with running_postgres(fast=False) as server:
        execute(server.url("postgres"), "CREATE DATABASE bench")
        await asyncio.to_thread(upgrade, server.url("bench"))
        database = open_database(server.url("bench"))
        times = await compare(database)
        await database.close()
    # The best of each, so that a busy machine slows both alike.
    value, against = (SYMBOLS * MINUTES_A_BATCH / min(each) for each in zip(*times, strict=True))
    figure = {"name": "update, closed candles to PostgreSQL", "value": round(value), "unit": "rows/s"}
    print(json.dumps(figure | {"against": round(against), "ratio": round(value / against, 3)}))
    assert value / against >= 0.5
