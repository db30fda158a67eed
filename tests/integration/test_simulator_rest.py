"""The simulator's REST answers are the exchanges' own, and tell the truth."""

from collections.abc import Iterator
from typing import Any

import pytest

from common.clock import Clock
from common.span import DAY_MS, MINUTE_MS, floor_minute
from tests.fixtures.simulator import Simulator, running_simulator

#: 2023-03-28 10:40 UTC, long over.
START_MS = 28_000_000 * MINUTE_MS
DAY_START_MS = 1_679_961_600_000


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with running_simulator() as running:
        yield running


def klines(simulator: Simulator, **query: object) -> list[list[Any]]:
    asked = "&".join(f"{name}={value}" for name, value in query.items())
    return simulator.get(f"/binance/api/v3/klines?symbol=XLMBTC&interval=1m&{asked}")


def hist(simulator: Simulator, key: str, query: str) -> list[list[Any]]:
    return simulator.get(f"/bitfinex/v2/candles/{key}/hist?{query}")


def test_binance_serves_the_truth_with_quiet_minutes(simulator: Simulator) -> None:
    end_ms = START_MS + 300 * MINUTE_MS
    served = klines(simulator, startTime=START_MS, endTime=end_ms - 1)
    truth = simulator.truth("binance", "XLM", "BTC", START_MS, end_ms)
    assert [[row[0], *map(float, row[1:6])] for row in served] == truth
    assert [row[0] for row in truth] == list(range(START_MS, end_ms, MINUTE_MS))
    assert any(row[8] == 0 for row in served) and all(len(row) == 12 for row in served)


def test_bitfinex_serves_the_truth_without_quiet_minutes(simulator: Simulator) -> None:
    end_ms = START_MS + 300 * MINUTE_MS
    served = hist(simulator, "trade:1m:tIOTUSD", f"start={START_MS}&end={end_ms - 1}&limit=10000&sort=1")
    truth = simulator.truth("bitfinex", "IOTA", "USD", START_MS, end_ms)
    assert [[t, o, h, low, c, v] for t, o, c, h, low, v in served] == truth
    assert 50 < len(truth) < 150


def test_bittrex_serves_the_truth_by_utc_days(simulator: Simulator) -> None:
    truth = simulator.truth("bittrex", "POWR", "BTC", DAY_START_MS, DAY_START_MS + DAY_MS)
    candles = "/bittrex/v3/markets/POWR-BTC/candles"
    served = simulator.get(f"{candles}/TRADE/MINUTE_1/historical/2023/03/28")
    told = [[row["open"], row["high"], row["low"], row["close"], row["volume"]] for row in served]
    assert [list(map(float, row)) for row in told] == [row[1:] for row in truth]
    assert served[1]["startsAt"] == "2023-03-28T00:01:00Z" and len(served) == 1440
    assert simulator.get(f"{candles}/MINUTE_1/historical/2023/3/28") == served


def kraken(simulator: Simulator, query: str) -> list[list[Any]]:
    answer = simulator.get(f"/kraken/0/public/OHLC?{query}")
    assert (answer["error"], len(answer["result"])) == ([], 2)
    return next(rows for name, rows in answer["result"].items() if name != "last")


def test_kraken_serves_the_truth_of_its_newest_720_minutes_and_the_running_one(simulator: Simulator) -> None:
    minute_ms = floor_minute(simulator.clock.now_ms())
    for pair, base in (("XBTUSD", "BTC"), ("XXBTZUSD", "BTC"), ("DASHUSD", "DASH")):
        *served, running = kraken(simulator, f"pair={pair}&interval=1&since={START_MS // 1000}")
        first_ms, last_ms = served[0][0] * 1000, running[0] * 1000
        assert last_ms - first_ms == 719 * MINUTE_MS and last_ms >= minute_ms
        told = [[row[0] * 1000, *map(float, (*row[1:5], row[6]))] for row in served]
        assert told == simulator.truth("kraken", base, "USD", first_ms, last_ms)
        assert all(row[6] == "0.00000000" for row in served if row[7] == 0)
    assert any(row[7] == 0 for row in served)


def test_kraken_serves_what_comes_after_since(simulator: Simulator) -> None:
    *_, last = kraken(simulator, "pair=XDGUSD")
    served = kraken(simulator, f"pair=XDGUSD&interval=1&since={last[0] - 300}")
    assert [row[0] for row in served][:5] == [last[0] - 240 + at * 60 for at in range(5)]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("pair=NOPE", "EQuery:Unknown asset pair"),
        ("", "EQuery:Unknown asset pair"),
        ("pair=XBTUSD&interval=7", "EGeneral:Invalid arguments"),
        ("pair=XBTUSD&since=then", "EGeneral:Invalid arguments"),
    ],
)
def test_kraken_refuses_what_it_does_not_know(simulator: Simulator, query: str, said: str) -> None:
    assert simulator.call("GET", f"/kraken/0/public/OHLC?{query}") == (200, {"error": [said]})


