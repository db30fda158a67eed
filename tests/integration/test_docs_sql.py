"""The pages about SQL name every table and view, and what they tell people to type works and is right."""

import math
import re
import statistics
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest

from app.stores.candles import CandleStore, StoredCandle
from app.stores.coverage import CoverageStore
from app.stores.database import Database
from app.stores.symbols import SymbolStore
from common.market import Bar, Instrument
from common.span import DAY_MS, MINUTE_MS, Span
from common.timeframe import parse
from tests.fixtures.web import aggregate, every_minute, minutes

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "reference/sql.md"
RECIPES = DOCS / "howto/ask-in-sql.md"
T0 = round(datetime(2024, 1, 1, tzinfo=UTC).timestamp() * 1000)
HOUR_MS = 60 * MINUTE_MS
#: Two days of a market, without the hours 5 to 7, which were quiet, and 30 to 33, which nobody has answered for.
QUIET, MISSING = Span(T0 + 5 * HOUR_MS, T0 + 7 * HOUR_MS), Span(T0 + 30 * HOUR_MS, T0 + 33 * HOUR_MS)
TIMES = [at for at in every_minute(T0, 2 * 1440) if not (QUIET.has(at) or MISSING.has(at))]
BINANCE = [bar._replace(quote_volume=bar.volume * bar.close, trades=3) for bar in minutes(TIMES)]
BITFINEX = minutes(TIMES[::7], seed=2)
RELATIONS = """
    SELECT relname FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm') AND NOT relispartition
"""


async def test_every_table_and_view_is_described_and_nothing_else(database: Database) -> None:
    async with database.connection() as connection:
        made = {row["relname"] for row in await connection.fetch(RELATIONS)}
    firsts = re.findall(r"^\| (`[^|]+) \|", PAGE.read_text(), re.MULTILINE)
    assert {name for cell in firsts for name in re.findall(r"`(\w+)`", cell)} == made


@pytest.fixture
async def recorded(database: Database) -> Database:
    """Markets of the recipes, with candles, quiet hours and a gap."""
    for market in (
        Instrument("binance", "BTC", "USDT", "BTCUSDT"),
        Instrument("bitfinex", "BTC", "USD", "BTCUSD"),
    ):
        await SymbolStore(database).upsert(market.exchange, [market], T0)
    asked = Span(T0, T0 + 2 * DAY_MS)
    covered = [(1, span) for span in asked.minus([MISSING])]
    await CandleStore(database).write([StoredCandle(1, *bar, 3) for bar in BINANCE], cover=covered)
    await CandleStore(database).write([StoredCandle(2, *bar, 3) for bar in BITFINEX], cover=[(2, asked)])
    await CoverageStore(database).want({1: asked, 2: asked})
    return database


def recipes(page: Path) -> list[str]:
    return re.findall(r"^```sql\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


async def answer(database: Database, words: str) -> list[tuple]:
    (recipe,) = [recipe for recipe in recipes(RECIPES) if words in recipe]
    async with database.connection() as connection:
        return [tuple(row) for row in await connection.fetch(recipe)]


def hours(bars: list[Bar], count: int = 48) -> list[Bar]:
    return [bar for bar in aggregate(bars, parse("1h")) if bar.open_ms < T0 + count * HOUR_MS]


async def test_everything_that_the_pages_say_to_type_works(recorded: Database) -> None:
    for page in (RECIPES, PAGE):
        async with recorded.connection() as connection, connection.transaction():
            for recipe in recipes(page):
                await connection.execute(recipe)
    assert len(recipes(RECIPES)) > 10


async def test_the_average_price_is_weighted_by_volume(recorded: Database) -> None:
    exact, typical = await answer(recorded, "quote_volume / "), await answer(recorded, "(high + low + close) / 3")
    for found, bars, price in (
        (exact, BINANCE, lambda bar: bar.close),
        (typical, BITFINEX, lambda bar: (bar.high + bar.low + bar.close) / 3),
    ):
        wanted = []
        for hour in hours(bars, 24):
            parts = [bar for bar in bars if hour.open_ms <= bar.open_ms < hour.open_ms + HOUR_MS]
            weighted = math.fsum(price(bar) * bar.volume for bar in parts) / math.fsum(bar.volume for bar in parts)
            wanted.append((hour.open_ms, pytest.approx(weighted, rel=1e-12)))
        assert found == wanted
        assert len(found) == 22


async def test_returns_lead_from_each_close_to_the_next(recorded: Database) -> None:
    bars = hours(BINANCE)
    changes = [after.close / before.close for before, after in pairwise(bars)]
    wanted = [(change - 1, math.log(change)) for change in changes]
    found = await answer(recorded, "log_return")
    assert found[0] == (bars[0].open_ms, None, None)
    assert [(row[0], pytest.approx(row[1:], rel=1e-9)) for row in found[1:]] == [
        (bar.open_ms, pair) for bar, pair in zip(bars[1:], wanted, strict=True)
    ]
    days = [
        [log for bar, (_, log) in zip(bars[1:], wanted, strict=True) if (bar.open_ms - T0) // DAY_MS == day]
        for day in (0, 1)
    ]
    assert await answer(recorded, "stddev_samp") == [
        (T0 + day * DAY_MS, pytest.approx(100 * statistics.stdev(logs), rel=1e-9)) for day, logs in enumerate(days)
    ]


async def test_gaps_are_what_was_asked_and_not_answered(recorded: Database) -> None:
    assert await answer(recorded, "c.wanted - c.covered") == [("binance", "BTC", "USDT", *MISSING)]
    assert await answer(recorded, "AS quiet") == [(*QUIET, True), (*MISSING, False)]
    gap = "not_asked", "wanted, but no fetch is at it"
    assert await answer(recorded, "FROM gaps") == [("binance", "spot", "BTC", "USDT", *MISSING, 180, *gap)]


async def test_each_minute_has_a_state(recorded: Database) -> None:
    assert await answer(recorded, "state <> 'present'") == [
        (*QUIET, "empty", None),
        (*MISSING, "not_asked", "wanted, but no fetch is at it"),
    ]
    assert {row[0]: row[1:] for row in await answer(recorded, "AS percent")} == {
        "present": (2880 - 300, Decimal("89.583")),
        "empty": (120, Decimal("4.167")),
        "not_asked": (180, Decimal("6.250")),
    }


async def test_two_markets_stand_side_by_side(recorded: Database) -> None:
    assert await answer(recorded, "spread_pct") == [
        (a.open_ms, a.close, b.close, pytest.approx(100 * (b.close / a.close - 1), rel=1e-9))
        for a, b in zip(hours(BINANCE), hours(BITFINEX), strict=True)
    ]
