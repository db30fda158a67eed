"""A stream never ends: whatever the exchange or the network do, it comes back, and not too often."""

import asyncio
from collections.abc import Callable
from http import HTTPStatus

import pytest
from structlog.testing import capture_logs
from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from common.clock import Clock
from common.market import Candle, Instrument
from common.ports import Subscription
from fetchers import registry
from fetchers.complaints import Complaints
from fetchers.events import Connected, Event, Lost
from tests.fixtures.feed import now_ms
from tests.fixtures.live import (
    BTC,
    ETH,
    T0,
    UST,
    LeapClock,
    SetClock,
    candle,
    events,
    exchange_server,
    kline,
    limited,
    losses,
    told_candles,
)

BINANCE, BITFINEX = registry.get("binance"), registry.get("bitfinex")
DSH = Instrument("bitfinex", "DASH", "BTC", "DSHBTC", "DSH", "BTC")


def waits(clock: LeapClock) -> list[float]:
    """The back-offs, without the pauses between messages."""
    return [seconds for seconds in clock.sleeps if seconds >= 1]


async def hang_up(socket: ServerConnection) -> None:
    await socket.recv()


async def one_candle(socket: ServerConnection) -> None:
    await socket.recv()
    await socket.send(kline(T0))


async def test_a_server_that_accepts_and_hangs_up_is_not_hammered(monkeypatch: pytest.MonkeyPatch) -> None:
    """W23: a handshake proves nothing."""
    monkeypatch.setattr("random.uniform", lambda least, most: most)
    clock = LeapClock()
    async with exchange_server(hang_up) as url:
        await events(url, losses(8), clock=clock)
    assert waits(clock)[:7] == [2, 4, 8, 16, 32, 60, 60]


async def test_a_candle_starts_the_back_off_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.uniform", lambda least, most: most)
    clock = LeapClock()
    async with exchange_server(one_candle) as url:
        seen = await events(url, losses(4), clock=clock)
    assert waits(clock)[:3] == [2, 2, 2]
    assert [type(one) for one in seen] == [Connected, Candle, Lost] * 4


async def test_back_offs_are_jittered_all_the_way_down() -> None:
    """W23: the connections of an exchange do not come back in one instant."""
    clock = LeapClock()
    async with exchange_server(hang_up) as url:
        await events(url, losses(30), clock=clock)
    late = [seconds for seconds in clock.sleeps[20:] if seconds not in (0, 0.25)]
    assert len(set(late)) == len(late)
    assert max(late) <= 60
    assert min(late) < 30


async def test_a_silent_server_is_left() -> None:
    async def silent(socket: ServerConnection) -> None:
        await socket.wait_closed()

    async with exchange_server(silent) as url:
        seen = await events(url, losses(1), exchange=limited(BINANCE, silence_s=0.2), clock=Clock())
    assert [type(one) for one in seen] == [Connected, Lost]
    assert seen[1].reason == "silent for 0.2 s"


async def test_a_server_with_heartbeats_but_no_candles_is_left() -> None:
    async def beating(socket: ServerConnection) -> None:
        while True:
            await socket.send('[1,"hb"]')
            await asyncio.sleep(0.02)

    async with exchange_server(beating) as url:
        exchange = limited(BITFINEX, silence_s=300)
        seen = await events(url, losses(1), exchange=exchange, instruments=[UST], clock=Clock(600, now_ms()))
    assert seen[-1].reason == "no candle though its markets are heard of more often"


async def test_a_malformed_message_is_counted_logged_once_and_skipped() -> None:
    async def confused(socket: ServerConnection) -> None:
        for frame in ("{", b"\xff\xfe", kline(T0), kline(T0, symbol="XYZ"), kline(T0, 2)):
            await socket.send(frame)
        await socket.wait_closed()

    complaints = Complaints("binance")
    async with exchange_server(confused) as url:
        with capture_logs() as logs:
            seen = await events(url, told_candles(2), complaints=complaints)
    assert seen == [Connected(), candle(0, 1), candle(0, 2)]
    assert complaints.counts == {"binance frame": 2, "binance kline of a series not subscribed": 1}
    assert sum("A message is skipped" in one["event"] for one in logs) == 2


async def test_a_refused_subscription_costs_one_symbol() -> None:
    """W23: it ended the whole process."""

    async def picky(socket: ServerConnection) -> None:
        await socket.recv()
        await socket.send('{"event":"error","msg":"symbol: invalid","code":10300,"symbol":"tDSHBTC"}')
        await socket.send('{"event":"subscribed","channel":"candles","chanId":7,"key":"trade:1m:tBTCUST"}')
        await socket.send(f"[7,[{T0},1,1.5,2,0.5,3]]")
        await socket.wait_closed()

    async with exchange_server(picky) as url:
        seen = await events(url, told_candles(1), exchange=BITFINEX, instruments=[DSH, UST])
    refused = Subscription(DSH, "symbol: invalid (10300)")
    assert [one if isinstance(one, Subscription) else type(one) for one in seen] == [
        *(Connected, refused, Subscription(UST), Candle)
    ]


def answer(status: HTTPStatus, **headers: str) -> Callable[[ServerConnection, Request], Response]:
    return lambda socket, request: Response(status, status.phrase, Headers(headers), b"")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        pytest.param("ws://127.0.0.1:1", "Connect", id="nobody listens"),
        pytest.param("ws://no.such.host.invalid", "", id="a name that nobody knows"),
        pytest.param("wss://127.0.0.1:{port}", "", id="no TLS"),
        pytest.param("ws://127.0.0.1:{port}", "HTTP 503", id="a server that refuses"),
    ],
)
async def test_whatever_keeps_from_connecting_is_tried_again(url: str, reason: str) -> None:
    """W23: only two kinds of error were."""
    refuse = answer(HTTPStatus.SERVICE_UNAVAILABLE)
    async with exchange_server(hang_up, process_request=refuse) as server:
        seen = await events(url.replace("{port}", server.rpartition(":")[2]), losses(3))
    assert [type(one) for one in seen] == [Lost] * 3
    assert all(reason in one.reason for one in seen)


