"""GET /api/ohlcvs of 500 bars with a year of minutes stored, against a bare asyncpg read of the same rows."""

import asyncio
import http.client
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import asyncpg
import pytest

from app.stores.candles import SUFFIXES
from app.stores.database import open_database
from app.stores.rollups import RollupStore
from app.stores.symbols import SymbolStore
from common.clock import Clock
from common.interval import Interval
from common.span import DAY_MS, floor_minute
from tests.fixtures.postgres import free_port
from tests.fixtures.web import BTC

REQUESTS = 60
START_LIMIT_S = 30
YEAR = """
INSERT INTO candles (symbol_id, time, open, high, low, close, volume, quote_volume, trades, source)
SELECT $1, m, 50000 + sin(n), 50002 + sin(n), 49998 + sin(n), 50001 + sin(n), n % 97 + 0.12345678,
    (n % 97 + 0.12345678) * 50000, n % 450, 3
FROM generate_series($2::timestamptz, $3::timestamptz, '1 minute') WITH ORDINALITY AS t(m, n)
"""


async def fill(url: str, now_ms: int, days: int = 365) -> int:
    database = open_database(url)
    await SymbolStore(database).upsert("binance", [BTC], now_ms)
    symbol = await SymbolStore(database).find("binance", "BTC", "USDT")
    assert symbol is not None
    span = (floor_minute(now_ms) - days * DAY_MS, floor_minute(now_ms))
    async with database.begin() as connection:
        await connection.execute(YEAR, symbol.id, *span)
        dirty = "INSERT INTO rollup_dirty (symbol_id, span) VALUES ($1, tstzrange($2, $3, '[]'))"
        await connection.execute(dirty, symbol.id, *span)
    await RollupStore(database).refresh()
    async with database.connection() as connection:
        await connection.execute("VACUUM ANALYZE")
    await database.close()
    return symbol.id


@contextmanager
def running_web(postgres_url: str, redis_url: str) -> Iterator[http.client.HTTPConnection]:
    """The web as it is run, in a process of its own; yields a kept connection to it."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "web.main:app", "--port", str(port), "--log-level", "warning"]
    environment = {**os.environ, "DATABASE_URL": postgres_url, "REDIS_URL": redis_url}
    process = subprocess.Popen(command, env=environment)
    connection = http.client.HTTPConnection("127.0.0.1", port)
    try:
        deadline = time.monotonic() + START_LIMIT_S
        while time.monotonic() < deadline and process.poll() is None:
            with suppress(OSError):
                connection.connect()
                break
            time.sleep(0.05)
        yield connection
    finally:
        connection.close()
        process.terminate()
        process.wait(START_LIMIT_S)


def ask(connection: http.client.HTTPConnection, interval: str) -> list[Any]:
    """`interval` may bring further parameters along."""
    names = "exchange=binance&base_id=BTC&quote_id=USDT&market_type=spot"
    connection.request("GET", f"/api/ohlcvs?{names}&interval={interval}")
    answer = connection.getresponse()
    body = answer.read()
    assert answer.status == 200, body
    rows: list[Any] = json.loads(body)
    return rows


def timed_requests(connection: http.client.HTTPConnection, interval: str) -> tuple[float, int]:
    times, rows = [], ask(connection, interval)
    for _ in range(REQUESTS):
        started = time.perf_counter()
        ask(connection, interval)
        times.append(time.perf_counter() - started)
    return statistics.median(times) * 1000, len(rows)


async def timed_reads(url: str, symbol_id: int, interval: Interval, limit: int) -> float:
    table, column = ("candles", "time") if interval is Interval.M1 else (f"bars_{SUFFIXES[interval]}", "bucket")
    query = f"""SELECT {column}, open, high, low, close, volume::float8 FROM {table}
        WHERE symbol_id = $1 AND {column} > now() - interval '400 days' ORDER BY {column} DESC LIMIT $2"""
    connection = await asyncpg.connect(url)
    times = []
    for _ in range(REQUESTS):
        started = time.perf_counter()
        rows = await connection.fetch(query, symbol_id, limit)
        times.append(time.perf_counter() - started)
    assert len(rows) >= limit - 1
    await connection.close()
    return statistics.median(times) * 1000


@pytest.mark.benchmark
def test_500_bars_of_any_interval(postgres_url: str, redis_url: str) -> None:
    symbol_id = asyncio.run(fill(postgres_url, Clock().now_ms()))
    with running_web(postgres_url, redis_url) as connection:
        for interval in Interval:
            value, rows = timed_requests(connection, interval.value)
            against = asyncio.run(timed_reads(postgres_url, symbol_id, interval, rows))
            name = f"GET /api/ohlcvs {interval.value}, {rows} bars of a year, median"
            figure = {"name": name, "value": round(value, 2), "unit": "ms"}
            print(json.dumps(figure | {"against": round(against, 2), "ratio": round(value / against, 2)}))
