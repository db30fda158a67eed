"""The simulator speaks OKX's protocol: bounds that exclude themselves, two endpoints, ping and pong, idle ends."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from common.span import DAY_MS, MINUTE_MS
from scripts.simulator.limits import Limits
from tests.fixtures.live import T0, LeapClock
from tests.fixtures.simulator import Simulator, clock_before_minute_end, running_simulator, simulator

__all__ = ["simulator"]

#: 2023-03-28 10:40 UTC, long over.
START_MS = 28_000_000 * MINUTE_MS
HISTORY, NEWEST = "/okx/api/v5/market/history-candles", "/okx/api/v5/market/candles"
#: A minute takes a second and a half.
RATE, LIMIT_S = 40, 30


def rows(simulator: Simulator, path: str, query: str) -> list[list[Any]]:
    answer = simulator.get(f"{path}?bar=1m&{query}")
    assert (answer["code"], answer["msg"]) == ("0", "")
    found: list[list[Any]] = answer["data"]
    return found


def candle(row: list[str]) -> list[float]:
    return [int(row[0]), *map(float, row[1:6])]


def test_history_is_the_truth_newest_first_with_quiet_minutes(simulator: Simulator) -> None:
    end_ms = START_MS + 100 * MINUTE_MS
    served = rows(simulator, HISTORY, f"instId=DASH-USDT&before={START_MS - 1}&after={end_ms}&limit=100")
    truth = simulator.truth("okx", "DASH", "USDT", START_MS, end_ms)
    assert [candle(row) for row in reversed(served)] == truth
    assert [row[0] for row in truth] == [*range(START_MS, end_ms, MINUTE_MS)]
    assert 0 < sum(row[5] == 0 for row in truth) < len(truth)
    assert {len(row) for row in served} == {9} and {row[8] for row in served} == {"1"}


@pytest.mark.parametrize(
    ("query", "minutes"),
    [
        (f"before={START_MS}&after={START_MS + 3 * MINUTE_MS}", [2, 1]),
        (f"before={START_MS - 1}&after={START_MS + 3 * MINUTE_MS + 1}", [3, 2, 1, 0]),
        (f"before={START_MS}&after={START_MS + 9 * MINUTE_MS}&limit=2", [8, 7]),
        (f"after={START_MS}&limit=2", [-1, -2]),
        (f"before={START_MS}&after={START_MS + 500 * MINUTE_MS}&limit=300", [*range(499, 399, -1)]),
    ],
)
def test_bounds_exclude_themselves_and_limits_hold(simulator: Simulator, query: str, minutes: list[int]) -> None:
    served = rows(simulator, HISTORY, f"instId=BTC-USDT&{query}")
    assert [(int(row[0]) - START_MS) / MINUTE_MS for row in served] == minutes


def test_the_newest_candles_reach_back_a_day_and_the_last_one_runs(simulator: Simulator) -> None:
    minute = simulator.clock.now_ms() // MINUTE_MS * MINUTE_MS
    served = rows(simulator, NEWEST, "instId=BTC-USDT&limit=300")
    assert [int(row[0]) for row in served] == [minute - at * MINUTE_MS for at in range(300)]
    assert [row[8] for row in served] == ["0", *["1"] * 299]
    edge = rows(simulator, NEWEST, f"instId=BTC-USDT&after={minute - DAY_MS + 3 * MINUTE_MS}")
    assert [int(row[0]) for row in edge] == [minute - DAY_MS + at * MINUTE_MS for at in (2, 1)]
    assert rows(simulator, NEWEST, f"instId=BTC-USDT&after={START_MS}") == []


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("instId=NOPE-USDT", 200, "51001"),
        ("instId=BTC-USDT&bar=1x", 400, "51000"),
        ("instId=BTC-USDT&after=then", 400, "51000"),
    ],
)
def test_what_it_does_not_know_is_refused(simulator: Simulator, query: str, status: int, code: str) -> None:
    told, answer = simulator.call("GET", f"{HISTORY}?{query}")
    assert (told, answer["code"], answer["data"]) == (status, code, [])


def test_the_list_holds_a_market_that_is_suspended(simulator: Simulator) -> None:
    listed = simulator.get("/okx/api/v5/public/instruments?instType=SPOT")["data"]
    told = {one["instId"]: (one["state"], one["tickSz"]) for one in listed}
    assert (told["BTC-USDT"], told["SHIB-USDT"]) == (("live", "0.1"), ("live", "0.000000001"))
    assert told["LUNA-USDT"] == ("suspend", "0.0001")


def test_limits_and_maintenance_are_told_in_its_own_words(simulator: Simulator) -> None:
    path = "/okx/api/v5/public/time"
    simulator.fault("okx", "rate_limit")
    limited = (429, {"code": "50011", "msg": "Too Many Requests", "data": []})
    assert simulator.call("GET", path) == limited
    assert simulator.get(path)["code"] == "0"
    simulator.fault("okx", "maintenance")
    status, answer = simulator.call("GET", path)
    assert (status, answer["code"]) == (503, "50001")


def test_each_endpoint_allows_forty_units_in_any_two_seconds() -> None:
    clock = LeapClock()
    limits = Limits(clock, enforced=True)

    def ask(at_s: float, times: int, weight: int, path: str) -> list[int]:
        clock.moment_ms = T0 + at_s * 1000
        return [limits.judge("okx", "here", path, weight).status for _ in range(times)]

    assert ask(0, 21, 2, "/history") == [200] * 20 + [429]
    assert ask(1, 41, 1, "/candles") == [200] * 40 + [429]
    assert ask(1.9, 1, 2, "/history") == [429]
    assert ask(2, 1, 2, "/history") == ask(3, 1, 1, "/candles") == [200]


@asynccontextmanager
async def conversation(simulator: Simulator) -> AsyncIterator[ClientConnection]:
    async with connect(f"{simulator.ws_url}/okx/ws/v5/business") as socket, asyncio.timeout(LIMIT_S):
        yield socket


async def said(socket: ClientConnection, op: str, *args: dict[str, str]) -> list[dict[str, Any]]:
    """One event for each of `args`, without the connection's name."""
    await socket.send(json.dumps({"op": op, "args": args}))
    told: list[dict[str, Any]] = []
    while len(told) < len(args):
        frame = json.loads(await socket.recv())
        if "event" in frame:
            assert len(frame.pop("connId")) == 8
            told.append(frame)
    return told


