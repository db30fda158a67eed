"""Cold backfill by one worker process, fsync on: from response bytes in memory to committed rows, all included.

That is parsing, leases, the merge, the ledger, coverage, failures mended and the job's own count; only Celery, the
network and the rate budget are left out. Against raw binary COPY of ready-made bytes, 100,000 rows a batch, into
the same table in the same run, by turns.
"""

import asyncio
import gc
import json
import resource
import time
from typing import Any

import msgspec
import pytest
import uvloop
from redis.asyncio import Redis

from app.jobs.backfill import Backfill
from app.migrate import upgrade
from app.stores.candles import StoredCandle
from app.stores.copy_binary import COLUMNS, encode
from app.stores.database import Database, open_database
from app.stores.latest import LiveSink
from app.stores.plan import PlanStore
from celery_app.worker_loop import COLLECT
from common.clock import Clock
from common.market import Instrument
from common.ports import Exchange, Request
from common.span import MINUTE_MS, Span
from fetchers import registry
from fetchers.history import Get
from tests.fixtures.postgres import execute, running_postgres

FIRST_MS = 1_577_836_800_000
ROWS, RAW_ROWS, TURNS = 600_000, 100_000, 3
#: The first symbol is ours; raw rows are of the following ones, one a batch.
RAW_SYMBOL = 1000


def row(exchange: str, minute: int) -> list[Any]:
    """As Bitfinex or Binance serve it, of the usual length."""
    open_ms, price = FIRST_MS + minute * MINUTE_MS, 61_000 + minute % 997 / 7
    if exchange == "bitfinex":
        return [open_ms, price, price + 1, price + 2, price - 3, 0.1 + minute % 31 / 3]
    prices = [f"{price + step:.8f}" for step in (0, 2, -3, 1)]
    taken = ["104612.21415600", "78166.63195694", "0"]
    return [open_ms, *prices, f"{0.1 + minute % 31 / 3:.8f}", open_ms + 59_999, "71058.51891400", 82, *taken]


def bodies(exchange: Exchange) -> Get:
    """Answers by the first minute that is asked for, made beforehand."""
    size = exchange.limits.page_minutes
    made = {
        FIRST_MS + at * MINUTE_MS: msgspec.json.encode([row(exchange.name, at + n) for n in range(size)])
        for at in range(0, ROWS, size)
    }

    async def get(request: Request) -> bytes:
        return made[int(request.params.get("start") or request.params["startTime"])]

    return get


async def ours(database: Database, redis: Redis, exchange: Exchange, get: Get, symbol_id: int) -> float:
    """Seconds for ROWS rows."""
    clock = Clock()
    plans = PlanStore(database, clock)
    job_id = await plans.create(exchange.name, [symbol_id], Span(FIRST_MS, FIRST_MS + ROWS * MINUTE_MS))
    markets = {symbol_id: Instrument(exchange.name, "BTC", "USD", "BTCUSD")}
    sink = LiveSink(redis, clock)
    job = Backfill(job_id, f"bench {symbol_id}", exchange, markets, get, plans, clock, sink)
    started = time.perf_counter()
    assert await job.run(600)
    took = time.perf_counter() - started
    assert (await plans.progress(job_id))[:4] == ("done", ROWS, 0, ROWS)
    return took


async def raw(database: Database, symbol_id: int) -> float:
    """Seconds for RAW_ROWS rows."""
    rows = [
        StoredCandle(symbol_id, FIRST_MS + n * MINUTE_MS, 61_000.5, 61_002.5, 60_997.5, 61_001.5, 0.43, 1.5, 82, 3)
        for n in range(RAW_ROWS)
    ]
    data = memoryview(encode(rows))
    async with database.begin() as connection:
        started = time.perf_counter()
        await connection.copy_to_table("candles", source=data, columns=COLUMNS, format="binary")
    return time.perf_counter() - started


async def measure(name: str, redis_url: str) -> list[tuple[float, float]]:
    """Rows a second of ours and of raw, by turns, so that a busy machine slows both alike."""
    exchange, rates = registry.get(name), []
    get = bodies(exchange)
    with running_postgres(fast=False) as server:
        execute(server.url("postgres"), "CREATE DATABASE bench")
        await asyncio.to_thread(upgrade, server.url("bench"))
        database = open_database(server.url("bench"))
        async with Redis.from_url(redis_url) as redis:
            for turn in range(TURNS):
                took = await ours(database, redis, exchange, get, turn + 1)
                bare = [await raw(database, RAW_SYMBOL + turn * 10 + n) for n in range(4)]
                rates.append((ROWS / took, RAW_ROWS / min(bare)))
        await database.close()
    return rates


@pytest.mark.benchmark
@pytest.mark.parametrize("exchange", ["bitfinex", "binance"])
def test_cold_backfill_keeps_a_third_of_the_speed_of_copy(exchange: str, redis_url: str) -> None:
    before = gc.get_threshold()
    gc.freeze()  # as a worker does
    gc.set_threshold(*COLLECT)
    rates = uvloop.run(measure(exchange, redis_url))
    gc.set_threshold(*before)
    gc.unfreeze()
    value, against = max(mine for mine, _ in rates), max(bare for _, bare in rates)
    page = registry.get(exchange).limits.page_minutes
    told = {"name": f"cold backfill, pages of {page:,} rows, one process", "value": round(value)}
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    told |= {"unit": "candles/s", "against": round(against), "ratio": round(value / against, 3)}
    print(json.dumps(told | {"peak_memory_mb": memory_mb}))
    if exchange == "bitfinex":
        assert value / against >= 0.3
