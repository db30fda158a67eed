"""Recorded days roll up, on every storage tier, to what a few lines of arithmetic say of them."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import groupby
from typing import Any

import pytest

from app.stores.candles import CandleStore, StoredCandle
from app.stores.database import Database
from app.stores.rollups import RollupStore
from common.interval import ROLLUPS
from tests.fixtures.bars import FAR_MS, list_symbols
from tests.integration.test_recordings import RECORDINGS, recorded

pytestmark = [
    pytest.mark.skipif(not RECORDINGS.is_dir(), reason=f"no recordings at {RECORDINGS}"),
    pytest.mark.timeout(900),
]
FILES = [
    ("binance", "klines_rest12_BTCUSDT_1m_2020-12-01.csv.gz"),
    ("bitfinex", "rest_hist_raw_1m_tBTCUSD_2018-08-10_desc.json"),
]
MONDAY = datetime(2000, 1, 3, tzinfo=UTC)
WIDTHS = {
    "5m": 5,
    "15m": 15,
    "30m": 30,
    "1h": 60,
    "3h": 180,
    "6h": 360,
    "12h": 720,
    "1D": 1440,
    "7D": 10_080,
    "14D": 20_160,
}


def bars(name: str, rows: list[list[float]]) -> Iterator[tuple[Any, ...]]:
    """The bucket's start, open, high, low, close, volume; with the calendar of Python's datetime."""

    def start(row: list[float]) -> datetime:
        moment = datetime.fromtimestamp(row[0] / 1000, UTC)
        if name == "1M":
            return moment.replace(day=1, hour=0, minute=0)
        return moment - (moment - MONDAY) % timedelta(minutes=WIDTHS[name])

    for bucket, members in groupby(rows, start):
        part = list(members)
        volume = sum(Decimal(f"{row[5]:.15g}") for row in part)
        opened, highest, lowest = part[0][1], max(row[2] for row in part), min(row[3] for row in part)
        yield round(bucket.timestamp() * 1000), opened, highest, lowest, part[-1][4], float(volume)


@pytest.mark.parametrize(("exchange", "file"), FILES)
async def test_recorded_days_roll_up_to_values_computed_apart(
    tier_database: Database, exchange: str, file: str
) -> None:
    await list_symbols(tier_database)
    rows = recorded(exchange, file)
    store = CandleStore(tier_database)
    await store.write([StoredCandle(1, int(row[0]), *row[1:6], None, None, 3) for row in rows])
    expected = {interval.value: list(bars(interval.value, rows)) for interval in ROLLUPS}
    for _ in ("from the minutes", "as stored"):
        seen = {
            interval.value: [bar[:6] for bar in await store.read(1, interval, None, FAR_MS, 10_000)]
            for interval in ROLLUPS
        }
        assert seen == expected
        await RollupStore(tier_database).refresh()
