"""One WebSocket's outbox: a slow client gets fewer, newer updates, and never makes anybody wait."""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Container
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

from web.live.frames import Encoded, batch, encoded
from web.live.limits import (
    BATCH_MS,
    CANDLE_BYTES,
    FULL_FOR_S,
    MOST_BATCHED,
    MOST_REPLIES_BYTES,
    MOST_WAITING,
    MOST_WAITING_BYTES,
    SEND_LIMIT_S,
    SLOW,
    TOO_SLOW,
    Closing,
)

#: A candle's key is its board's number, shifted by so many bits, and the bar's start in minutes.
KEY_BITS = 32
#: Frames written one after another before others have their turn.
AT_A_TIME = 64


@dataclass(slots=True)
class Sent:
    """What became of the messages to all clients of this process; `dropped`: clients that took too little."""

    messages: int = 0
    conflated: int = 0
    dropped: int = 0


class Options(NamedTuple):
    """How a connection wants to be told. `max_rate`: flushes a second; `heartbeat_s`: 0 is none."""

    batch: bool = False
    max_rate: float | None = None
    heartbeat_s: int = 0
    packed: bool = False

    @property
    def pause_ms(self) -> int:
        """Between two flushes; 0 sends at once."""
        if self.max_rate:
            return round(1000 / self.max_rate)
        return BATCH_MS if self.batch else 0


class Client:
    """`offer` and `say` never wait. Of each bar only the newest state is kept until the socket takes it."""

    def __init__(self, sent: Sent | None = None) -> None:
        self.options = Options()
        #: What waits, by bar, in the order in which it was told last.
        self.candles: dict[int, Encoded] = {}
        #: Those of its streams.
        self.exchanges: set[str] = set()
        #: Fails with the Closing that ends the connection.
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sent = sent or Sent()
        self._ready: deque[Encoded] = deque()
        self._ready_bytes = 0
        self._some = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._prompt = True
        self._sending_since: float | None = None
        self._next_heartbeat_s = 0.0

    def set(self, options: Options) -> None:
        """What waits is sent as it was asked for."""
        self._seal()
        self.options = options
        self._prompt = not options.pause_ms
        self._next_heartbeat_s = time.monotonic() + options.heartbeat_s
        self._some.set()

    def offer(self, key: int, frame: Encoded) -> None:
        """Send the candle `frame` instead of whatever was waiting under `key`."""
        if self.candles.pop(key, None) is not None:
            self._sent.conflated += 1
        self.candles[key] = frame
        if self._prompt:
            self._some.set()
        if len(self.candles) > MOST_WAITING and self._sending_since is not None:
            self._give_up()

    def flush(self) -> None:
        """Let go what waits."""
        if self.candles:
            self._some.set()

    def say(self, frame: Encoded) -> None:
        """Send `frame` for certain, after what was offered before."""
        self._seal()
        self._put(frame)
        self._some.set()

    def tell(self, message: Any) -> None:
        self.say(encoded(message, packed=self.options.packed))

    async def reply(self, message: Any) -> None:
        """The same; waits while a client asks faster than it reads."""
        await self.room()
        self.tell(message)

    async def room(self) -> None:
        """Until the socket has taken most of what was said."""
        await self._room.wait()

    def forget(self, boards: Container[int]) -> None:
        """Drop the candles of these boards that wait."""
        for key in [key for key in self.candles if key >> KEY_BITS in boards]:
            del self.candles[key]

    @property
    def waiting_bytes(self) -> int:
        """At most so much memory is held for this client alone."""
        return len(self.candles) * CANDLE_BYTES + self._ready_bytes

    def check(self, now_s: float) -> None:
        """End it when the socket takes too little."""
        if self._sending_since is None:
            return
        full_s = now_s - self._sending_since
        if full_s > SEND_LIMIT_S or (full_s > FULL_FOR_S and self.waiting_bytes > MOST_WAITING_BYTES):
            self._give_up()

    def _give_up(self) -> None:
        """What waits would grow until its end, which takes a moment."""
        self.candles.clear()
        self._ready.clear()
        self._ready_bytes = 0
        if not self.ended.done():
            self._sent.dropped += 1
            self.ended.set_exception(Closing(SLOW, TOO_SLOW))

    def is_due(self, now_s: float) -> bool:
        """Whether a heartbeat is due, which is then the caller's to send.

        Never while the socket is full: what is said fixes what waits before it, which newer states should replace.
        """
        if not self.options.heartbeat_s or now_s < self._next_heartbeat_s or self._sending_since is not None:
            return False
        self._next_heartbeat_s = now_s + self.options.heartbeat_s
        return True

    async def send_to(self, send: Callable[[Any], Awaitable[None]]) -> None:
        """Feed the socket for ever."""
        count = 0
        while True:
            await self._some.wait()
            self._some.clear()
            while frame := self._next():
                self._sending_since = time.monotonic()
                await send(frame)
                self._sending_since = None
                self._sent.messages += 1
                count += 1
                if count % AT_A_TIME == 0:
                    await asyncio.sleep(0)

    def _next(self) -> Encoded | None:
        if not self._ready:
            if not self.candles:
                return None
            if self.options.batch:
                return self._batch()
            return self.candles.pop(next(iter(self.candles)))
        frame = self._ready.popleft()
        self._ready_bytes -= len(frame)
        if self._ready_bytes < MOST_REPLIES_BYTES:
            self._room.set()
        return frame

    def _batch(self) -> Encoded:
        if len(self.candles) <= MOST_BATCHED:
            frames = [*self.candles.values()]
            self.candles.clear()
        else:
            keys = [*islice(self.candles, MOST_BATCHED)]
            frames = [self.candles.pop(key) for key in keys]
        return batch(frames, packed=self.options.packed)

    def _seal(self) -> None:
        """What waits cannot be replaced any more, so that what is said next comes after it."""
        while self.candles:
            if self.options.batch:
                self._put(self._batch())
            else:
                for frame in self.candles.values():
                    self._put(frame)
                self.candles.clear()

    def _put(self, frame: Encoded) -> None:
        self._ready.append(frame)
        self._ready_bytes += len(frame)
        if self._ready_bytes >= MOST_REPLIES_BYTES:
            self._room.clear()
        if self._ready_bytes > MOST_WAITING_BYTES and self._sending_since is not None:
            self._give_up()
