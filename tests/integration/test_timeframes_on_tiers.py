"""Any timeframe, and candles inserted by hand, on every storage tier."""

from datetime import UTC, datetime

import pytest

from app.stores.candles import CandleStore, StoredCandle
from app.stores.database import Database
from app.stores.rollups import RollupStore
from app.stores.symbols import SymbolStore
from common.market import Bar, Instrument
from common.span import DAY_MS, MINUTE_MS
from common.timeframe import parse
from tests.fixtures.web import aggregate, minutes

T0 = round(datetime(2024, 3, 30, 22, tzinfo=UTC).timestamp() * 1000)
BARS = minutes(
    [T0 + at * MINUTE_MS for at in (*range(0, 3000, 7), *(-400 * 1440 + at for at in range(0, 900, 13)))]
)
FRAMES = [
    ("7m", None),
    ("8h", None),
    ("3D", None),
    ("1W", None),
    ("3M", None),
    ("1D", "Europe/Berlin"),
    ("1Y", "-03:30"),
]


def same(found: list[Bar], wanted: list[Bar]) -> bool:
    """Everything bit by bit, but a sum of volumes within the last digit."""
    return [bar._replace(volume=pytest.approx(bar.volume, rel=1e-12)) for bar in wanted] == found


async def test_any_timeframe_is_the_aggregate_of_its_minutes_after_writes_refreshes_and_inserts(
    tier_database: Database,
) -> None:
    store = CandleStore(tier_database)
    await SymbolStore(tier_database).upsert("binance", [Instrument("binance", "BTC", "USDT", "BTCUSDT")], T0)
    await store.write([StoredCandle(1, *bar, 3) for bar in BARS[::2]])
    await RollupStore(tier_database).refresh()
    await store.write([StoredCandle(1, *bar, 3) for bar in BARS[1::2]])
    hand = Bar(T0 + DAY_MS, 1.0, 9.0, 0.5, 2.0, 0.25)
    by_hand = "INSERT INTO ohlcvs VALUES ($1, 'binance', 'BTC', 'USDT', $2, $3, $4, $5, $6)"
    for refreshed in (False, True):
        async with tier_database.connection() as connection:
            await connection.execute(by_hand, *hand[:6])
        if refreshed:
            await RollupStore(tier_database).refresh()
        now = sorted({bar.open_ms: bar for bar in [*BARS, hand]}.values())
        for text, zone in FRAMES:
            timeframe = parse(text, zone)
            found = await store.bars(1, timeframe, None, T0 + 9 * DAY_MS, 10_000)
            assert same(found, aggregate(now, timeframe)), (text, zone)
