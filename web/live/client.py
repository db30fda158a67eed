"""One WebSocket's outbox: a slow client gets fewer, newer updates, and never makes anybody wait."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass

#: A socket that takes no frame for this long is dead.
SEND_LIMIT_S = 20.0
#: Replies waiting to be sent, beyond which a client's next request waits.
MOST_REPLIES = 64


@dataclass(slots=True)
class Sent:
    """What became of the messages to all clients of this process; `dropped` counts clients that took none."""

    messages: int = 0
    conflated: int = 0
    dropped: int = 0


class Client:
    """`offer` never waits. Of each bar only the newest state is kept until the socket takes it."""

    def __init__(self, sent: Sent | None = None) -> None:
        self._sent = sent or Sent()
        self._frames: dict[Hashable, str] = {}
        self._replies = 0
        self._some = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    def offer(self, key: Hashable, frame: str) -> None:
        """Send `frame` instead of whatever was waiting under `key`."""
        if key in self._frames:
            self._sent.conflated += 1
        self._frames[key] = frame
        self._some.set()

    def forget(self, unwanted: Callable[[Hashable], bool]) -> None:
        """Drop what waits under the keys that are not wanted any more."""
        for key in [key for key in self._frames if unwanted(key)]:
            del self._frames[key]

    async def reply(self, text: str) -> None:
        """Send `text` for certain; waits while a client asks faster than it reads."""
        await self._room.wait()
        self._replies += 1
        if self._replies >= MOST_REPLIES:
            self._room.clear()
        self.offer(_Reply(), text)

    async def send_to(self, send: Callable[[str], Awaitable[None]]) -> None:
        """Feed the socket for ever; TimeoutError when it takes nothing for SEND_LIMIT_S."""
        while True:
            await self._some.wait()
            self._some.clear()
            while self._frames:
                key = next(iter(self._frames))
                text = self._frames.pop(key)
                try:
                    async with asyncio.timeout(SEND_LIMIT_S):
                        await send(text)
                except TimeoutError:
                    self._sent.dropped += 1
                    raise
                self._sent.messages += 1
                if isinstance(key, _Reply):
                    self._replies -= 1
                    self._room.set()


class _Reply:
    """The key of something that nothing replaces."""
