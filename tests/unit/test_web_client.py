"""A client's outbox, without a socket."""

import asyncio

import pytest

from web.live import client as client_module
from web.live.client import MOST_REPLIES, Client, Sent

LIMIT_S = 5


class Socket:
    """Takes frames only while it is open."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.open = asyncio.Event()
        self._changed = asyncio.Condition()

    async def send(self, text: str) -> None:
        await self.open.wait()
        async with self._changed:
            self.taken.append(text)
            self._changed.notify_all()

    async def until_taken(self, count: int) -> None:
        async with asyncio.timeout(LIMIT_S), self._changed:
            await self._changed.wait_for(lambda: len(self.taken) >= count)


async def test_a_slow_socket_gets_the_newest_state_of_each_bar_in_their_order() -> None:
    sent = Sent()
    socket, client = Socket(), Client(sent)
    async with asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(client.send_to(socket.send))
        client.offer("first", "1a")
        await asyncio.sleep(0)  # the socket is offered the first frame and does not take it
        for state in "abc":
            client.offer("10:00", f"10:00{state}")
            client.offer("10:01", f"10:01{state}")
        socket.open.set()
        await socket.until_taken(3)
        sending.cancel()
    assert socket.taken == ["1a", "10:00c", "10:01c"]
    assert sent == Sent(messages=3, conflated=4)


async def test_what_is_not_wanted_any_more_is_not_sent() -> None:
    socket, client = Socket(), Client()
    socket.open.set()
    client.offer(("BTC", 1), "old")
    client.offer(("ETH", 1), "kept")
    client.forget(lambda key: isinstance(key, tuple) and key[0] == "BTC")
    async with asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(client.send_to(socket.send))
        await socket.until_taken(1)
        sending.cancel()
    assert socket.taken == ["kept"]


async def test_a_client_that_asks_without_reading_is_made_to_wait() -> None:
    socket, client = Socket(), Client()
    async with asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(client.send_to(socket.send))
        for number in range(MOST_REPLIES):
            await client.reply(str(number))
        asking = tasks.create_task(client.reply("one more"))
        await asyncio.sleep(0)
        assert not asking.done()
        socket.open.set()
        await socket.until_taken(MOST_REPLIES + 1)
        sending.cancel()
    assert socket.taken == [*map(str, range(MOST_REPLIES)), "one more"]


async def test_a_socket_that_takes_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "SEND_LIMIT_S", 0.01)
    sent = Sent()
    client = Client(sent)
    client.offer("bar", "frame")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(LIMIT_S):
            await client.send_to(Socket().send)
    assert sent == Sent(dropped=1)
