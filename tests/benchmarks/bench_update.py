"""Closed candles into PostgreSQL, fsync on: what `update` writes, and the whole of `update` from the Redis stream.

What it writes is sources, ledger, coverage and yearly partitions; the whole reads, decodes and acknowledges as
well, while the rollups follow beside it. Each against a raw staged COPY-and-merge of the same rows into one plain
keyed table, which knows none of these.
"""

import asyncio
import gc
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
import uvloop
from redis.asyncio import Redis

from app.jobs.update import run_update
from app.messages import encode, from_candle
from app.migrate import upgrade
from app.stores.candles import CandleStore, StoredCandle
from app.stores.closed_stream import ClosedStream
from app.stores.database import Database, open_database
from app.stores.errors import ErrorStore
from app.stores.latest import CLOSED_CANDLES
from app.stores.rollups import RollupStore
from app.stores.symbols import SymbolStore
from common.clock import Clock
from common.market import Candle, Instrument, Source
from common.span import MINUTE_MS, Span
from tests.fixtures.live import running
from tests.fixtures.postgres import execute, running_postgres

SYMBOLS, BATCHES = 2500, 30
MINUTES_A_BATCH = 2
#: The whole job drains this many batches at a time.
ROUND = 5
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
#: Seconds that ours and raw took, in turns, so that a busy machine slows both alike.
Times = list[tuple[float, float]]


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


async def seconds(work: Awaitable[Any]) -> float:
    started = time.perf_counter()
    await work
    return time.perf_counter() - started


async def write_alone(database: Database, redis: Redis) -> Times:
    """Of each batch."""
    store = CandleStore(database)
    async with database.connection() as connection:
        await connection.execute(RAW_TABLES)
        batches = [batch(number) for number in range(BATCHES)]
        return [
            (await seconds(ours(store, rows, minutes(rows))), await seconds(raw(connection, rows)))
            for rows in batches
        ]


class Counted(ClosedStream):
    """Knows when `left` more entries are acknowledged, and so are committed."""

    def __init__(self, redis: Redis, left: int) -> None:
        super().__init__(redis, "bench")
        self.left = left
        self.done = asyncio.Event()

    async def ack(self, ids: Sequence[str]) -> None:
        await super().ack(ids)
        self.left -= len(ids)
        if not self.left:
            self.done.set()


async def whole_job(database: Database, redis: Redis) -> Times:
    """Of each round: until all is acknowledged, and of the same rows raw."""
    names = [Instrument("binance", f"C{number}", "USDT", "") for number in range(1, SYMBOLS + 1)]
    await SymbolStore(database).upsert("binance", names, FIRST_MS)
    candles, rollups, times = CandleStore(database), RollupStore(database), []
    async with database.connection() as connection:
        await connection.execute(RAW_TABLES)
        for at in range(0, BATCHES, ROUND):
            batches = [batch(number) for number in range(at, at + ROUND)]
            await fill_stream(redis, [row for rows in batches for row in rows])
            closed = Counted(redis, ROUND * SYMBOLS * MINUTES_A_BATCH)
            job = run_update(closed, candles, SymbolStore(database), rollups, ErrorStore(database), Clock())
            async with running(job):
                took = await seconds(closed.done.wait())
                await rollups.refresh()  # it has ended before raw begins
            times.append((took, sum([await seconds(raw(connection, rows)) for rows in batches])))
        assert await connection.fetchval("SELECT count(*) FROM candles") == BATCHES * SYMBOLS * MINUTES_A_BATCH
    return times


async def fill_stream(redis: Redis, rows: Sequence[StoredCandle]) -> None:
    """As the live path does when it closes these."""
    pipe = redis.pipeline(transaction=False)
    for row in rows:
        one = Candle(Instrument("binance", f"C{row.symbol_id}", "USDT", ""), *row[1:-1], Source(row.source))
        pipe.xadd(CLOSED_CANDLES, {"candle": encode(from_candle(one, row.open_ms + MINUTE_MS))})
    await pipe.execute()


async def measure(work: Callable[[Database, Redis], Awaitable[Times]], redis_url: str) -> Times:
    with running_postgres(fast=False) as server:
        execute(server.url("postgres"), "CREATE DATABASE bench")
        await asyncio.to_thread(upgrade, server.url("bench"))
        database = open_database(server.url("bench"))
        async with Redis.from_url(redis_url) as redis:
            times = await work(database, redis)
        await database.close()
    return times


def figure(name: str, rows: int, times: Times) -> float:
    """Print it; the ratio. The best of each, so that a busy machine slows both alike."""
    value, against = rows / min(ours for ours, _ in times), rows / min(raw for _, raw in times)
    told = {"name": name, "value": round(value), "unit": "rows/s", "against": round(against)}
    print(json.dumps(told | {"ratio": round(value / against, 3)}))
    return value / against


@pytest.mark.benchmark
def test_update_writes_at_half_the_rate_of_a_raw_merge(redis_url: str) -> None:
    times = uvloop.run(measure(write_alone, redis_url))
    assert figure("update, closed candles to PostgreSQL", SYMBOLS * MINUTES_A_BATCH, times) >= 0.5


@pytest.mark.benchmark
def test_the_whole_of_update_keeps_up(redis_url: str) -> None:
    gc.freeze()  # as the command does
    times = uvloop.run(measure(whole_job, redis_url))
    gc.unfreeze()
    figure("update, Redis stream to committed, rollups beside it", ROUND * SYMBOLS * MINUTES_A_BATCH, times)
