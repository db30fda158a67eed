"""Recorded candles come out of the simulator as they were recorded."""

import gzip
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from common.errors import BadInput
from common.span import DAY_MS, MINUTE_MS
from scripts.simulator.recordings import load_recordings
from tests.fixtures.simulator import Simulator, running_simulator

FOLDER = Path(__file__).parents[3] / "shared" / "exchanges" / "recordings"

needs_recordings = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"the recordings are not at {FOLDER}")


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with running_simulator(market=load_recordings(FOLDER)) as running:
        yield running


def recorded(name: str) -> Any:
    return json.loads(gzip.decompress((FOLDER / name).read_bytes()))


def lines(name: str) -> list[str]:
    return gzip.decompress((FOLDER / name).read_bytes()).decode().splitlines()


@needs_recordings
@pytest.mark.parametrize(
    "name",
    ["BTCUSD_2018-11", "BTCUSD_2018-12", "ETHUSD_2018-11", "ETHUSD_2018-12", "IOTUSD_2018-11", "LTCUSD_2018-12"],
)
def test_bitfinex_bodies_are_served_value_by_value(simulator: Simulator, name: str) -> None:
    bodies = [json.loads(line)["body"] for line in lines(f"bitfinex/rest_hist_raw_1m_t{name}.jsonl.gz")]
    expected = [row for body in bodies for row in json.loads(body)]
    served: list[Any] = []
    while len(served) < len(expected):
        start_ms = served[-1][0] + 1 if served else expected[0][0]
        path = f"/bitfinex/v2/candles/trade:1m:t{name[:6]}/hist"
        served += simulator.get(f"{path}?start={start_ms}&end={expected[-1][0]}&limit=10000&sort=1")
    assert served == expected


@needs_recordings
def test_the_newest_first_body_of_bitfinex_is_served_byte_by_byte(simulator: Simulator) -> None:
    body = (FOLDER / "bitfinex/rest_hist_raw_1m_tBTCUSD_2018-08-10_desc.json").read_text().strip()
    rows = json.loads(body)
    path = "/bitfinex/v2/candles/trade:1m:tBTCUSD/hist"
    served = simulator.get(f"{path}?start={rows[-1][0]}&end={rows[0][0]}&limit=1000")
    assert json.dumps(served, separators=(",", ":")) == json.dumps(rows, separators=(",", ":"))


@needs_recordings
@pytest.mark.parametrize(
    ("name", "native", "names"),
    [
        ("ETH_BTC_2018-12-08_12-31", "ETHBTC", ("ETH", "BTC")),
        ("LTC_BTC_2018-12-08_12-31", "LTCBTC", ("LTC", "BTC")),
        ("XLM_BTC_2018-12-08_12-31", "XLMBTC", ("XLM", "BTC")),
        ("ETH_BTC_2019-10-27_11-27_dirty", "ETHBTC", ("ETH", "BTC")),
    ],
)
def test_binance_rows_are_served_once_each(
    simulator: Simulator, name: str, native: str, names: tuple[str, str]
) -> None:
    expected = list({row[0]: row for row in recorded(f"binance/ohlcv_ccxt_1m_{name}.json.gz")}.values())
    start_ms, end_ms = expected[0][0], expected[-1][0] + MINUTE_MS
    assert simulator.truth("binance", *names, start_ms, end_ms) == sorted(expected)
    page = simulator.get(f"/binance/api/v3/klines?symbol={native}&interval=1m&startTime={start_ms}&limit=1000")
    assert [[row[0], *map(float, row[1:6])] for row in page] == sorted(expected)[:1000]


@needs_recordings
def test_binances_twelve_columns_are_served_as_the_text_they_were(simulator: Simulator) -> None:
    expected = [line.split(",") for line in lines("binance/klines_rest12_BTCUSDT_1m_2020-12-01.csv.gz")[1:]]
    start_ms = int(datetime(2020, 12, 1, tzinfo=UTC).timestamp() * 1000)
    served: list[list[Any]] = []
    for from_ms in (start_ms, start_ms + 1000 * MINUTE_MS):
        path = f"/binance/api/v3/klines?symbol=BTCUSDT&interval=1m&startTime={from_ms}&limit=1000"
        served += simulator.get(f"{path}&endTime={start_ms + DAY_MS}")
    assert [list(map(str, row[1:])) for row in served] == [row[1:] for row in expected]


