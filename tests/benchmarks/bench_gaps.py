"""Gaps of 500 markets over a year: in SQL, and as `candlehouse gaps` from start to end; counting beside it."""

import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable

import pytest

from app.stores.database import Database, open_database
from app.stores.minutes import MinuteStore
from app.stores.symbols import SymbolStore
from common.clock import Clock
from common.market import Instrument
from common.span import DAY_MS, MINUTE_MS, Span, floor_minute

MARKETS, YEAR_MS = 500, 365 * DAY_MS
#: Holes in what each market was answered for, failures and leases among them, and outages of the exchange.
HOLES, OUTAGES = 40, 30
ROUNDS = 5
#: Markets whose candles are there to be counted, and days of them.
COUNTED, DAYS = 100, 30
COVER = """
INSERT INTO coverage (symbol_id, covered, wanted)
SELECT $1, tstzmultirange(tstzrange($2, $3)) - range_agg(tstzrange(
    to_timestamp(starts / 1000::double precision), to_timestamp(ends / 1000::double precision))),
    tstzmultirange(tstzrange($2, $3))
FROM unnest($4::bigint[], $5::bigint[]) AS holes (starts, ends)
"""
FAILED = """
INSERT INTO ohlcvs_errors (exchange, symbol, start_date, end_date, exception_class, symbol_id, first_at, last_at)
VALUES ('binance', $1, $2, $3, 'Malformed', $4, $2, $3)
"""
OUTAGE = """
INSERT INTO exchange_outages (exchange, span, symbols, evidence, found_at)
VALUES ('binance', tstzrange($1, $2), '{1}', '', $1)
"""
CANDLES = """
INSERT INTO candles (symbol_id, time, open, high, low, close, volume, source)
SELECT $1, m, 1, 2, 0.5, 1, 1, 3
FROM generate_series($2::timestamptz, $3::timestamptz - interval '1 minute', '1 minute') AS m
"""


async def fill(database: Database, now_ms: int) -> list[int]:
    chance = random.Random(1)
    listed = [Instrument("binance", f"C{number:03}", "USDT", f"C{number:03}USDT") for number in range(MARKETS)]
    await SymbolStore(database).upsert("binance", listed, now_ms)
    ids = sorted(one.id for one in (await SymbolStore(database).load("binance")).values())
    year = Span(now_ms - YEAR_MS, now_ms)
    async with database.begin() as connection:
        for symbol_id in ids:
            starts = sorted(
                chance.randrange(YEAR_MS // MINUTE_MS) * MINUTE_MS + year.start_ms for _ in range(HOLES)
            )
            ends = [start_ms + chance.randrange(1, 1000) * MINUTE_MS for start_ms in starts]
            await connection.execute(COVER, symbol_id, *year, starts, ends)
            for start_ms, end_ms in zip(starts[:4], ends[:4], strict=True):
                await connection.execute(FAILED, str(symbol_id), start_ms, end_ms, symbol_id)
        for number in range(OUTAGES):
            start_ms = year.start_ms + number * 12 * DAY_MS
            await connection.execute(OUTAGE, start_ms, start_ms + 7_200_000)
        for symbol_id in ids[:COUNTED]:
            await connection.execute(CANDLES, symbol_id, now_ms - DAYS * DAY_MS, now_ms)
    async with database.connection() as connection:
        await connection.execute("VACUUM ANALYZE")
    return ids


async def timed(work: Callable[[], Awaitable[object]]) -> float:
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        await work()
        times.append(time.perf_counter() - started)
    return statistics.median(times) * 1000


def tell(name: str, value_ms: float) -> None:
    print(json.dumps({"name": name, "value": round(value_ms, 1), "unit": "ms"}))


async def in_process(url: str, now_ms: int) -> None:
    database = open_database(url)
    ids = await fill(database, now_ms)
    store, year = MinuteStore(database), Span(now_ms - YEAR_MS, now_ms)
    gaps = await store.gaps(ids, year, now_ms)
    tell(
        f"gaps of {MARKETS} markets over a year, {len(gaps)} spans, median",
        await timed(lambda: store.gaps(ids, year, now_ms)),
    )

    async def view() -> None:
        async with database.connection() as connection:
            await connection.fetch("SELECT * FROM gaps")

    tell("SELECT * FROM gaps, the same, median", await timed(view))
    month, some = Span(now_ms - DAYS * DAY_MS, now_ms), ids[:COUNTED]
    name = f"of {COUNTED} markets over {DAYS} days, {COUNTED * DAYS * 1440} candles counted, median"
    tell(f"coverage {name}", await timed(lambda: store.markets(some, month, now_ms)))
    days = Span(month.start_ms // DAY_MS * DAY_MS, (now_ms // DAY_MS + 1) * DAY_MS)
    tell(f"coverage day by day {name}", await timed(lambda: store.days(some, days, now_ms)))
    await database.close()


@pytest.mark.benchmark
@pytest.mark.timeout(900)
def test_gaps_of_500_markets_over_a_year(postgres_url: str, redis_url: str) -> None:
    asyncio.run(in_process(postgres_url, floor_minute(Clock().now_ms())))
    environment = {**os.environ, "DATABASE_URL": postgres_url, "REDIS_URL": redis_url}
    for arguments in (["--json"], []):
        started = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "scripts.cli", "gaps", *arguments],
            env=environment,
            capture_output=True,
            check=True,
        )
        name = " ".join(["candlehouse gaps", *arguments])
        tell(f"{name} as a program, {len(done.stdout)} bytes", (time.perf_counter() - started) * 1000)