def coinbase(simulator: Simulator, query: str, product: str = "DASH-USD") -> list[list[Any]]:
    return simulator.get(f"/coinbase/products/{product}/candles?{query}")


def test_coinbase_serves_the_truth_newest_first_without_quiet_minutes(simulator: Simulator) -> None:
    served = coinbase(simulator, "granularity=60&start=2023-03-28T10:40:00Z&end=2023-03-28T15:39:00Z")
    truth = simulator.truth("coinbase", "DASH", "USD", START_MS, START_MS + 300 * MINUTE_MS)
    assert [[t * 1000, o, h, low, c, v] for t, low, h, o, c, v in reversed(served)] == truth
    assert 50 < len(truth) < 150


def test_coinbase_takes_both_bounds_or_none(simulator: Simulator) -> None:
    bounds = "start=2023-03-28T10:40:00.000Z&end=2023-03-28T10:42:00Z"
    assert [row[0] * 1000 for row in coinbase(simulator, bounds, "BTC-USD")] == [
        START_MS + at * MINUTE_MS for at in (2, 1, 0)
    ]
    newest = coinbase(simulator, "start=2023-03-28T10:40:00Z", "BTC-USD")
    assert len(newest) >= 299 and newest[0][0] * 1000 >= simulator.clock.now_ms() - 2 * MINUTE_MS


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("NO-PE/candles", 404, "NotFound"),
        ("BTC-USD/candles?granularity=7", 400, "Unsupported granularity"),
        ("BTC-USD/candles?start=then&end=now", 400, "Invalid start or end"),
        (
            "BTC-USD/candles?start=2023-03-28T10:00:00Z&end=2023-03-28T15:00:00Z",
            400,
            "granularity too small for the requested time range. Count of aggregations requested exceeds 300",
        ),
    ],
)
def test_coinbase_refuses_what_it_does_not_know(simulator: Simulator, path: str, status: int, said: str) -> None:
    assert simulator.call("GET", f"/coinbase/products/{path}") == (status, {"message": said})


def test_truth_takes_normalised_and_native_names_and_excludes_its_end(simulator: Simulator) -> None:
    normalised = simulator.truth("bitfinex", "BTC", "USDT", START_MS, START_MS + 5 * MINUTE_MS)
    assert simulator.truth("bitfinex", "btc", "UST", START_MS, START_MS + 5 * MINUTE_MS) == normalised
    assert [row[0] for row in normalised] == [START_MS + minute * MINUTE_MS for minute in range(5)]


def test_truth_knows_no_minute_that_is_not_over(simulator: Simulator) -> None:
    now_ms = simulator.clock.now_ms()
    truth = simulator.truth("binance", "BTC", "USDT", now_ms - 3 * MINUTE_MS, now_ms + 10 * MINUTE_MS)
    assert truth[-1][0] + MINUTE_MS <= simulator.clock.now_ms()
    before_ms = simulator.clock.now_ms()
    last = simulator.get("/binance/api/v3/klines?symbol=BTCUSDT&interval=1m&limit=1")[0]
    assert before_ms <= last[6] and last[0] <= simulator.clock.now_ms()


@pytest.mark.parametrize(
    ("query", "minutes"),
    [
        ({"startTime": START_MS, "limit": 3}, [0, 1, 2]),
        ({"startTime": START_MS, "endTime": START_MS + MINUTE_MS}, [0, 1]),
        ({"startTime": START_MS + 1, "limit": 2}, [1, 2]),
        ({"endTime": START_MS, "limit": 2}, [-1, 0]),
        ({"startTime": START_MS, "endTime": START_MS + 5000 * MINUTE_MS, "limit": 9999}, list(range(1000))),
        ({"startTime": START_MS, "endTime": START_MS + 5000 * MINUTE_MS}, list(range(500))),
    ],
)
def test_binance_bounds_include_and_limits_hold(simulator: Simulator, query: dict, minutes: list[int]) -> None:
    assert [(row[0] - START_MS) // MINUTE_MS for row in klines(simulator, **query)] == minutes


@pytest.mark.parametrize(
    ("query", "status", "answer"),
    [
        ("symbol=NOPE&interval=1m", 400, {"code": -1121, "msg": "Invalid symbol."}),
        ("symbol=BTCUSDT&interval=1x", 400, {"code": -1120, "msg": "Invalid interval."}),
    ],
)
def test_binance_refuses_what_it_does_not_know(
    simulator: Simulator, query: str, status: int, answer: object
) -> None:
    assert simulator.call("GET", f"/binance/api/v3/klines?{query}") == (status, answer)


def test_bitfinex_is_newest_first_by_default_and_takes_encoded_colons(simulator: Simulator) -> None:
    bounds = f"start={START_MS}&end={START_MS + 400 * MINUTE_MS}"
    rows = hist(simulator, "trade%3A1m%3AtDUSK%3AUSD", bounds)
    ascending = hist(simulator, "trade:1m:tDUSK:USD", f"{bounds}&limit=10000&sort=1")
    assert rows == ascending[::-1][:100] and len(ascending) > 100
    edges = hist(simulator, "trade:1m:tDUSK:USD", f"start={ascending[3][0]}&end={ascending[5][0]}&sort=1")
    assert edges == ascending[3:6]
    assert hist(simulator, "trade:1m:tDUSK:USD", f"start={ascending[3][0] + 1}&end={ascending[4][0] - 1}") == []
    last = simulator.get("/bitfinex/v2/candles/trade:1m:tBTCUSD/last")
    assert len(last) == 6 and last[0] >= simulator.clock.now_ms() - 2 * MINUTE_MS


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ("trade:1m:tNOPE/hist", "symbol"),
        ("trade:1m:tBTCUSD/hist?limit=10001", "limit"),
        ("trade:9m:tBTCUSD/hist", "time"),
    ],
)
def test_bitfinex_refuses_what_it_does_not_know(simulator: Simulator, path: str, what: str) -> None:
    assert simulator.call("GET", f"/bitfinex/v2/candles/{path}") == (500, ["error", 10020, f"{what}: invalid"])


