"""A client's outbox, without a socket."""

import asyncio
import time

import msgspec
import pytest

from web.live.client import KEY_BITS, Client, Options, Sent
from web.live.limits import (
    CANDLE_BYTES,
    FULL_FOR_S,
    MOST_REPLIES_BYTES,
    MOST_WAITING,
    MOST_WAITING_BYTES,
    SEND_LIMIT_S,
    Closing,
)

LIMIT_S = 5
#: Keys of bars of two boards.
BTC, ETH = 1 << KEY_BITS, 2 << KEY_BITS


class Socket:
    """Takes frames only while it is open."""

    def __init__(self) -> None:
        self.taken: list[str | bytes] = []
        self.open = asyncio.Event()
        self._changed = asyncio.Condition()

    async def send(self, frame: str | bytes) -> None:
        await self.open.wait()
        async with self._changed:
            self.taken.append(frame)
            self._changed.notify_all()

    async def until_taken(self, count: int) -> None:
        async with asyncio.timeout(LIMIT_S), self._changed:
            await self._changed.wait_for(lambda: len(self.taken) >= count)


async def taken(client: Client, count: int) -> list[str | bytes]:
    """What a socket takes that is open."""
    socket = Socket()
    socket.open.set()
    async with asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(client.send_to(socket.send))
        await socket.until_taken(count)
        sending.cancel()
    return socket.taken


async def test_a_slow_socket_gets_the_newest_state_of_each_bar_in_the_order_in_which_they_were_told() -> None:
    sent = Sent()
    socket, client = Socket(), Client(sent)
    async with asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(client.send_to(socket.send))
        client.offer(ETH, "1a")
        await asyncio.sleep(0)  # the socket is offered the first frame and does not take it
        for state in "abc":
            client.offer(BTC, f"10:00{state}")
            client.offer(BTC + 1, f"10:01{state}")
        client.offer(BTC, "10:00d")
        socket.open.set()
        await socket.until_taken(3)
        sending.cancel()
    assert socket.taken == ["1a", "10:01c", "10:00d"]
    assert sent == Sent(messages=3, conflated=5)


async def test_what_is_not_wanted_any_more_is_not_sent() -> None:
    client = Client()
    client.offer(BTC + 7, "old")
    client.offer(ETH + 7, "kept")
    client.forget({BTC >> KEY_BITS})
    assert await taken(client, 1) == ["kept"]


async def test_what_is_said_comes_after_what_was_offered_and_before_what_is_offered_later() -> None:
    client = Client()
    client.offer(BTC, "1")
    client.say("said")
    client.offer(BTC, "2")
    assert await taken(client, 3) == ["1", "said", "2"]


async def test_a_batch_holds_all_that_waits_when_it_is_let_go() -> None:
    client = Client()
    client.set(Options(batch=True))
    for price in (1, 2):
        client.offer(BTC, f'{{"c":{price}}}')
        client.offer(ETH, f'{{"c":{price}0}}')
    client.flush()
    (batch,) = await taken(client, 1)
    assert msgspec.json.decode(batch) == {"event": "batch", "candles": [{"c": 2}, {"c": 20}]}


@pytest.mark.parametrize("count", [1, 15, 16, 400])
async def test_a_packed_batch_is_one_msgpack_message(count: int) -> None:
    client = Client()
    client.set(Options(batch=True, packed=True))
    for number in range(count):
        client.offer(BTC + number, msgspec.msgpack.encode({"n": number}))
    client.flush()
    (batch,) = await taken(client, 1)
    assert msgspec.msgpack.decode(batch) == {"event": "batch", "candles": [{"n": n} for n in range(count)]}


async def test_a_client_that_asks_without_reading_is_made_to_wait() -> None:
    socket, client = Socket(), Client()
    answer = "x" * (MOST_REPLIES_BYTES // 4)
    async with asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(client.send_to(socket.send))
        for _ in range(5):  # of which the first waits in the socket
            await client.reply(answer)
            await asyncio.sleep(0)
        asking = tasks.create_task(client.reply("one more"))
        await asyncio.sleep(0)
        assert not asking.done()
        socket.open.set()
        await socket.until_taken(6)
        sending.cancel()
    assert socket.taken[-1] == '"one more"'


async def test_a_socket_that_takes_nothing_or_lets_too_much_wait_is_given_up() -> None:
    for waits_s, bars in ((SEND_LIMIT_S + 1, 1), (FULL_FOR_S + 0.1, MOST_WAITING_BYTES // CANDLE_BYTES + 2)):
        sent, socket = Sent(), Socket()
        client = Client(sent)
        async with asyncio.TaskGroup() as tasks:
            sending = tasks.create_task(client.send_to(socket.send))
            client.offer(BTC, "frame")
            await asyncio.sleep(0)
            client.check(time.monotonic())
            for number in range(bars):
                client.offer(ETH + number, "frame")
            client.check(time.monotonic() + FULL_FOR_S / 2)
            assert not client.ended.done(), "a healthy client's socket is full for a moment, too"
            client.check(time.monotonic() + waits_s)
            sending.cancel()
        closing = client.ended.exception()
        assert isinstance(closing, Closing)
        assert (closing.code, sent.dropped) == (1008, 1)


async def test_what_comes_all_at_once_for_a_full_socket_is_given_up_before_it_costs_much() -> None:
    sent, socket = Sent(), Socket()
    client = Client(sent)
    most = 0
    async with asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(client.send_to(socket.send))
        client.offer(BTC, "frame")
        await asyncio.sleep(0)
        for number in range(10 * MOST_WAITING):  # nobody else has a turn meanwhile
            client.offer(ETH + number, "frame")
            most = max(most, len(client.candles))
            assert client.ended.done() == (number >= MOST_WAITING)
        sending.cancel()
    assert most == MOST_WAITING
    assert isinstance(client.ended.exception(), Closing)
    assert sent.dropped == 1


async def test_heartbeats_do_not_keep_newer_states_from_replacing_what_waits_for_a_full_socket() -> None:
    socket, client = Socket(), Client()
    client.set(Options(heartbeat_s=1))
    async with asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(client.send_to(socket.send))
        later_s = time.monotonic() + 2
        assert client.is_due(later_s)
        client.offer(BTC, "1")
        await asyncio.sleep(0)
        assert not client.is_due(later_s + 5)
        socket.open.set()
        await socket.until_taken(1)
        await asyncio.sleep(0)
        assert client.is_due(later_s + 5)
        sending.cancel()


async def test_a_client_that_takes_all_is_not_slow_however_much_waits_for_its_pace() -> None:
    client = Client()
    client.set(Options(max_rate=0.1))
    for number in range(MOST_WAITING_BYTES // CANDLE_BYTES + 2):
        client.offer(ETH + number, "frame")
    client.check(time.monotonic() + SEND_LIMIT_S + 1)
