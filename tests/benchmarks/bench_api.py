"""GET /api/ohlcvs with a year of minutes stored, against bare reads and a bare handler of the same rows."""

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
from pathlib import Path
from typing import Any

import asyncpg
import pyarrow
import pytest

from app.stores.candles import SUFFIXES
from app.stores.database import open_database, set_millisecond_codec
from app.stores.rollups import RollupStore
from app.stores.symbols import SymbolStore
from common.clock import Clock
from common.interval import Interval
from common.span import DAY_MS, floor_minute
from tests.fixtures.http_load import Load, load
from tests.fixtures.postgres import free_port
from tests.fixtures.web import BTC

ROOT = Path(__file__).parents[2]
REQUESTS = 60
#: A year of minutes out of PostgreSQL, as bare as it goes.
COPIED = """
SELECT time, open, high, low, close, volume FROM candles
WHERE symbol_id = $1 AND time >= $2 AND time < $3 ORDER BY time
"""
#: How long each load is kept up, three times in turn with its rival.
LOAD_S, ROUNDS = 3.0, 3
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
    with running("web.main:app", postgres_url, redis_url) as connection:
        yield connection


@contextmanager
def running(app: str, postgres_url: str, redis_url: str) -> Iterator[http.client.HTTPConnection]:
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", app, "--port", str(port), "--log-level", "warning"]
    command += ["--no-access-log", "--app-dir", str(Path(__file__).parent)]
    paths = os.pathsep.join(map(str, (ROOT, Path(__file__).parent)))
    environment = {**os.environ, "DATABASE_URL": postgres_url, "REDIS_URL": redis_url, "PYTHONPATH": paths}
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


def middling(loads: list[Load]) -> Load:
    return sorted(loads, key=lambda one: one.per_second)[len(loads) // 2]


def told(name: str, value: float, unit: str, against: float) -> None:
    figure = {"name": name, "value": round(value, 2), "unit": unit, "against": round(against, 2)}
    print(json.dumps(figure | {"ratio": round(value / against, 2)}))


@pytest.mark.benchmark
def test_a_thousand_bars_at_one_connection_and_at_many(postgres_url: str, redis_url: str) -> None:
    """By turns with a handler that runs the same query bare: p50 at most 5 ms, 500 a second, 0.6 of its rate."""
    now_ms = floor_minute(Clock().now_ms())
    symbol_id = asyncio.run(fill(postgres_url, now_ms))
    span = f"start={now_ms - 365 * DAY_MS}&end={now_ms - 60_000}"
    ours = f"/api/ohlcvs?exchange=binance&base_id=BTC&quote_id=USDT&interval=1m&format=json&limit=1000&{span}"
    with (
        running("web.main:app", postgres_url, redis_url) as web,
        running("bare_web:app", postgres_url, redis_url) as bare,
    ):
        rows = len(json.loads(asyncio.run(load(web.port, ours, 1, 0.1)).body))
        bares = f"/minutes?symbol_id={symbol_id}&start={now_ms - 365 * DAY_MS}&end={now_ms}&limit={rows}"
        for connections in (1, 32):
            served, rival = [], []
            for _ in range(ROUNDS):
                served.append(asyncio.run(load(web.port, ours, connections, LOAD_S)))
                rival.append(asyncio.run(load(bare.port, bares, connections, LOAD_S)))
            assert served[0].body == rival[0].body
            one, other = middling(served), middling(rival)
            name = f"GET /api/ohlcvs, {rows} minutes of a year, {connections} connections"
            told(f"{name}, median", one.p50_ms, "ms", other.p50_ms)
            told(f"{name}, p99", one.p99_ms, "ms", other.p99_ms)
            told(name, one.per_second, "/s", other.per_second)


def arrow_year(connection: http.client.HTTPConnection, path: str) -> tuple[float, bytes]:
    """Seconds until the last byte, and all of them."""
    started = time.perf_counter()
    connection.request("GET", path)
    answer = connection.getresponse()
    parts = list(iter(lambda: answer.read(1 << 20), b""))
    taken = time.perf_counter() - started
    assert answer.status == 200, parts
    return taken, b"".join(parts)


async def raw_year(url: str, symbol_id: int, start_ms: int, end_ms: int) -> float:
    connection = await asyncpg.connect(url)
    await set_millisecond_codec(connection)

    async def nowhere(piece: bytes) -> None:
        """Only the transport is measured."""

    started = time.perf_counter()
    await connection.copy_from_query(COPIED, symbol_id, start_ms, end_ms, output=nowhere, format="binary")
    taken = time.perf_counter() - started
    await connection.close()
    return taken


@pytest.mark.benchmark
def test_a_year_of_minutes_as_arrow(postgres_url: str, redis_url: str) -> None:
    """By turns with a raw COPY-out of the same rows: at least 0.5 of its rate."""
    now_ms = floor_minute(Clock().now_ms())
    symbol_id = asyncio.run(fill(postgres_url, now_ms))
    start_ms = now_ms - 365 * DAY_MS
    span = f"start={start_ms}&end={now_ms - 60_000}"
    path = f"/api/ohlcvs?exchange=binance&base_id=BTC&quote_id=USDT&interval=1m&format=arrow&{span}"
    served, rival = [], []
    with running_web(postgres_url, redis_url) as web:
        _, body = arrow_year(web, path)
        rows = pyarrow.ipc.open_stream(body).read_all().num_rows
        for _ in range(2 * ROUNDS + 1):
            served.append(arrow_year(web, path)[0])
            rival.append(asyncio.run(raw_year(postgres_url, symbol_id, start_ms, now_ms)))
    assert rows == 365 * 1440
    ours, bare = statistics.median(served), statistics.median(rival)
    told(f"GET /api/ohlcvs, {rows} minutes as Arrow, against COPY", rows / ours, "rows/s", rows / bare)