def test_bittrex_has_todays_candles_only_in_recent(simulator: Simulator) -> None:
    candles = "/bittrex/v3/markets/ETH-BTC/candles/MINUTE_1"
    recent = simulator.get(f"{candles}/recent")
    assert len(recent) == 1440
    year, month, day = recent[-1]["startsAt"][:10].split("-")
    refused = (400, {"code": "STARTDATE_OUT_OF_RANGE"})
    assert simulator.call("GET", f"{candles}/historical/{year}/{month}/{day}") == refused
    assert simulator.call("GET", f"{candles}/historical/2023/2/30") == (400, {"code": "INVALID_DATE"})
    missing = simulator.call("GET", "/bittrex/v3/markets/NO-PE/candles/MINUTE_1/recent")
    assert missing == (404, {"code": "MARKET_DOES_NOT_EXIST"})


def test_listings_hold_what_a_reader_must_get_past(simulator: Simulator) -> None:
    pairs, currencies, names = simulator.get(
        "/bitfinex/v2/conf/pub:list:pair:exchange,pub:list:currency,pub:map:currency:sym"
    )
    assert {"BTCUST", "DSHUSD", "DUSK:USD", "TESTBTC:TESTUSD", "AAABBB", "QQZUSD"} <= set(pairs)
    assert ["UST", "USDt"] in names and "QQZ" not in currencies and "DUSK" in currencies
    markets = {market["symbol"]: market["status"] for market in simulator.get("/bittrex/v3/markets")}
    assert (markets["ETH-BTC"], markets["RFOX-USDT"]) == ("ONLINE", "OFFLINE")
    listed = simulator.get("/binance/api/v3/exchangeInfo")["symbols"]
    assert {one["symbol"]: one["status"] for one in listed}["LUNAUSDT"] == "HALT"
    products = {one["id"]: one["trading_disabled"] for one in simulator.get("/coinbase/products")}
    assert (products["BTC-USD"], products["REP-USD"]) == (False, True)
    pairs_of_kraken = simulator.get("/kraken/0/public/AssetPairs")["result"]
    assert {(pair["wsname"], pair["status"]) for pair in pairs_of_kraken.values()} >= {
        ("XBT/USD", "online"),
        ("XDG/USD", "online"),
        ("WAVES/USD", "cancel_only"),
    }


def test_the_log_tells_every_request_in_order_and_none_of_its_own() -> None:
    with running_simulator(Clock(60, 0)) as simulator:
        klines(simulator, limit=1)
        simulator.call("GET", "/bitfinex/v2/candles/trade%3A1m%3AtBTCUSD/last")
        simulator.call("GET", "/nowhere")
        log = simulator.log()
        assert [(entry["method"], entry["path"], entry["query"]) for entry in log] == [
            ("GET", "/binance/api/v3/klines", "symbol=XLMBTC&interval=1m&limit=1"),
            ("GET", "/bitfinex/v2/candles/trade:1m:tBTCUSD/last", ""),
            ("GET", "/nowhere", ""),
        ]
        times = [entry["received_ms"] for entry in log]
        assert times == sorted(times) and times[-1] <= simulator.clock.now_ms()
        simulator.clear_log()
        assert simulator.log() == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("exchange=x&base_id=BTC&quote_id=USDT&start=1&end=2", "exchange"),
        ("exchange=binance&base_id=NOPE&quote_id=USDT&start=1&end=2", "base_id"),
        ("exchange=binance&base_id=BTC&start=1&end=2", "quote_id"),
        ("exchange=binance&base_id=BTC&quote_id=USDT&start=then&end=2", "start"),
        ("exchange=binance&base_id=BTC&quote_id=USDT&start=1", "end"),
    ],
)
def test_truth_says_which_field_is_wrong_and_what_is_allowed(simulator: Simulator, query: str, field: str) -> None:
    status, answer = simulator.call("GET", f"/_sim/truth?{query}")
    assert (status, answer["field"]) == (422, field)
    assert answer["error"] and answer["allowed"]
