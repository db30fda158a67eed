"""Timeframes that are not stored, of a market with five years of minutes: by REST, and by candles() in SQL."""

import asyncio
import json
import time

import asyncpg
import pytest

from app.stores.database import SESSION
from common.clock import Clock
from tests.benchmarks.bench_api import fill, running_web, timed_requests

REQUESTS = 30
REST = ["1D&limit=365", "1D&limit=365&tz=Europe/Berlin", "7m", "4h", "1W", "3M", "1Y", "7m&details=true"]
SQL = {
    "365 daily bars": "'1D', newest => 365",
    "365 daily bars of Berlin": "'1D', newest => 365, tz => 'Europe/Berlin'",
    "7m over 30 days": "'7m', now() - interval '40 days', now() - interval '10 days'",
    "4h over five years": "'4h'",
}


async def timed_functions(url: str) -> dict[str, tuple[float, int]]:
    connection = await asyncpg.connect(url, server_settings=SESSION)
    found = {}
    for name, arguments in SQL.items():
        times = []
        for _ in range(REQUESTS):
            started = time.perf_counter()
            rows = await connection.fetch(f"SELECT * FROM candles('binance', 'BTC', 'USDT', {arguments})")
            times.append(time.perf_counter() - started)
        found[name] = min(times) * 1000, len(rows)
    await connection.close()
    return found


@pytest.mark.benchmark
@pytest.mark.timeout(600)
def test_any_timeframe_of_five_years(postgres_url: str, redis_url: str) -> None:
    asyncio.run(fill(postgres_url, Clock().now_ms(), days=5 * 365))
    with running_web(postgres_url, redis_url) as connection:
        for interval in REST:
            value, rows = timed_requests(connection, interval)
            name = f"GET /api/ohlcvs {interval}, {rows} bars, five years stored, median"
            print(json.dumps({"name": name, "value": round(value, 2), "unit": "ms"}))
    for name, (value, rows) in asyncio.run(timed_functions(postgres_url)).items():
        print(json.dumps({"name": f"candles() {name}, {rows} bars, best", "value": round(value, 2), "unit": "ms"}))
