"""A connection that is to end by schedule is followed before it goes; markets come and go on an open one."""

import asyncio
import json
import time
from collections.abc import Callable
from itertools import count

from websockets.asyncio.server import ServerConnection

from common.clock import Clock
from common.market import Candle, Instrument
from common.ports import Subscription
from fetchers import registry
from fetchers.complaints import Complaints
from fetchers.events import Connected, Event, Lost, Stale
from fetchers.pace import Pace
from fetchers.shard import Shard
from fetchers.stream import Way
from tests.fixtures.feed import now_ms
from tests.fixtures.live import (
    BTC,
    ETH,
    T0,
    events,
    exchange_server,
    http_client,
    kline,
    limited,
    losses,
    running,
)

#: Connections live ten minutes, which the clock makes a second; five minutes before their end they are renewed.
BINANCE = limited(registry.get("binance"), lifetime_s=600)
RATE, TICK_S = 600, 0.02


class Server:
    """Numbers its connections, and sends all of them the same candles of growing volume."""

    def __init__(self, shutdown: bool = False) -> None:
        self.open: list[int] = []
        self.most_open = 0
        self.closed: list[int] = []
        self._shutdown = shutdown
        self._numbers, self._began_s = count(), time.monotonic()

    async def talk(self, socket: ServerConnection) -> None:
        number = next(self._numbers)
        self.open.append(number)
        self.most_open = max(self.most_open, len(self.open))
        try:
            await socket.recv()
            if self._shutdown and number == 0:
                await socket.send('{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1770123456789}}')
            for tick in count(self._tick() + 1):
                if not self.allows(number):
                    break
                await asyncio.sleep(max(0, tick * TICK_S - (time.monotonic() - self._began_s)))
                await socket.send(kline(T0, tick))
        finally:
            self.open.remove(number)
            self.closed.append(number)

    def _tick(self) -> int:
        return int((time.monotonic() - self._began_s) / TICK_S)

    def allows(self, number: int) -> bool:
        return True


def sorts(seen: list[Event]) -> list[type]:
    """The kinds of events without their repetitions."""
    kinds = [type(one) for one in seen]
    return [kind for at, kind in enumerate(kinds) if at == 0 or kinds[at - 1] is not kind]


def gone(server: Server, number: int) -> Callable[[list[Event]], bool]:
    return lambda seen: number in server.closed


async def test_before_a_scheduled_end_the_next_connection_is_up_and_nobody_is_told() -> None:
    server = Server()
    async with exchange_server(server.talk) as url:
        seen = await events(url, gone(server, 1), exchange=BINANCE, clock=Clock(RATE, now_ms()))
    assert sorts(seen) == [Connected, Candle]
    assert (server.most_open, server.closed[:2]) == (2, [0, 1]), "the old one went when the new one was there"
    ticks = {round(one.volume) for one in seen if isinstance(one, Candle)}
    assert ticks == set(range(min(ticks), max(ticks) + 1)), "nothing is lost"


async def test_an_announced_shutdown_renews_the_connection_at_once() -> None:
    server = Server(shutdown=True)
    async with exchange_server(server.talk) as url:
        seen = await events(url, gone(server, 0), exchange=registry.get("binance"), clock=Clock(RATE, now_ms()))
    assert (sorts(seen), server.most_open) == ([Connected, Candle], 2)


async def test_while_the_next_connection_brings_nothing_the_old_one_stays() -> None:
    class Refusing(Server):
        def allows(self, number: int) -> bool:
            return number != 1

    server = Refusing()
    async with exchange_server(server.talk) as url:
        seen = await events(url, gone(server, 0), exchange=BINANCE, clock=Clock(RATE, now_ms()))
    assert (sorts(seen), server.closed[:2]) == ([Connected, Candle], [1, 0])