@needs_recordings
def test_binances_doubled_page_edges_are_served_once(simulator: Simulator) -> None:
    told = [line.split(",") for line in lines("binance/ohlcv_ccxt_1m_BTCUSDT_2024-03-01_10_pagedup.csv.gz")[1:]]
    expected = {int(row[0]): [int(row[0]), *map(float, row[1:])] for row in told}
    assert len(expected) == 14_400 == len(told) - 14
    truth = simulator.truth("binance", "BTC", "USDT", min(expected), max(expected) + 1)
    assert truth == list(expected.values())


@needs_recordings
@pytest.mark.parametrize("base", ["ETH", "LTC"])
def test_bittrex_days_are_served_with_the_holes_they_were_recorded_with(simulator: Simulator, base: str) -> None:
    expected = recorded(f"bittrex/ohlcv_v3_ccxt_1m_{base}_BTC_2021-01-25_03-03.json.gz")
    assert simulator.truth("bittrex", base, "BTC", expected[0][0], expected[-1][0] + 1) == expected
    day = simulator.get(f"/bittrex/v3/markets/{base}-BTC/candles/MINUTE_1/historical/2021/1/26")
    start_ms = int(datetime(2021, 1, 26, tzinfo=UTC).timestamp() * 1000)
    told = [
        [int(datetime.fromisoformat(row["startsAt"]).timestamp() * 1000)]
        + [float(row[name]) for name in ("open", "high", "low", "close", "volume")]
        for row in day
    ]
    assert told == [row for row in expected if start_ms <= row[0] < start_ms + DAY_MS]
    assert not any("e" in row[name].lower() for row in day for name in ("open", "volume"))


@needs_recordings
def test_recorded_symbols_are_listed_under_both_spellings(simulator: Simulator) -> None:
    assert simulator.get("/bitfinex/v2/conf/pub:list:pair:exchange") == [["BTCUSD", "ETHUSD", "IOTUSD", "LTCUSD"]]
    span = (1_541_030_400_000, 1_541_050_000_000)
    assert simulator.truth("bitfinex", "IOTA", "USD", *span) == simulator.truth("bitfinex", "IOT", "USD", *span)


def test_a_small_folder_is_enough_and_trade_can_be_switched_off_in_it(tmp_path: Path) -> None:
    (tmp_path / "bittrex").mkdir()
    rows = [[minute * MINUTE_MS, 1.5, 2.0, 1.0, 1.25 + minute, 3.0] for minute in range(3)]
    body = gzip.compress(json.dumps(rows).encode())
    (tmp_path / "bittrex" / "ohlcv_v3_ccxt_1m_ETH_BTC_1970-01-01.json.gz").write_bytes(body)
    with running_simulator(market=load_recordings(tmp_path)) as simulator:
        simulator.fault("bittrex", "no_trades", start=MINUTE_MS, end=2 * MINUTE_MS)
        flat = [MINUTE_MS, *[1.25] * 4, 0]
        assert simulator.truth("bittrex", "ETH", "BTC", 0, 5 * MINUTE_MS) == [rows[0], flat, rows[2]]


@pytest.mark.parametrize(
    "body",
    [None, b"not packed", gzip.compress(b"[[1,2]]"), gzip.compress(b"[")],
    ids=["no file", "not packed", "short rows", "cut off"],
)
def test_a_folder_without_recordings_is_refused_in_one_sentence(tmp_path: Path, body: bytes | None) -> None:
    if body is not None:
        (tmp_path / "bittrex").mkdir()
        (tmp_path / "bittrex" / "ohlcv_v3_ccxt_1m_ETH_BTC_1970-01-01.json.gz").write_bytes(body)
    with pytest.raises(BadInput) as refused:
        load_recordings(tmp_path if body else tmp_path / "nowhere")
    assert refused.value.field == "recordings"
