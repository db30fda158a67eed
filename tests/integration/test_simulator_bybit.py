"""The simulator speaks Bybit's protocol: REST newest first, topics by tens, closing messages of two minutes."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from common.span import MINUTE_MS
from scripts.simulator.limits import Limits
from tests.fixtures.live import T0, LeapClock
from tests.fixtures.simulator import Simulator, clock_before_minute_end, running_simulator, simulator

__all__ = ["simulator"]

#: 2023-03-28 10:40 UTC, long over.
START_MS = 28_000_000 * MINUTE_MS
KLINE = "/bybit/v5/market/kline?category=spot&interval=1"
#: A minute takes a second and a half.
RATE, LIMIT_S = 40, 30


def rows(simulator: Simulator, query: str) -> list[list[float]]:
    answer = simulator.get(f"{KLINE}&{query}")
    assert (answer["retCode"], answer["result"]["category"]) == (0, "spot")
    return [[int(row[0]), *map(float, row[1:6])] for row in answer["result"]["list"]]


def test_rest_serves_the_truth_newest_first_with_quiet_minutes(simulator: Simulator) -> None:
    end_ms = START_MS + 300 * MINUTE_MS
    served = rows(simulator, f"symbol=DASHUSDT&start={START_MS}&end={end_ms - 1}&limit=1000")
    truth = simulator.truth("bybit", "DASH", "USDT", START_MS, end_ms)
    assert served[::-1] == truth
    assert [row[0] for row in truth] == [*range(START_MS, end_ms, MINUTE_MS)]
    assert 0 < sum(row[5] == 0 for row in truth) < len(truth)


@pytest.mark.parametrize(
    ("query", "minutes"),
    [
        (f"start={START_MS}&end={START_MS + 2 * MINUTE_MS}", [2, 1, 0]),
        (f"start={START_MS + 1}&end={START_MS + 2 * MINUTE_MS - 1}", [1]),
        (f"start={START_MS}&end={START_MS + 9 * MINUTE_MS}&limit=2", [9, 8]),
        (f"start={START_MS}&limit=3", [2, 1, 0]),
        (f"end={START_MS}&limit=2", [0, -1]),
        (f"start={START_MS}&end={START_MS + 5000 * MINUTE_MS}", [*range(5000, 4800, -1)]),
        (f"start={START_MS}&end={START_MS + 5000 * MINUTE_MS}&limit=9999", [*range(5000, 4000, -1)]),
    ],
)
def test_rest_bounds_include_and_limits_hold(simulator: Simulator, query: str, minutes: list[int]) -> None:
    assert [(row[0] - START_MS) / MINUTE_MS for row in rows(simulator, f"symbol=BTCUSDT&{query}")] == minutes


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("category=spot&interval=1&symbol=NOPE", "Not supported symbols"),
        ("category=linear&interval=1&symbol=BTCUSDT", "params error: Category is invalid"),
        ("category=spot&interval=7&symbol=BTCUSDT", "Invalid period!"),
        ("category=spot&interval=1&symbol=BTCUSDT&start=then", "params error: start invalid"),
    ],
)
def test_rest_refuses_what_it_does_not_know_with_http_200(simulator: Simulator, query: str, words: str) -> None:
    status, answer = simulator.call("GET", f"/bybit/v5/market/kline?{query}")
    assert (status, answer["retCode"], answer["retMsg"]) == (200, 10001, words)


def test_the_list_holds_a_market_that_does_not_trade_yet(simulator: Simulator) -> None:
    listed = simulator.get("/bybit/v5/market/instruments-info?category=spot&limit=1000")["result"]["list"]
    told = {one["symbol"]: (one["status"], one["priceFilter"]["tickSize"]) for one in listed}
    assert (told["BTCUSDT"], told["SHIBUSDT"]) == (("Trading", "0.1"), ("Trading", "0.00000001"))
    assert told["NEWTUSDT"] == ("PreLaunch", "0.0001")


def test_a_rate_limit_comes_with_http_200_and_maintenance_too(simulator: Simulator) -> None:
    simulator.fault("bybit", "rate_limit")
    assert simulator.get("/bybit/v5/market/time")["retCode"] == 10006
    assert simulator.get("/bybit/v5/market/time")["retCode"] == 0
    simulator.fault("bybit", "maintenance")
    assert simulator.get("/bybit/v5/market/time")["retCode"] == 10016


def test_more_than_six_hundred_requests_in_five_seconds_are_a_ban_of_ten_minutes() -> None:
    clock = LeapClock()
    limits = Limits(clock, enforced=True)

    def ask(at_s: float, times: int = 1) -> list[int]:
        clock.moment_ms = T0 + at_s * 1000
        return [limits.judge("bybit", "here", "/path", 1).status for _ in range(times)]

    assert set(ask(0, 300) + ask(4, 300) + ask(5, 300)) == {200}
    assert ask(8.9) + ask(9) + ask(600) == [418, 418, 418]
    assert ask(608.8) + ask(609) == [418, 200]


@asynccontextmanager
async def conversation(simulator: Simulator) -> AsyncIterator[ClientConnection]:
    async with connect(f"{simulator.ws_url}/bybit/v5/public/spot") as socket, asyncio.timeout(LIMIT_S):
        yield socket


async def said(socket: ClientConnection, message: object) -> dict[str, Any]:
    """The answer to `message`, which is told apart from candles by its `op`."""
    await socket.send(message if isinstance(message, str) else json.dumps(message))
    while "op" not in (frame := json.loads(await socket.recv())):
        pass
    frame.pop("conn_id")
    found: dict[str, Any] = frame
    return found


async def test_topics_are_confirmed_or_refused_as_the_wire_does() -> None:
    with running_simulator() as simulator:
        async with conversation(simulator) as socket:

            async def subscribed(*names: str) -> tuple[bool, str]:
                topics = [f"kline.1.{name}" for name in names]
                answer = await said(socket, {"op": "subscribe", "args": topics, "req_id": "7"})
                assert (answer["op"], answer["req_id"]) == ("subscribe", "7")
                return answer["success"], answer["ret_msg"]

            assert await subscribed("BTCUSDT", "NOPE") == (False, "Invalid symbol :[kline.1.NOPE]")
            assert await subscribed("BTCUSDT", "ETHUSDT") == (True, "subscribe")
            again = "error:already subscribed,topic:kline.1.BTCUSDT"
            assert await subscribed("SOLUSDT", "BTCUSDT") == (False, again)
            assert await subscribed("NEWTUSDT") == (False, "Invalid symbol :[kline.1.NEWTUSDT]")
            assert await subscribed(*(f"C{n}" for n in range(11))) == (False, "args size >10")
            pong = {"success": True, "ret_msg": "pong", "op": "ping"}
            assert await said(socket, {"op": "ping"}) == pong
            assert (await said(socket, {"op": "dance"}))["ret_msg"] == "error:invalid op"
            assert "Failed to decode" in (await said(socket, "hello"))["ret_msg"]
            left = await said(socket, {"op": "unsubscribe", "args": ["kline.1.BTCUSDT"], "req_id": "8"})
            assert left == {"success": True, "ret_msg": "unsubscribe", "req_id": "8", "op": "unsubscribe"}
            assert await subscribed("BTCUSDT") == (True, "subscribe")


async def test_each_minute_closes_once_with_its_true_candle_every_other_with_the_new_one_beside_it() -> None:
    with running_simulator(clock_before_minute_end(RATE, 10)) as simulator:
        closed: dict[int, list[float]] = {}
        beside: dict[int, float] = {}
        async with conversation(simulator) as socket:
            await said(socket, {"op": "subscribe", "args": ["kline.1.ETHUSDT"]})
            while len(closed) < 4:
                frame = json.loads(await socket.recv())
                await socket.send('{"op":"ping"}')
                for one, *new in [frame["data"]] if "data" in frame else []:
                    row = [
                        one["start"],
                        *(float(one[name]) for name in ("open", "high", "low", "close", "volume")),
                    ]
                    if one["confirm"]:
                        assert closed.setdefault(one["start"], row) is row
                        assert one["end"] < frame["ts"]
                    for flat in new:
                        assert (flat["start"], flat["confirm"], flat["volume"]) == (one["end"] + 1, False, "0")
                        beside[one["start"]] = float(flat["open"])
        starts = sorted(closed)
        assert starts == [*range(starts[0], starts[-1] + 1, MINUTE_MS)]
        assert [closed[ms] for ms in starts] == simulator.truth("bybit", "ETH", "USDT", starts[0], starts[-1] + 1)
        assert beside == {ms: closed[ms][4] for ms in starts if (ms // MINUTE_MS + 1) % 2}


async def test_whoever_forgets_to_ping_is_hung_up_on() -> None:
    with running_simulator(clock_before_minute_end(200, 30)) as simulator:
        async with conversation(simulator) as socket:
            await said(socket, {"op": "subscribe", "args": ["kline.1.ETHUSDT"]})
            with pytest.raises(ConnectionClosed) as closed:
                while await socket.recv():
                    pass
            assert closed.value.rcvd is not None and closed.value.rcvd.code == 1008
