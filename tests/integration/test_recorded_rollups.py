"""Recorded days roll up, on every storage tier, to what polars says of them."""

from typing import Any

import pytest

from app.stores.candles import CandleStore, StoredCandle
from app.stores.database import Database
from app.stores.rollups import RollupStore
from common.interval import ROLLUPS
from tests.fixtures.bars import FAR_MS, list_symbols
from tests.integration.test_recordings import RECORDINGS, recorded

pl = pytest.importorskip("polars", reason="polars is not installed; the image leaves it out")
pytestmark = [
    pytest.mark.skipif(not RECORDINGS.is_dir(), reason=f"no recordings at {RECORDINGS}"),
    pytest.mark.timeout(900),
]
FILES = [
    ("binance", "klines_rest12_BTCUSDT_1m_2020-12-01.csv.gz"),
    ("bitfinex", "rest_hist_raw_1m_tBTCUSD_2018-08-10_desc.json"),
]
#: In polars' words: how wide, and how far from 1970-01-01, a Thursday, the first starts. Ours count from a Monday.
BUCKETS = {
    "5m": ("5m", "0d"),
    "15m": ("15m", "0d"),
    "30m": ("30m", "0d"),
    "1h": ("1h", "0d"),
    "3h": ("3h", "0d"),
    "6h": ("6h", "0d"),
    "12h": ("12h", "0d"),
    "1D": ("1d", "0d"),
    "7D": ("1w", "0d"),  # a week of polars' is one that starts on Monday
    "14D": ("14d", "11d"),  # 2000-01-03 is 782 fortnights and eleven days after 1970-01-01
    "1M": ("1mo", "0d"),
}
Bars = list[tuple[Any, ...]]


def by_polars(name: str, rows: list[list[float]]) -> Bars:
    """The bucket's start in milliseconds, open, high, low, close, volume."""
    columns = ("time", "open", "high", "low", "close", "volume")
    frame = pl.DataFrame([row[:6] for row in rows], schema=dict.fromkeys(columns, pl.Float64), orient="row")
    frame = frame.with_columns(pl.col("time").cast(pl.Int64).cast(pl.Datetime("ms", "UTC"))).sort("time")
    every, offset = BUCKETS[name]
    bars = frame.group_by_dynamic("time", every=every, offset=offset).agg(
        pl.col("open").first(),
        pl.col("high").max(),
        pl.col("low").min(),
        pl.col("close").last(),
        pl.col("volume").sum(),
    )
    return bars.with_columns(pl.col("time").dt.epoch("ms")).rows()


def about(bars: Bars) -> Bars:
    """Prices as they are; polars sums volumes as binary fractions, so that they agree in twelve digits."""
    return [(*bar[:5], pytest.approx(bar[5], rel=1e-12)) for bar in bars]


@pytest.mark.parametrize(("exchange", "file"), FILES)
async def test_recorded_days_roll_up_to_values_computed_apart(
    tier_database: Database, exchange: str, file: str
) -> None:
    await list_symbols(tier_database)
    rows = recorded(exchange, file)
    store = CandleStore(tier_database)
    await store.write([StoredCandle(1, int(row[0]), *row[1:6], None, None, 3) for row in rows])
    expected = {interval.value: about(by_polars(interval.value, rows)) for interval in ROLLUPS}
    assert all(expected.values())
    for _ in ("from the minutes", "as stored"):
        seen = {
            interval.value: [bar[:6] for bar in await store.read(1, interval, None, FAR_MS, 10_000)]
            for interval in ROLLUPS
        }
        assert seen == expected
        await RollupStore(tier_database).refresh()
