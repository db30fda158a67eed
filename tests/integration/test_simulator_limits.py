"""Where it enforces limits, the simulator counts and refuses as the exchanges say, and tells what it did."""

import http.client
from collections.abc import Iterator
from typing import Any

import pytest

from common.clock import Clock
from scripts.simulator.limits import STATED, Limits
from tests.fixtures.live import T0, LeapClock
from tests.fixtures.simulator import Simulator, clock_before_minute_end, running_simulator

TIME, INFO = "/binance/api/v3/time", "/binance/api/v3/exchangeInfo"


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """Time nearly stands still, half a minute before the end of one."""
    with running_simulator(clock_before_minute_end(0.001, 30), enforce_limits=True) as running:
        yield running


def ask(simulator: Simulator, path: str, source: str = "127.0.0.1") -> tuple[int, dict[str, str]]:
    """Status and headers, asking from another address of this machine."""
    connection = http.client.HTTPConnection("127.0.0.1", simulator.port, source_address=(source, 0))
    connection.request("GET", path)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}


def test_binance_counts_weight_by_address_and_tells_it(simulator: Simulator) -> None:
    simulator.call("POST", "/_sim/limits", {"binance": 41})
    told = [ask(simulator, path) for path in (INFO, INFO, TIME, TIME)]
    assert [(status, headers["x-mbx-used-weight-1m"]) for status, headers in told] == [
        (200, "20"), (200, "40"), (200, "41"), (429, "42"),
    ]  # fmt: skip
    assert 28 <= int(told[3][1]["retry-after"]) <= 30
    assert ask(simulator, TIME, "127.0.0.2")[0] == 200
    status, headers = ask(simulator, TIME)
    assert (status, headers["retry-after"]) == (418, "120")
    assert simulator.get("/_sim/limits") == {**STATED, "binance": 41}
    verdicts: list[dict[str, Any]] = simulator.get("/_sim/verdicts")
    assert [(one["address"], one["weight"], one["used"], one["status"]) for one in verdicts] == [
        ("127.0.0.1", 20, 20, 200),
        ("127.0.0.1", 20, 40, 200),
        ("127.0.0.1", 1, 41, 200),
        ("127.0.0.1", 1, 42, 429),
        ("127.0.0.2", 1, 1, 200),
        ("127.0.0.1", 1, 43, 418),
    ]
    assert {one["exchange"] for one in verdicts} == {"binance"}
    assert max(abs(one["at_ms"] - simulator.clock.now_ms()) for one in verdicts) < 1000


@pytest.mark.parametrize("body", [{"mtgox": 5}, {"binance": 0}, [], {"binance": "many"}])
def test_limits_that_cannot_be_are_refused(simulator: Simulator, body: object) -> None:
    status, answer = simulator.call("POST", "/_sim/limits", body)
    assert (status, answer["field"]) == (422, "body") and answer["allowed"]
    assert simulator.get("/_sim/limits")["binance"] == 6000


def statuses(limits: Limits, clock: LeapClock, exchange: str, times_s: list[float]) -> list[int]:
    found = []
    for at_s in times_s:
        clock.moment_ms = T0 + at_s * 1000
        found.append(limits.judge(exchange, "here", "/path", 1).status)
    return found


def limits_of(clock: Clock, **stated: int) -> Limits:
    limits = Limits(clock, enforced=True)
    limits.stated |= stated
    return limits


def test_binance_begins_anew_each_minute_and_bans_for_longer_each_time() -> None:
    clock = LeapClock()
    limits = limits_of(clock, binance=2)
    times = [0, 59, 59.5, 60, 61, 62, 63, 181, 184, 185, 186, 187, 426, 427.5]
    told = [200, 200, 429, 200, 200, 429, 418, 418, 200, 429, 418, 418, 200, 200]
    assert statuses(limits, clock, "binance", times) == told


def test_bittrex_begins_anew_each_minute_and_bitfinex_allows_no_sixty_seconds_more() -> None:
    clock = LeapClock()
    assert statuses(limits_of(clock, bittrex=2), clock, "bittrex", [58, 59, 59.5, 60, 61, 62]) == [
        200, 200, 429, 200, 200, 429,
    ]  # fmt: skip
    bitfinex = limits_of(clock, bitfinex=2)
    assert statuses(bitfinex, clock, "bitfinex", [50, 59, 60, 110, 119, 121, 125, 181]) == [
        200, 200, 429, 429, 429, 429, 429, 200,
    ]  # fmt: skip
