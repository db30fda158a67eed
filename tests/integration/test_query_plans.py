"""Filters by name reach the indexes of bars and candles."""

from typing import Any

import pytest

from app.stores.candles import SUFFIXES
from app.stores.database import Database
from common.interval import ROLLUPS

#: A hundred markets with two hundred bars of each timeframe, made in place, and a ledger that is not empty.
MARKETS = """
INSERT INTO symbol_exchange (exchange, base_id, quote_id, symbol)
SELECT 'binance', 'B' || n, 'USDT', 'B' || n || 'USDT' FROM generate_series(1, 100) AS n;
INSERT INTO candles SELECT id, timestamptz '2021-01-01 00:00+00' + n * interval '1 minute', 1, 1, 1, 1, 1, 1, 1, 3
FROM symbol_exchange CROSS JOIN generate_series(0, 199) AS n;
INSERT INTO rollup_dirty (symbol_id, span)
SELECT id, '[2021-01-01 00:00+00, 2021-01-01 00:05+00)' FROM symbol_exchange;
"""
BARS = """
INSERT INTO stored_{suffix}
SELECT id, bucket_{suffix}_end(timestamptz '2021-01-01 00:00+00' + n * interval '31 days'), 1, 1, 1, 1, 1, 1, 1
FROM symbol_exchange CROSS JOIN generate_series(0, 199) AS n;
"""


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(node for child in plan.get("Plans", []) for node in nodes(child))]


@pytest.mark.parametrize("since", ["", " AND bucket >= '2020-12-01 00:00+00' AND bucket < '2022-01-01 00:00+00'"])
async def test_a_view_filtered_by_names_scans_no_table_of_bars(database: Database, since: str) -> None:
    suffixes = [SUFFIXES[interval] for interval in ROLLUPS]
    async with database.connection() as connection:
        await connection.execute(MARKETS + "".join(BARS.format(suffix=suffix) for suffix in suffixes) + "ANALYZE")
        for suffix in suffixes:
            (explained,) = await connection.fetchval(
                f"EXPLAIN (ANALYZE, FORMAT JSON) SELECT * FROM ohlcvs_summary_{suffix} "
                f"WHERE exchange = 'binance' AND base_id = 'B7' AND quote_id = 'USDT'{since}"
            )
            names = ("stored_", "candles")
            scans = [node for node in nodes(explained["Plan"]) if node.get("Relation Name", "").startswith(names)]
            done = [node for node in scans if node["Actual Loops"]]
            assert f"stored_{suffix}" in {node["Relation Name"] for node in done}
            assert [node for node in done if node["Node Type"] == "Seq Scan"] == []
            # One symbol's rows were read, out of a hundred.
            assert sum(node["Actual Rows"] * node["Actual Loops"] for node in done) <= 400
