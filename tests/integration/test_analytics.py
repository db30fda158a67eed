"""The analytics mean what they say, on made-up markets small enough to reckon by hand."""

import math
from decimal import Decimal

import pytest

from app.jobs.refresh import refresh
from app.stores import analytics
from app.stores.candles import CandleStore, StoredCandle
from app.stores.database import Database
from app.stores.symbols import SymbolStore
from common.clock import Clock
from common.market import Instrument
from common.span import DAY_MS, MINUTE_MS

pytestmark = pytest.mark.afterpop
#: A Thursday noon.
NOW_MS = 1_699_531_200_000
TODAY_MS = NOW_MS - NOW_MS % DAY_MS


class At(Clock):
    def now_ms(self) -> int:
        return NOW_MS


async def listed(database: Database, *symbols: tuple[str, str, str]) -> list[int]:
    """Ids of (exchange, base, quote)."""
    store = SymbolStore(database)
    for exchange in {exchange for exchange, _, _ in symbols}:
        ours = [
            Instrument(exchange, base, quote, base + quote) for name, base, quote in symbols if name == exchange
        ]
        await store.upsert(exchange, ours, NOW_MS)
    known = await store.load()
    return [known[f"{exchange}:spot:{base}/{quote}"].id for exchange, base, quote in symbols]


def minute(
    symbol: int, open_ms: int, price: float, close: float = 0, volume: float = 1, quote: float | None = None
) -> StoredCandle:
    close = close or price
    return StoredCandle(
        symbol, open_ms, price, max(price, close), min(price, close), close, volume, quote, None, 3
    )


async def store(database: Database, rows: list[StoredCandle]) -> None:
    await CandleStore(database).write(rows)
    await refresh(database, At())


async def in_view(database: Database, view: str) -> list[tuple[object, ...]]:
    """What a person sees who asks for all of a view."""
    async with database.connection() as connection:
        return [tuple(row) for row in await connection.fetch(f"SELECT * FROM {view} ORDER BY 1, 2")]


async def test_weekly_return_is_the_trailing_seven_days(database: Database) -> None:
    (btc,) = await listed(database, ("binance", "BTC", "USDT"))
    week_ms = NOW_MS - 7 * DAY_MS
    rows = [
        minute(btc, week_ms - MINUTE_MS, 1),
        minute(btc, week_ms, 200),
        minute(btc, NOW_MS - MINUTE_MS, 240, 250),
        minute(btc, NOW_MS, 999),
    ]
    await store(database, rows)
    assert [dict(row) for row in await analytics.wr(database, None, None, None)] == [
        {
            "time": week_ms,
            "exchange": "binance",
            "base_id": "BTC",
            "quote_id": "USDT",
            "weekly_return_pct": Decimal("25.0000"),
        }
    ]


async def test_geometric_return_spans_seven_complete_days_and_carries_closes_over_quiet_ones(
    database: Database,
) -> None:
    steady, quiet, fresh, idle = await listed(
        database, *(("binance", base, "USDT") for base in ("AAA", "BBB", "CCC", "DDD"))
    )
    rows = [minute(steady, TODAY_MS - day * DAY_MS, 1, 1.1 ** (8 - day)) for day in range(1, 9)]
    # Its last trade before the week was ten days ago, its last within it three days ago.
    rows += [minute(quiet, TODAY_MS - 10 * DAY_MS, 100), minute(quiet, TODAY_MS - 3 * DAY_MS, 80, 200)]
    # It began two days ago at 4.
    rows += [minute(fresh, TODAY_MS - 2 * DAY_MS, 4, 5), minute(fresh, TODAY_MS - DAY_MS, 6, 9)]
    rows += [minute(idle, TODAY_MS - 20 * DAY_MS, 1)]
    # Today is not complete.
    rows += [minute(symbol, TODAY_MS, 1000) for symbol in (steady, quiet, fresh)]
    await store(database, rows)
    assert {
        row["base_id"]: float(row["daily_return_pct"]) for row in await analytics.geodr(database, None, None, None)
    } == {
        "AAA": 10.0,
        "BBB": round((math.pow(2, 1 / 7) - 1) * 100, 4),
        "CCC": 50.0,
    }


