"""Filters by name reach the indexes of bars and candles, on every storage tier."""

from typing import Any

import pytest

from app.stores.candles import SUFFIXES, CandleStore
from app.stores.database import Database
from app.stores.rollups import RollupStore
from app.tiers import Tier
from common.interval import ROLLUPS, Interval
from tests.fixtures.bars import FAR_MS, storage_of

#: TimescaleDB in WebAssembly is slow on a busy machine.
pytestmark = pytest.mark.timeout(900)

#: A hundred markets with two hundred bars of each timeframe, made in place, and a ledger that is not empty.
MARKETS = """
INSERT INTO symbol_exchange (exchange, base_id, quote_id, symbol)
SELECT 'binance', 'B' || n, 'USDT', 'B' || n || 'USDT' FROM generate_series(1, 100) AS n;
INSERT INTO candles SELECT id, timestamptz '2021-01-01 00:00+00' + n * interval '1 minute', 1, 1, 1, 1, 1, 1, 1, 3
FROM symbol_exchange CROSS JOIN generate_series(0, 199) AS n;
INSERT INTO rollup_dirty (symbol_id, span)
SELECT id, '[2021-01-01 00:00+00, 2021-01-01 00:05+00)' FROM symbol_exchange;
"""
JANUARY_MS, FEBRUARY_MS, MARCH_MS = 1_609_459_200_000, 1_612_137_600_000, 1_614_556_800_000
BARS = """
INSERT INTO {table}
SELECT id, bucket_{suffix}_end(timestamptz '2021-01-01 00:00+00' + n * interval '31 days'), 1, 1, 1, 1, 1, 1, 1
FROM symbol_exchange CROSS JOIN generate_series(0, 199) AS n;
"""
SUFFIXES_OF_BARS = [SUFFIXES[interval] for interval in ROLLUPS]


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(node for child in plan.get("Plans", []) for node in nodes(child))]


async def fill(database: Database, tier: Tier) -> None:
    async with database.connection() as connection:
        await connection.execute(MARKETS)
        for suffix in SUFFIXES_OF_BARS:
            await connection.execute(BARS.format(suffix=suffix, table=await storage_of(connection, tier, suffix)))
        await connection.execute("ANALYZE")


async def scans(database: Database, suffix: str, since: str) -> list[dict[str, Any]]:
    """The scans of chunks and tables that were done for one market's bars."""
    async with database.connection() as connection:
        (explained,) = await connection.fetchval(
            f"EXPLAIN (ANALYZE, FORMAT JSON) SELECT * FROM ohlcvs_summary_{suffix} "
            f"WHERE exchange = 'binance' AND base_id = 'B7' AND quote_id = 'USDT'{since}"
        )
    names = ("stored_", "candles", "_materialized_", "_hyper_", "compress_hyper_")
    found = [node for node in nodes(explained["Plan"]) if node.get("Relation Name", "").startswith(names)]
    appends = [node for node in found if node.get("Custom Plan Provider") == "ChunkAppend"]
    return [node for node in found if node["Actual Loops"] and node not in appends]


@pytest.mark.parametrize("since", ["", " AND bucket >= '2020-12-01 00:00+00' AND bucket < '2022-01-01 00:00+00'"])
async def test_a_view_filtered_by_names_scans_no_table_of_bars(
    tier_database: Database, tier: Tier, since: str
) -> None:
    await fill(tier_database, tier)
    for packed in [False, True][: 1 + (tier is Tier.TIMESCALE)]:
        if packed:
            await RollupStore(tier_database).pack(FAR_MS)
        for suffix in SUFFIXES_OF_BARS:
            done = await scans(tier_database, suffix, since)
            assert done
            assert [node for node in done if node["Node Type"] == "Seq Scan"] == []
            # One symbol's rows were read, out of a hundred; in columnstore a row of these is a batch of them.
            rows = [node for node in done if not node["Relation Name"].startswith("compress_hyper_")]
            assert sum(node["Actual Rows"] * node["Actual Loops"] for node in rows) <= 400


async def test_stored_bars_answer_where_the_ledger_is_silent_and_minutes_elsewhere(database: Database) -> None:
    """Stored bars of one price, of minutes with another: which of them was read, the answer tells."""
    async with database.connection() as connection:
        await connection.execute(MARKETS + BARS.format(suffix="5min", table="stored_5min"))
        await connection.execute("UPDATE stored_5min SET open = 2, bucket = bucket - interval '31 days 5 minutes'")
    store = CandleStore(database)
    for newest in (True, False):
        first = await store.read(7, Interval.M5, JANUARY_MS, FEBRUARY_MS, 10, newest)
        later = await store.read(7, Interval.M5, FEBRUARY_MS, MARCH_MS, 10, newest)
        assert [(bar.open_ms, bar.open) for bar in first] == [(JANUARY_MS, 1)]
        assert [(bar.open_ms, bar.open) for bar in later] == [(FEBRUARY_MS, 2)]
        assert await store.read(7, Interval.M5, JANUARY_MS - 600_000, JANUARY_MS, 10, newest) == []
