"""Connections, subscriptions and messages stay within what an exchange allows."""

import asyncio
from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.server import ServerConnection

from common.market import Instrument
from fetchers import registry
from fetchers.complaints import Complaints
from fetchers.lines import Lines
from fetchers.pace import Pace
from fetchers.stream import Way
from tests.fixtures.live import T0, UST, LeapClock, events, exchange_server, http_client, kline, told_candles


async def test_messages_are_sent_no_faster_than_allowed() -> None:
    clock, received = LeapClock(), []

    async def count(socket: ServerConnection) -> None:
        for _ in range(6):
            received.append(await socket.recv())
        await socket.send(kline(T0, symbol="A0USDT"))

    many = [Instrument("binance", f"A{n}", "USDT", f"A{n}USDT", f"A{n}", "USDT") for n in range(1024)]
    async with exchange_server(count) as url:
        await events(url, told_candles(1), instruments=many, clock=clock)
    assert clock.sleeps == [0, *[0.25] * 6]


def test_no_connection_subscribes_to_more_than_allowed() -> None:
    many = [replace(UST, base=f"A{n}", native=f"A{n}UST") for n in range(60)]
    lines = lines_of("bitfinex")
    assert (lines.carry(many), [lines.markets(number) for number in range(3)]) == ([], [25, 25, 10])


async def test_processes_that_share_an_exchange_share_its_connections_a_minute() -> None:
    clock = LeapClock()
    pace = Pace(6, clock)
    pace.divide(3)
    for _ in range(5):
        await pace.turn()
    assert [round(seconds) for seconds in clock.sleeps] == [0, 0, 61, 0, 61]


def test_markets_come_and_go_without_touching_the_others() -> None:
    many = [replace(UST, base=f"A{n}", native=f"A{n}UST") for n in range(60)]
    lines = lines_of("bitfinex")
    lines.carry(many)
    assert lines.carry(many[1:]) == many[:1]
    assert lines.carry([*many[1:], UST]) == []
    assert [lines.markets(number) for number in range(4)] == [25, 25, 10, 0], "the place that came free is taken"
    assert lines.carry(many[1:25]) == [UST, *many[25:]]
    assert [lines.markets(number) for number in range(4)] == [24, 0, 0, 0], "empty connections are closed"


def lines_of(exchange: str) -> Lines:
    clock = LeapClock()
    way = Way(registry.get(exchange), "", http_client(clock), clock, Pace(9, clock), Complaints(exchange))
    return Lines(way, lambda number, event: None)


@given(st.integers(1, 20), st.lists(st.integers(0, 30_000), max_size=60))
def test_no_minute_has_more_connections_than_allowed(per_minute: int, pauses_ms: list[int]) -> None:
    """W23: Bitfinex bans who opens more than twenty."""

    async def run() -> list[int]:
        clock, turns = LeapClock(), []
        pace = Pace(per_minute, clock)
        for pause_ms in pauses_ms:
            clock.moment_ms += pause_ms
            await pace.turn()
            turns.append(clock.now_ms())
        return turns

    turns = asyncio.run(run())
    assert all(later - first > 60_000 for first, later in zip(turns, turns[per_minute:], strict=False))
    assert all(first <= later for first, later in pairwise(turns))
