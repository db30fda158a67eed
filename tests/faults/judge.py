"""What must be true after a round, whatever was killed: the whole database, and what the exchange was asked."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

from app.stores.candles import SUFFIXES, StoredCandle
from app.stores.database import Database
from common.interval import ROLLUPS
from common.span import DAY_MS, Span
from tests.fixtures.bars import aggregate
from tests.fixtures.instance import is_candle_request
from tests.fixtures.simulator import Simulator

_NOTHING_LEFT = """
SELECT (SELECT count(*) FROM fetch_leases) AS leases,
    (SELECT count(*) FROM fetch_jobs WHERE state IN ('queued', 'running')) AS jobs,
    (SELECT count(*) FROM ohlcvs_errors WHERE repaired_at IS NULL) AS failures
"""
_BARS = (
    "SELECT bucket, open, high, low, close, volume::float8 FROM exact_{}($1, '-infinity', 'infinity') ORDER BY 1"
)


async def judge_database(database: Database, simulator: Simulator, exchange: str, span: Span) -> int:
    """Every candle, what is covered and wanted, every bar; how many candles there are."""
    async with database.connection() as connection:
        left = await connection.fetchrow(_NOTHING_LEFT)
        assert tuple(left) == (0, 0, 0), f"something is left: {dict(left)}"
        everything = await connection.fetch("SELECT * FROM candles ORDER BY symbol_id, time")
        markets = await connection.fetch(
            "SELECT id, base_id, quote_id FROM symbol_exchange WHERE exchange = $1 AND quote_id = 'USDT'"
            " AND base_id IN ('BTC', 'ETH')",
            exchange,
        )
        coverage = await connection.fetch(
            "SELECT symbol_id, lower(covered), upper(covered), covered = wanted,"
            " (SELECT count(*) FROM unnest(covered)) FROM coverage ORDER BY 1"
        )
    assert [tuple(row) for row in coverage] == [(row["id"], *span, True, 1) for row in sorted(markets)]
    stored: dict[int, list[StoredCandle]] = {row["id"]: [] for row in markets}
    for row in everything:
        stored[row["symbol_id"]].append(StoredCandle(*row))
    for market in markets:
        rows = stored[market["id"]]
        truth = simulator.truth(exchange, market["base_id"], market["quote_id"], *span)
        assert [list(row[1:7]) for row in rows] == truth
        await _judge_bars(database, market["id"], rows)
    return len(everything)


async def _judge_bars(database: Database, symbol_id: int, rows: list[StoredCandle]) -> None:
    async with database.connection() as connection:
        for interval in ROLLUPS:
            bars = await connection.fetch(_BARS.format(SUFFIXES[interval]), symbol_id)
            assert [tuple(bar) for bar in bars] == [bar[:6] for bar in aggregate(interval, rows)], interval


def asked_again(log: Iterable[Mapping[str, Any]], exchange: str) -> int:
    """How many pages were answered in full though some minute of theirs had been before."""
    answered: dict[str, list[Span]] = {}
    again = 0
    for entry in filter(is_candle_request, log):
        if entry.get("status") != 200 or entry.get("cut"):
            continue
        market, span = asked_span(exchange, entry)
        before = answered.setdefault(market, [])
        again += any(not span.clip(one).is_empty() for one in before)
        before.append(span)
    return again


def asked_span(exchange: str, entry: Mapping[str, Any]) -> tuple[str, Span]:
    """The market and the minutes that a candle request is about, as each exchange spells them."""
    query = {name: values[0] for name, values in parse_qs(str(entry["query"])).items()}
    if exchange == "binance":
        return query["symbol"], Span(int(query["startTime"]), int(query["endTime"]) + 1)
    if exchange == "bitfinex":
        return str(entry["path"]), Span(int(query["start"]), int(query["end"]) + 1)
    market, _, day = str(entry["path"]).partition("/candles/TRADE/MINUTE_1/historical/")
    start_ms = int(datetime(*map(int, day.split("/")), tzinfo=UTC).timestamp() * 1000)
    return market, Span(start_ms, start_ms + DAY_MS)
