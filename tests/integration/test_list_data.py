"""`candlehouse list-data`: which markets have candles, from when to when, and how many."""

import asyncio
import json
from datetime import UTC, datetime

import pytest

from app.stores.candles import CandleStore, StoredCandle
from app.stores.database import Database
from app.stores.rollups import RollupStore
from app.stores.sizes import Count, SizeStore
from app.stores.symbols import SymbolStore
from common.span import DAY_MS, MINUTE_MS, Span
from scripts.commands.list_data import NOTHING
from tests.fixtures.command_line import CommandLine, candlehouse
from tests.fixtures.simulator import simulator
from tests.fixtures.web import BTC, PEPE, UST, every_minute, minutes, store

__all__ = ["candlehouse", "simulator"]

T0 = round(datetime(2024, 1, 1, tzinfo=UTC).timestamp() * 1000)


@pytest.fixture
async def filled(database: Database) -> Database:
    """Three days of one market, a hole in them; four minutes of another exchange's; a market without any."""
    await store(database, BTC, minutes([*every_minute(T0, 100), *every_minute(T0 + 3 * DAY_MS, 20)]))
    await store(database, PEPE, [])
    await store(database, UST, minutes(every_minute(T0 + DAY_MS, 4)))
    return database


async def test_markets_with_candles_are_listed_with_their_first_and_last_minutes(
    candlehouse: CommandLine, filled: Database
) -> None:
    status, said = await asyncio.to_thread(candlehouse, "list-data", "--show-timerange")
    assert (status, said.splitlines()) == (
        0,
        [
            "exchange  market               first              last  candles",
            "binance   BTC/USDT  2024-01-01T00:00  2024-01-04T00:19      120",
            "bitfinex  BTC/USDT  2024-01-02T00:00  2024-01-02T00:03        4",
            "2 markets with 1-minute candles, of which every timeframe is made.",
        ],
    )


async def test_programs_get_a_line_of_json_a_market(candlehouse: CommandLine, filled: Database) -> None:
    status, said = await asyncio.to_thread(
        candlehouse,
        "list-data",
        "--json",
        "--show-timerange",
        "--exchange",
        "binance",
        "--symbols",
        "btcusdt,PEPE/USDT",
    )
    name = {"exchange": "binance", "base_id": "BTC", "quote_id": "USDT", "symbol": "BTCUSDT"}
    told = {"first": T0, "last": T0 + 3 * DAY_MS + 19 * MINUTE_MS, "candles": 120, "exact": True}
    assert (status, [json.loads(line) for line in said.splitlines()]) == (0, [name | told])
    status, said = await asyncio.to_thread(candlehouse, "list-data", "--json", "--exchange", "binance")
    assert (status, json.loads(said)) == (0, name)


async def test_an_empty_database_says_what_to_do(candlehouse: CommandLine, database: Database) -> None:
    assert await asyncio.to_thread(candlehouse, "list-data") == (0, NOTHING + "\n")
    assert await asyncio.to_thread(candlehouse, "list-data", "--json") == (0, "")


@pytest.mark.parametrize(
    ("arguments", "words"), [(["--exchange", "mtgox"], "mtgox"), (["--symbols", "BTC/USDT"], "--exchange")]
)
async def test_a_mistake_is_one_sentence(
    candlehouse: CommandLine, database: Database, arguments: list[str], words: str
) -> None:
    status, said = await asyncio.to_thread(candlehouse, "list-data", *arguments)
    assert (status, words in said, len(said.splitlines())) == (2, True, 1)


async def test_candles_of_more_than_a_month_are_told_by_some_of_their_days_on_every_tier(
    tier_database: Database,
) -> None:
    """Every fourth minute of fifty days; their bars outlast the ten days before."""
    await SymbolStore(tier_database).upsert("binance", [BTC], T0)
    bars = [(T0 + at * MINUTE_MS, 1.0, 1.0, 1.0, 1.0, 1.0) for at in range(0, 50 * 1440, 4)]
    await CandleStore(tier_database).write([StoredCandle(1, *bar, None, None, 3) for bar in bars])
    span = Span(T0, bars[-1][0] + MINUTE_MS)
    sizes = SizeStore(tier_database)
    assert await sizes.counts({1: span}) == {1: Count(50 * 360, exact=True)}
    await RollupStore(tier_database).refresh()
    assert await sizes.counts({1: span}) == {1: Count(50 * 360, exact=False)}
    kept = Span(T0 + 10 * DAY_MS, span.end_ms)
    assert await sizes.counts({1: kept}) == {1: Count(40 * 360, exact=False)}