async def test_a_negotiation_that_fails_is_tried_again() -> None:
    seen = await events("ws://127.0.0.1:1", losses(2), exchange=registry.get("bittrex"), instruments=[BTC])
    assert [type(one) for one in seen] == [Lost] * 2


async def test_an_exchange_that_says_how_long_to_stay_away_is_obeyed() -> None:
    clock, busy = LeapClock(), answer(HTTPStatus.TOO_MANY_REQUESTS, **{"Retry-After": "77"})
    async with exchange_server(hang_up, process_request=busy) as url:
        await events(url, losses(3), clock=clock)
    assert len(waits(clock)) >= 2 and min(waits(clock)) >= 77


async def test_an_exchange_that_refuses_this_network_is_left_alone_for_long_and_the_reason_says_why() -> None:
    clock, refuse = LeapClock(), answer(HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS)
    async with exchange_server(hang_up, process_request=refuse) as url:
        seen = await events(url, losses(2), clock=clock)
    assert {one.reason for one in seen if isinstance(one, Lost)} == {
        "Binance refuses this network or country (HTTP 451): ask it from elsewhere, through HTTPS_PROXY"
        " or from another host, or leave it out of EXCHANGES and choose another."
    }
    assert min(waits(clock)) >= 600


async def test_an_exchange_that_asks_to_connect_again_is_obeyed() -> None:
    async def restarting(socket: ServerConnection) -> None:
        await socket.recv()
        await socket.send('{"event":"info","code":20051,"msg":"Stop/Restart"}')
        await socket.wait_closed()

    async with exchange_server(restarting) as url:
        seen = await events(url, losses(2), exchange=BITFINEX, instruments=[UST])
    assert [type(one) for one in seen] == [Connected, Lost] * 2


async def test_a_loss_tells_since_when_nothing_was_heard() -> None:
    """So that the minutes since can be asked for by REST; failed attempts do not move that moment."""
    clock, served = LeapClock(), 0

    async def once(socket: ServerConnection) -> None:
        nonlocal served
        served += 1
        if served == 1:
            await one_candle(socket)

    def refusing(socket: ServerConnection, request: Request) -> Response | None:
        return Response(503, "", Headers(), b"") if served else None

    async with exchange_server(once, process_request=refusing) as url:
        seen = await events(url, losses(3), clock=clock)
    since = {one.since_ms for one in seen if isinstance(one, Lost)}
    assert since == {T0 + 250}, "the candle came after the pause that follows the one subscription"


async def test_a_stream_can_be_ended_at_any_moment() -> None:
    async def talk(socket: ServerConnection) -> None:
        while True:
            await socket.send(kline(T0, symbol="ETHUSDT"))
            await asyncio.sleep(0)

    async with exchange_server(talk) as url:
        seen: list[Event] = await events(url, told_candles(100), instruments=[ETH], clock=Clock())
    assert seen[-1] == candle(0, 1, instrument=ETH)


async def test_an_exchange_hears_its_ping_as_often_as_it_wants_to_on_every_connection() -> None:
    """Twice a minute of the Clock's time, in which this test is over at once."""
    heard: list[list[str | bytes]] = []

    async def listening(socket: ServerConnection) -> None:
        heard.append([await socket.recv() for _ in range(4)])

    exchange = limited(BINANCE, ping_s=30, ping="ping", silence_s=100_000)
    async with exchange_server(listening) as url:
        seen = await events(url, losses(2), exchange=exchange, clock=Clock(300))
    (subscription,) = exchange.session([BTC]).to_send()
    assert heard == [[subscription, "ping", "ping", "ping"]] * 2
    assert [type(one) for one in seen] == [Connected, Lost] * 2


async def test_an_exchange_that_wants_no_ping_hears_none() -> None:
    heard: list[str | bytes] = []

    async def listening(socket: ServerConnection) -> None:
        async for message in socket:
            heard.append(message)

    exchange = limited(BINANCE, silence_s=120)
    async with exchange_server(listening) as url:
        await events(url, losses(1), exchange=exchange, clock=Clock(300))
    assert heard == exchange.session([BTC]).to_send()


async def test_a_clock_set_forward_is_no_silence() -> None:
    clock = SetClock()

    async def talk(socket: ServerConnection) -> None:
        for volume in range(1, 4):
            await socket.send(kline(T0, volume))
            await asyncio.sleep(0.2)
            clock.set_by_ms = 60_000
            await asyncio.sleep(0.8)

    async with exchange_server(talk) as url:
        seen = await events(url, told_candles(3), exchange=limited(BINANCE, silence_s=2), clock=clock)
    assert [type(one) for one in seen] == [Connected, Candle, Candle, Candle]


async def test_a_clock_set_back_hides_no_silence() -> None:
    clock = SetClock()

    async def talk(socket: ServerConnection) -> None:
        await socket.send(kline(T0, 1))
        await asyncio.sleep(0.5)
        clock.set_by_ms = -60_000
        await socket.wait_closed()

    async with exchange_server(talk) as url:
        seen = await events(url, losses(1), exchange=limited(BINANCE, silence_s=2), clock=clock)
    assert seen[-1].reason == "silent for 2 s"
