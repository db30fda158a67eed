"""Each fault does what it says, to whom it says, and ends."""

import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from common.span import MINUTE_MS
from tests.fixtures.simulator import Simulator, clock_before_minute_end, running_simulator

START_MS = 28_000_000 * MINUTE_MS
TIME, KLINES = "/binance/api/v3/time", "/binance/api/v3/klines?symbol=BTCUSDT&interval=1m&limit=5"
CANDLES, RECENT = (
    "/bitfinex/v2/candles/trade:1m:tBTCUSD/hist",
    "/bittrex/v3/markets/ETH-BTC/candles/MINUTE_1/recent",
)
OHLC, ROWS = "/kraken/0/public/OHLC?pair=XBTUSD", "/coinbase/products/BTC-USD/candles"


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    with running_simulator() as running:
        yield running


def statuses(simulator: Simulator, *paths: str) -> list[int]:
    return [simulator.call("GET", path)[0] for path in paths]


def test_minutes_without_trades_are_in_rest_and_truth_alike(simulator: Simulator) -> None:
    end_ms = START_MS + 10 * MINUTE_MS
    asked = [("binance", "BTC", "USDT"), ("bitfinex", "BTC", "USD"), ("bitfinex", "ETH", "USD")]
    before = [simulator.truth(*names, START_MS, end_ms) for names in asked]
    quiet = {"start": START_MS + 2 * MINUTE_MS, "end": START_MS + 5 * MINUTE_MS}
    simulator.fault("binance", "no_trades", **quiet)
    simulator.fault("bitfinex", "no_trades", symbols=["BTC/USD"], **quiet)
    binance, bitfinex, untouched = (simulator.truth(*names, START_MS, end_ms) for names in asked)
    close = before[0][1][4]
    flat = [[START_MS + minute * MINUTE_MS, *[close] * 4, 0] for minute in (2, 3, 4)]
    assert binance == [*before[0][:2], *flat, *before[0][5:]]
    assert bitfinex == [*before[1][:2], *before[1][5:]]
    assert untouched == before[2]
    served = simulator.get(f"/bitfinex/v2/candles/trade:1m:tBTCUSD/hist?start={START_MS}&end={end_ms - 1}&sort=1")
    assert [row[0] for row in served] == [row[0] for row in bitfinex]
    simulator.fault("*", "no_trades", on=False)
    assert [simulator.truth(*names, START_MS, end_ms) for names in asked] == before


def test_binance_limits_then_bans_who_goes_on_then_serves(simulator: Simulator) -> None:
    simulator.fault("binance", "rate_limit", count=2, retry_after_s=7)
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(simulator.url + TIME)
    with refused.value as answer:
        assert (answer.code, answer.headers["retry-after"]) == (429, "7")
        assert answer.headers["x-mbx-used-weight-1m"] == "1"
    assert statuses(simulator, TIME, TIME, CANDLES) == [418, 200, 200]


def test_the_others_say_429_in_their_own_words(simulator: Simulator) -> None:
    simulator.fault("*", "rate_limit", count=4)
    assert simulator.call("GET", CANDLES) == (429, ["error", 11010, "ratelimit: error"])
    assert simulator.call("GET", RECENT) == (429, {"code": "THROTTLED"})
    assert simulator.call("GET", OHLC) == (200, {"error": ["EGeneral:Too many requests"]})
    assert simulator.call("GET", ROWS) == (429, {"message": "Public rate limit exceeded"})
    assert statuses(simulator, CANDLES, RECENT) == [200, 200]


def test_a_ban_lasts_until_it_is_lifted(simulator: Simulator) -> None:
    simulator.fault("binance", "ban", seconds=600)
    assert statuses(simulator, TIME, TIME, CANDLES) == [418, 418, 200]
    simulator.fault("binance", "ban", on=False)
    assert statuses(simulator, TIME) == [200]


def test_cut_answers_are_no_json(simulator: Simulator) -> None:
    simulator.fault("binance", "truncate", count=1)
    with urllib.request.urlopen(simulator.url + KLINES) as answer:
        assert answer.status == 200 and not answer.read().endswith(b"]]")
    assert len(simulator.get(KLINES)) == 5


def test_maintenance_refuses_with_each_exchanges_words(simulator: Simulator) -> None:
    simulator.fault("*", "maintenance")
    assert simulator.call("GET", CANDLES) == (503, ["error", 20060, "maintenance"])
    assert statuses(simulator, TIME, RECENT) == [503, 503]
    assert simulator.call("GET", OHLC) == (200, {"error": ["EService:Unavailable"]})
    assert simulator.call("GET", ROWS) == (503, {"message": "Service unavailable"})
    assert simulator.call("DELETE", "/_sim/faults") == (200, [])
    assert statuses(simulator, TIME, RECENT, CANDLES) == [200, 200, 200]


def test_slowness_is_told_among_the_faults_that_are_on(simulator: Simulator) -> None:
    simulator.fault("bittrex", "slow", seconds=0.01)
    assert statuses(simulator, RECENT) == [200]
    assert simulator.get("/_sim/faults") == [{"exchange": "bittrex", "kind": "slow", "seconds": 0.01}]


def test_limits_are_enforced_when_asked_for() -> None:
    # Time nearly stands still, so that no new minute gives thirty more.
    with running_simulator(clock_before_minute_end(0.001, 30), enforce_limits=True) as simulator:
        told = statuses(simulator, *[CANDLES] * 31, "/bitfinex/v2/conf/pub:list:pair:exchange")
        assert told == [200] * 30 + [429, 200]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"exchange": "mtgox", "kind": "slow"}, "exchange"),
        ({"exchange": "*", "kind": "boom"}, "kind"),
        ({"kind": "slow"}, "exchange"),
        ({"exchange": "*", "kind": "slow", "secs": 1}, "secs"),
        ({"exchange": "*", "kind": "slow", "seconds": "long"}, "seconds"),
        ({"exchange": "*", "kind": "slow", "seconds": -1}, "seconds"),
        ({"exchange": "*", "kind": "no_trades", "start": 5, "end": 5}, "end"),
        ([], "body"),
    ],
)
def test_a_wrong_switch_is_refused_with_its_field_and_changes_nothing(
    simulator: Simulator, body: object, field: str
) -> None:
    status, answer = simulator.call("POST", "/_sim/faults", body)
    assert (status, answer["field"]) == (422, field)
    assert answer["error"] and answer["allowed"]
    assert simulator.get("/_sim/faults") == []