async def test_a_connection_that_confirms_but_brings_no_candle_does_not_take_the_place_of_one_that_does() -> None:
    okx = limited(registry.get("okx"), lifetime_s=600)
    market = Instrument("okx", "BTC", "USDT", "BTC-USDT", "BTC", "USDT")
    arg = {"channel": "candle1m", "instId": "BTC-USDT"}
    row = [str(T0), "1", "1", "1", "1", "5", "5", "5", "0"]

    class Mute(Server):
        async def talk(self, socket: ServerConnection) -> None:
            number = next(self._numbers)
            try:
                await socket.recv()
                await socket.send(json.dumps({"event": "subscribe", "arg": arg, "connId": "a"}))
                while True:
                    if number != 1:
                        await socket.send(json.dumps({"arg": arg, "data": [row]}))
                    await asyncio.sleep(TICK_S)
            finally:
                self.closed.append(number)

    server = Mute()
    async with exchange_server(server.talk) as url:
        seen = await events(url, gone(server, 0), exchange=okx, instruments=[market], clock=Clock(RATE, now_ms()))
    assert ({type(one) for one in seen}, server.closed[:2]) == ({Connected, Candle, Subscription}, [1, 0])


async def test_one_that_ends_before_the_next_is_up_is_told_as_lost() -> None:
    class Hasty(Server):
        def allows(self, number: int) -> bool:
            return number == 0 and self.most_open < 2

    server = Hasty()
    async with exchange_server(server.talk) as url:
        seen = await events(url, losses(1), exchange=BINANCE, clock=Clock(RATE, now_ms()))
    assert sorts(seen) == [Connected, Candle, Lost]


async def test_a_market_that_comes_is_subscribed_to_on_the_connection_that_is_open() -> None:
    asked, seen = asyncio.Queue[dict[str, object]](), asyncio.Queue[Event]()

    async def talk(socket: ServerConnection) -> None:
        while True:
            asked.put_nowait(json.loads(await socket.recv()))

    clock = Clock()
    async with exchange_server(talk) as url:
        way = Way(registry.get("binance"), url, http_client(clock), clock, Pace(9, clock), Complaints("binance"))
        shard = Shard(way, seen.put_nowait)
        shard.add([BTC])
        async with asyncio.timeout(30), running(shard.run()):
            first, connected = await asked.get(), await seen.get()
            shard.add([ETH])
            second = await asked.get()
            shard.drop([BTC])
            third = await asked.get()
    assert [(one["method"], one["params"]) for one in (first, second, third)] == [
        ("SUBSCRIBE", ["btcusdt@kline_1m"]),
        ("SUBSCRIBE", ["ethusdt@kline_1m"]),
        ("UNSUBSCRIBE", ["btcusdt@kline_1m"]),
    ]
    assert (connected, seen.empty()) == (Connected(), True)


async def test_a_market_that_an_exchange_forgot_is_subscribed_to_again_and_the_others_are_left_alone() -> None:
    """A socket that brings one market says nothing of the others."""
    asked = asyncio.Queue[str]()

    async def talk(socket: ServerConnection) -> None:
        async def hear() -> None:
            async for message in socket:
                asked.put_nowait(str(message))

        async with running(hear()):
            while True:
                await socket.send(kline(T0))
                await asyncio.sleep(0.02)

    async with exchange_server(talk) as url:
        until = lambda seen: asked.qsize() >= 3  # noqa: E731
        seen = await events(
            url, until, exchange=registry.get("binance"), instruments=[BTC, ETH], clock=Clock(RATE, now_ms())
        )
    said = [json.loads(asked.get_nowait()) for _ in range(3)]
    assert [(one["method"], one["params"]) for one in said] == [
        ("SUBSCRIBE", ["btcusdt@kline_1m", "ethusdt@kline_1m"]),
        ("UNSUBSCRIBE", ["ethusdt@kline_1m"]),
        ("SUBSCRIBE", ["ethusdt@kline_1m"]),
    ]
    assert {one.instrument for one in seen if isinstance(one, Stale)} == {ETH}