def arg(name: str, channel: str = "candle1m") -> dict[str, str]:
    return {"channel": channel, "instId": name}


async def test_each_market_is_confirmed_or_refused_by_itself_and_ping_is_answered() -> None:
    with running_simulator() as simulator:
        async with conversation(simulator) as socket:
            await socket.send("ping")
            assert await socket.recv() == "pong"
            wanted = [arg("NOPE-USDT"), arg("BTC-USDT"), arg("ETH-USDT", "candle7m"), arg("LUNA-USDT")]
            told = await said(socket, "subscribe", *wanted)
            assert [one.get("code") for one in told] == ["60018", None, "60018", "60018"]
            assert told[0]["msg"].startswith(
                "Subscribe failed, wrong URL or channel:candle1m,instId:NOPE-USDT doesn't exist."
            )
            assert told[1] == {"event": "subscribe", "arg": arg("BTC-USDT")}
            left = await said(socket, "unsubscribe", arg("BTC-USDT"))
            assert left == [{"event": "unsubscribe", "arg": arg("BTC-USDT")}]
            await socket.send("hello")
            assert json.loads(await socket.recv())["code"] == "60012"


async def test_each_minute_closes_once_with_its_true_candle() -> None:
    with running_simulator(clock_before_minute_end(RATE, 10)) as simulator:
        closed: dict[int, list[float]] = {}
        async with conversation(simulator) as socket:
            await said(socket, "subscribe", arg("ETH-USDT"))
            while len(closed) < 3:
                frame = json.loads(await socket.recv())
                assert frame["arg"] == arg("ETH-USDT")
                (row,) = frame["data"]
                if row[8] == "1":
                    assert int(row[0]) not in closed
                    closed[int(row[0])] = candle(row)
        starts = sorted(closed)
        assert starts == [*range(starts[0], starts[-1] + 1, MINUTE_MS)]
        assert [closed[ms] for ms in starts] == simulator.truth("okx", "ETH", "USDT", starts[0], starts[-1] + 1)


async def test_a_connection_on_which_nothing_is_said_is_closed_and_a_ping_keeps_it() -> None:
    with running_simulator(clock_before_minute_end(200, 30)) as simulator:
        async with conversation(simulator) as socket:
            began_ms = simulator.clock.now_ms()
            while simulator.clock.now_ms() < began_ms + 90_000:
                await socket.send("ping")
                assert await socket.recv() == "pong"
            with pytest.raises(ConnectionClosed) as closed:
                await socket.recv()
            assert closed.value.rcvd is not None and closed.value.rcvd.code == 4004


async def test_the_end_of_a_connection_is_announced() -> None:
    with running_simulator() as simulator:
        async with conversation(simulator) as socket:
            await socket.send("ping")
            await socket.recv()
            simulator.fault("okx", "disconnect")
            assert json.loads(await socket.recv())["code"] == "64008"
            with pytest.raises(ConnectionClosed):
                await socket.recv()
