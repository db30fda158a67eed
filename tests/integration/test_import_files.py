"""`candlehouse import csv` and `parquet` tell what files hold, refuse bad rows, and store the rest once."""

import gzip
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from pyarrow import parquet

from common.span import MINUTE_MS
from tests.fixtures.command_line import CommandLine, candlehouse
from tests.fixtures.postgres import fetch
from tests.fixtures.simulator import simulator

__all__ = ["candlehouse", "simulator"]

SHARED = Path(os.environ.get("CANDLEHOUSE_SHARED") or Path(__file__).parents[3] / "shared")
RECORDED = SHARED / "exchanges/recordings/binance"
T0 = round(datetime(2021, 5, 3, tzinfo=UTC).timestamp() * 1000)
MARKET = ["--exchange", "binance", "--symbol", "btc/usdt"]
HEADER = "timestamp,open,high,low,close,volume\n"


def line(minute: float, values: str = "100.10,101.25,99.5,100.75,12.34567891") -> str:
    return f"{round(T0 + minute * MINUTE_MS)},{values}\n"


def stored(url: str) -> list[tuple[Any, ...]]:
    """(minute from T0, open, high, low, close, volume, quote volume, trades, source)."""
    query = (
        "SELECT extract(epoch FROM time)::bigint * 1000, open, high, low, close, volume, quote_volume, trades, "
        "source FROM candles ORDER BY 1"
    )
    return [((row[0] - T0) / MINUTE_MS, *row[1:]) for row in fetch(url, query)]


VALUES = (100.10, 101.25, 99.5, 100.75, 12.34567891, None, None, 1)


def test_a_file_is_told_then_stored_once_and_covers_its_minutes_alone(
    candlehouse: CommandLine, postgres_url: str, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_text(HEADER + "".join(line(minute) for minute in (0, 1, 4)))
    status, said = candlehouse("import", "csv", "a.csv", *MARKET, "--dry-run")
    assert status == 0 and said.splitlines()[-2:] == [
        "a.csv: 3 candles of binance BTC/USDT, 2021-05-03T00:00:00 to 2021-05-03T00:04:00; oldest first;"
        " 2 minutes absent in between; times in milliseconds; time from timestamp, open from open, high from high,"
        " low from low, close from close, volume from volume.",
        "Nothing was changed.",
    ]
    status, said = candlehouse("import", "csv", "a.csv", *MARKET)
    assert status == 2 and "say --yes where nobody can be asked" in said
    assert stored(postgres_url) == []
    status, said = candlehouse("import", "csv", "a.csv", *MARKET, "--yes")
    assert status == 0 and "Imported 3 candles of 3." in said
    assert stored(postgres_url) == [(minute, *VALUES) for minute in (0, 1, 4)]
    query = "SELECT extract(epoch FROM upper(span) - lower(span))::int / 60 FROM coverage, unnest(covered) AS span"
    assert fetch(postgres_url, query) == [(2,), (1,)]
    status, said = candlehouse("import", "csv", "a.csv", *MARKET, "--yes")
    assert status == 0 and "Imported 0 candles of 3. 3 were left out" in said


BAD = {
    "high is below another price": line(1, "100,99,98,98.5,1"),
    "low is above another price": line(1, "100,101,100.5,101,1"),
    "a price is not above 0": line(1, "0,0,0,0,12"),
    "volume is negative": line(1, "1,1,1,1,-1"),
    "a price or the volume is no number": line(1, "1,1,1,1,nan"),
    "a value is missing or no number": line(1, "1,1,1,one,1"),
    "its time does not start a minute": line(1.5),
    "its minute is not over": line(60 * 24 * 365 * 100),
    "its time is before the first coin": line(-60 * 24 * 365 * 20),
}


@pytest.mark.parametrize("why", BAD)
def test_a_bad_row_refuses_the_file_by_its_line_or_is_left_out_on_request(
    candlehouse: CommandLine, postgres_url: str, tmp_path: Path, why: str
) -> None:
    (tmp_path / "a.csv").write_text(HEADER + line(0) + BAD[why] + line(2))
    status, said = candlehouse("import", "csv", "a.csv", *MARKET, "--yes")
    assert status == 2 and f"a.csv: 1 of 3 rows bad (line 3: {why}). Nothing was changed" in said
    assert fetch(postgres_url, "SELECT count(*) FROM candles") == [(0,)]
    status, said = candlehouse("import", "csv", "a.csv", *MARKET, "--yes", "--skip-bad")
    assert status == 0 and stored(postgres_url) == [(minute, *VALUES) for minute in (0, 2)]


def test_repeated_minutes_and_any_order_are_told_and_the_larger_volume_stays(
    candlehouse: CommandLine, postgres_url: str, tmp_path: Path
) -> None:
    running = line(2, "100.10,101,100,100.5,3")
    (tmp_path / "a.csv").write_text("".join([line(3), running, line(2), line(1)]).replace(",", ";"))
    status, said = candlehouse("import", "csv", "a.csv", *MARKET, "--yes")
    assert status == 0 and "1 of them a minute once more; newest first" in said
    assert "columns without names, in ccxt's order" in said
    assert stored(postgres_url) == [(minute, *VALUES) for minute in (1, 2, 3)]


def test_parquet_is_read_with_timestamps_of_any_unit(
    candlehouse: CommandLine, postgres_url: str, tmp_path: Path
) -> None:
    start = datetime(2021, 5, 3, tzinfo=UTC)
    for at, unit in enumerate(("s", "ms", "us", "ns")):
        times = pyarrow.array([start + timedelta(minutes=at)], pyarrow.timestamp(unit, "UTC"))
        prices = {
            name: pyarrow.array([value])
            for name, value in zip(("open", "high", "low", "close", "volume"), VALUES, strict=False)
        }
        more = {"quote_volume": pyarrow.array([1.5]), "count": pyarrow.array([7])}
        parquet.write_table(pyarrow.table({"date": times, **prices, **more}), tmp_path / f"{unit}.parquet")
    files = [f"{unit}.parquet" for unit in ("s", "ms", "us", "ns")]
    status, said = candlehouse("import", "parquet", *files, *MARKET, "--yes")
    assert status == 0 and "Imported 4 candles of 4." in said
    assert stored(postgres_url) == [(minute, *VALUES[:5], 1.5, 7, 1) for minute in range(4)]


def test_mistakes_are_one_sentence_and_change_nothing(
    candlehouse: CommandLine, postgres_url: str, tmp_path: Path
) -> None:
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "names.csv").write_text(HEADER)
    (tmp_path / "other.csv").write_text("x,y,z\np,q,r\n")
    (tmp_path / "when.csv").write_text(f"{HEADER}soon,1,1,1,1,1\n")
    (tmp_path / "latin.csv").write_bytes(b"t\xe9mps,open\n")
    (tmp_path / "broken.csv.gz").write_bytes(gzip.compress(line(0).encode() * 99)[:-9])
    mistakes = {
        ("empty.csv", *MARKET): "empty.csv is empty.",
        ("names.csv", *MARKET): "names.csv holds no row.",
        ("other.csv", *MARKET): "other.csv: No column is known to be time, open, high, low, close, volume",
        ("when.csv", *MARKET): "when.csv: Its first time, 'soon', is neither",
        ("latin.csv", *MARKET): "latin.csv is no CSV in UTF-8",
        ("broken.csv.gz", *MARKET): "broken.csv.gz cannot be read",
        ("none.csv", *MARKET): "none.csv cannot be read",
        ("names.csv",): "Say --exchange",
        ("names.csv", "--exchange", "binance"): "Say --symbol",
        ("names.csv", *MARKET[:3], "BTC/USTD"): "did you mean",
        ("names.csv", *MARKET, "--column", "x=y"): "is not FIELD=NAME",
    }
    for arguments, words in mistakes.items():
        status, said = candlehouse("import", "csv", *arguments, "--yes")
        assert status == 2 and words in said, said
    assert fetch(postgres_url, "SELECT count(*) FROM candles") == [(0,)]