async def test_bounds_are_strict_and_zero_is_a_bound(database: Database) -> None:
    ids = await listed(database, *(("binance", base, "USDT") for base in ("AAA", "BBB", "CCC")))
    for symbol, close in zip(ids, (90.0, 100.0, 120.0), strict=True):
        await store(database, [minute(symbol, NOW_MS - MINUTE_MS, 100, close)])
    seen = [
        [row["base_id"] for row in await analytics.wr(database, upper, lower, limit)]
        for upper, lower, limit in (
            (None, None, None),
            (None, 0, None),
            (0, None, None),
            (20, -10, 5),
            (None, None, 1),
        )
    ]
    assert seen == [["CCC", "BBB", "AAA"], ["CCC"], ["AAA"], ["BBB"], ["CCC"]]


async def test_volumes_of_different_quote_currencies_are_compared_in_dollars(database: Database) -> None:
    btc, btc2, eth, try_, ada = await listed(
        database,
        ("binance", "BTC", "USDT"),
        ("bitfinex", "BTC", "USDT"),
        ("binance", "ETH", "BTC"),
        ("binance", "USDT", "TRY"),
        ("binance", "ADA", "XYZ"),
    )
    at_ms = NOW_MS - 2 * DAY_MS
    rows = [
        minute(btc, at_ms, 20_000, volume=1, quote=20_000),
        minute(btc2, at_ms, 40_000, volume=1),
        minute(eth, at_ms, 0.05, volume=10, quote=0.5),
        minute(try_, at_ms, 25, volume=4, quote=100),
        minute(ada, at_ms, 7, volume=1000),
        minute(btc, NOW_MS - 8 * DAY_MS, 1_000_000, volume=1000),
    ]
    await store(database, rows)
    # A bitcoin is (20,000 + 40,000) / 2 dollars by volume, a lira 1/25; nobody says what an XYZ is worth.
    assert [tuple(row.values()) for row in await analytics.top20qvlm(database)] == [
        ("BTC-USDT", 60_000),
        ("ETH-BTC", 15_000),
        ("USDT-TRY", 4),
    ]
    assert await in_view(database, "top_quoted_vol_by_quote") == [
        ("BTC", "ETH-BTC", Decimal("0.5")),
        ("TRY", "USDT-TRY", 100),
        ("USDT", "BTC-USDT", 60_000),
        ("XYZ", "ADA-XYZ", 7000),
    ]


async def test_twenty_pairs_have_names_and_the_rest_are_other(database: Database) -> None:
    bases = [f"C{number:02}" for number in range(23)]
    ids = await listed(database, *(("binance", base, "USDT") for base in bases))
    await store(database, [minute(one, NOW_MS - DAY_MS, 1, volume=100 - n) for n, one in enumerate(ids)])
    named = [(f"{base}-USDT", 100 - number) for number, base in enumerate(bases[:20])]
    seen = [tuple(row.values()) for row in await analytics.top20qvlm(database)]
    assert seen == sorted([*named, ("Other", 80 + 79 + 78)], key=lambda pair: -pair[1])


async def test_common_pairs_are_those_on_two_exchanges_and_fresh_as_soon_as_symbols_are(
    database: Database,
) -> None:
    await listed(
        database,
        ("binance", "ETH", "BTC"),
        ("binance", "BTC", "USDT"),
        ("bitfinex", "BTC", "USDT"),
        ("bittrex", "ETH", "BTC"),
    )
    assert await in_view(database, "common_basequote_30") == [
        ("BTC", "USDT"),
        ("ETH", "BTC"),
    ]
    await SymbolStore(database).upsert("bittrex", [], NOW_MS + 1)
    assert await in_view(database, "common_basequote_30") == [("BTC", "USDT")]
