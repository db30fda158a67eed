"""A year of one symbol from monthly archives on this disk into PostgreSQL, fsync on: checksum, unzip, parse, COPY,
ledger, coverage; then the same archives once more, as if nobody remembered that they were imported.

Against a raw binary COPY of the same rows, month by month, into a table with candles' columns and key.
"""

import asyncio
import json
import tempfile
import time
from collections.abc import Awaitable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import uvloop

from app.imports.mirror import FolderMirror
from app.imports.unpack import unpack
from app.imports.vision import VisionImport
from app.migrate import upgrade
from app.stores.archives import ArchiveStore
from app.stores.database import Database, open_database
from app.stores.errors import ErrorStore
from app.stores.symbols import SymbolStore
from common.clock import Clock
from common.market import Instrument
from common.span import Span
from fetchers.binance_vision import months
from tests.fixtures import archives
from tests.fixtures.postgres import execute, running_postgres

YEAR = Span(*(round(datetime(year, 1, 1, tzinfo=UTC).timestamp() * 1000) for year in (2023, 2024)))
ROWS = YEAR.minutes()
COLUMNS = ("symbol_id", "time", "open", "high", "low", "close", "volume", "quote_volume", "trades", "source")


async def seconds(work: Awaitable[Any]) -> float:
    started = time.perf_counter()
    await work
    return time.perf_counter() - started


async def year(database: Database, folder: Path) -> None:
    """Import what of the year is not known to be imported."""
    symbols = await SymbolStore(database).load()
    stores = ArchiveStore(database), ErrorStore(database)
    job = VisionImport(FolderMirror(folder), *stores, Clock(), lambda told: None, lambda: None)
    await job.run([symbols["binance:spot:BTC/USDT"]], YEAR)


async def raw(database: Database, folder: Path) -> float:
    took = 0.0
    async with database.connection() as connection:
        await connection.execute("CREATE TABLE raw_candles (LIKE candles, PRIMARY KEY (symbol_id, time))")
    for month in months("BTCUSDT", YEAR):
        rows = (await asyncio.to_thread(unpack, folder / month.path, month, 1)).rows
        async with database.begin() as connection:
            took += await seconds(connection.copy_records_to_table("raw_candles", records=rows, columns=COLUMNS))
    return took


async def measure(database: Database, folder: Path) -> dict[str, float]:
    await SymbolStore(database).upsert("binance", [Instrument("binance", "BTC", "USDT", "BTCUSDT")], 1)
    took = {"a year of archives": await seconds(year(database, folder)), "raw": await raw(database, folder)}
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM candles") == ROWS
        await connection.execute("DELETE FROM imported_archives")
    took["the same archives again, forgotten"] = await seconds(year(database, folder))
    took["the same archives again, remembered"] = await seconds(year(database, folder))
    return took


async def whole(url: str, folder: Path) -> dict[str, float]:
    database = open_database(url)
    try:
        return await measure(database, folder)
    finally:
        await database.close()


@pytest.mark.benchmark
def test_a_year_of_archives() -> None:
    with tempfile.TemporaryDirectory() as name, running_postgres(fast=False) as server:
        for month in months("BTCUSDT", YEAR):
            archives.write(Path(name), month, archives.text(month))
        execute(server.url("postgres"), "CREATE DATABASE bench")
        upgrade(server.url("bench"))
        took = uvloop.run(whole(server.url("bench"), Path(name)))
    against = took.pop("raw")
    for what, took_s in took.items():
        told = {"name": f"import, {what}", "value": round(ROWS / took_s), "unit": "candles/s"}
        print(json.dumps(told | {"seconds": round(took_s, 2), "ratio to raw COPY": round(against / took_s, 3)}))