def test_a_market_that_nobody_lists_any_more_can_be_made(
    candlehouse: CommandLine, postgres_url: str, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_text(line(0))
    gone = ["--exchange", "binance", "--symbol", "GONE/USDT"]
    assert candlehouse("import", "csv", "a.csv", *gone, "--yes")[0] == 2
    status, said = candlehouse("import", "csv", "a.csv", *gone, "--yes", "--new-market")
    assert status == 0 and "Imported 1 candle of 1." in said
    query = (
        "SELECT base_id, quote_id, symbol, is_trading "
        "FROM ohlcvs JOIN symbol_exchange USING (exchange, base_id, quote_id)"
    )
    assert fetch(postgres_url, query) == [("GONE", "USDT", "GONEUSDT", False)]


def test_recorded_dumps_load_to_their_unique_rows(
    candlehouse: CommandLine, postgres_url: str, tmp_path: Path
) -> None:
    if not RECORDED.is_dir():
        pytest.skip(f"no recording at {RECORDED}")
    dumps = [
        RECORDED / "klines_rest12_BTCUSDT_1m_2020-12-01.csv.gz",
        RECORDED / "ohlcv_ccxt_1m_BTCUSDT_2024-03-01_10_pagedup.csv.gz",
        RECORDED / "ohlcv_polled_partial_1m_BTCUSDT_2024-03-22T1031_1044.csv",
    ]
    status, said = candlehouse("import", "csv", *map(str, dumps), *MARKET, "--yes")
    assert status == 0 and "14 of them a minute once more" in said and "11 of them a minute once more" in said, (
        said
    )
    assert len(stored(postgres_url)) == 1441 + 14_400 + 14
    ccxt = json.loads(gzip.decompress((RECORDED / "ohlcv_ccxt_1m_ETH_BTC_2018-12-08_12-31.json.gz").read_bytes()))
    (tmp_path / "eth.csv").write_text("".join(f"{','.join(map(repr, row))}\n" for row in ccxt))
    assert candlehouse("import", "csv", "eth.csv", *MARKET[:3], "ETH/BTC", "--yes")[0] == 0
    query = (
        "SELECT extract(epoch FROM time)::bigint * 1000, open, high, low, close, volume "
        "FROM ohlcvs WHERE base_id = 'ETH' ORDER BY 1"
    )
    assert [list(row) for row in fetch(postgres_url, query)] == ccxt
