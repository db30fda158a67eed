"""One WebSocket connection to an exchange: opened, listened to, and watched until something ends it."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus, WebSocketException

from common.clock import Clock
from common.errors import CandlehouseError, Ending, Malformed, Retryable
from common.market import Candle, Instrument
from common.ports import Exchange, Session
from fetchers.answers import blocked
from fetchers.certificates import disbelieved
from fetchers.complaints import Complaints
from fetchers.events import Connected, Event, Lost
from fetchers.http import BLOCKED_S, PAUSE_S, HttpClient
from fetchers.pace import Pace
from fetchers.rhythm import Rhythm
from fetchers.traffic import Traffic

log = structlog.get_logger(__name__)

#: Real seconds for opening and for closing politely.
OPEN_S, CLOSE_S = 15, 1
#: Frames that may wait to be read; beyond, the exchange has to wait.
WAITING_FRAMES = 4096
LARGEST_FRAME = 1 << 24

_LOST = (OSError, TimeoutError, WebSocketException, CandlehouseError)
_HERE = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class Way:
    """How to reach an exchange; `pace`, `complaints` and `traffic` are shared by all connections to it."""

    exchange: Exchange
    ws_url: str
    http: HttpClient
    clock: Clock
    pace: Pace
    complaints: Complaints
    traffic: Traffic = field(default_factory=Traffic)


class Conversation:
    """One connection. Candles, confirmations and Connected go to `tell`; `run` returns how it ended."""

    def __init__(
        self, way: Way, instruments: Sequence[Instrument], rhythm: Rhythm, tell: Callable[[Event], None]
    ) -> None:
        self._way = way
        self._traffic = way.traffic
        self._rhythm = rhythm
        self._tell = tell
        self._session: Session = way.exchange.session(instruments)
        self._unheard = {one.native_key for one in instruments}
        self._watch = _Watch(way.exchange.limits.silence_s, way.clock, rhythm)
        self._waiting: deque[str] = deque()
        self._has_news = asyncio.Event()
        #: A candle came: only that proves that a connection is good.
        self.is_fruitful = False
        #: Every market was confirmed, refused or heard of.
        self.is_complete = asyncio.Event()
        #: The exchange has said that it will end this connection.
        self.is_ending = asyncio.Event()

    def add(self, instruments: Sequence[Instrument]) -> None:
        self._session.add(instruments)
        self._collect()

    def drop(self, instruments: Sequence[Instrument]) -> None:
        self._session.drop(instruments)
        for one in instruments:
            self._hear_of(one)
        self._collect()

    async def run(self) -> Lost:
        way = self._way
        try:
            await way.pace.turn()
            async with _opened(self._session, way.ws_url, way.http) as socket:
                with self._watch.over(socket):
                    self._collect()
                    await self._say(socket)
                    self._tell(Connected())
                    with self._speaking(socket):
                        while True:
                            self._hear(await socket.recv(decode=False))
        except _LOST as error:
            reason = self._watch.verdict or _reason(error, way.exchange)
            return Lost(reason, self._watch.heard_ms, _told_s(error))

    def _hear(self, frame: bytes) -> None:
        candles, traffic = self._receive(frame), self._traffic
        traffic.frames += 1
        traffic.bytes += len(frame)
        traffic.candles += len(candles)
        now_ms = self._watch.hear()
        for candle in candles:
            self._rhythm.hear(candle.instrument.native_key, now_ms)
            if self._unheard:
                self._hear_of(candle.instrument)
            self.is_fruitful = True
            self._tell(candle)
        for answer in self._session.answered():
            self._hear_of(answer.instrument)
            self._tell(answer)
        self._collect()

    def _receive(self, frame: bytes) -> list[Candle]:
        try:
            return self._session.receive(frame)
        except Malformed as error:
            self._way.complaints.tell(error)
        except Ending as error:
            if not self.is_ending.is_set():
                log.info("A connection will end", exchange=self._way.exchange.name, reason=str(error))
            self.is_ending.set()
        return []

    def _hear_of(self, instrument: Instrument) -> None:
        self._unheard.discard(instrument.native_key)
        if not self._unheard:
            self.is_complete.set()

    def _collect(self) -> None:
        """What the session wants to say, to the exchange and to us."""
        if messages := self._session.to_send():
            self._waiting += messages
            self._has_news.set()
        for notice in self._session.notices():
            log.warning("The exchange has something to say", exchange=self._way.exchange.name, notice=notice)

    @contextmanager
    def _speaking(self, socket: ClientConnection) -> Iterator[None]:
        tasks = [asyncio.create_task(self._keep_saying(socket)), asyncio.create_task(self._ping(socket))]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()

    async def _say(self, socket: ClientConnection) -> None:
        """To the exchange, no faster than it allows."""
        while self._waiting:
            await socket.send(self._waiting.popleft())
            await self._way.clock.sleep(1 / self._way.exchange.limits.messages_per_second)

    async def _keep_saying(self, socket: ClientConnection) -> None:
        with suppress(*_LOST):  # whoever listens learns of it
            while True:
                self._has_news.clear()
                await self._say(socket)
                await self._has_news.wait()

    async def _ping(self, socket: ClientConnection) -> None:
        limits = self._way.exchange.limits
        with suppress(*_LOST):
            while limits.ping_s:
                await self._way.clock.sleep(limits.ping_s)
                await socket.send(limits.ping)


@asynccontextmanager
async def _opened(session: Session, ws_url: str, http: HttpClient) -> AsyncIterator[ClientConnection]:
    request = session.handshake()
    url = session.url(ws_url, await http.handshake(ws_url, request) if request else None)
    connecting = connect(
        url,
        compression=None,  # costs more time than the network does
        proxy=None if urlsplit(url).hostname in _HERE else True,
        user_agent_header="candlehouse",
        open_timeout=OPEN_S,
        close_timeout=CLOSE_S,
        max_size=LARGEST_FRAME,
        max_queue=WAITING_FRAMES,
    )
    async with connecting as socket:
        yield socket


class _Watch:
    """Cuts a connection on which nothing was heard for too long, or no candle against all likelihood.

    A timer, not a timeout around each read: that would cost more than decoding the frame.
    """

    def __init__(self, silence_s: float, clock: Clock, rhythm: Rhythm) -> None:
        self._silence_s = silence_s
        self._clock = clock
        self._rhythm = rhythm
        self.heard_ms: int | None = None
        self._heard_steady_ms = 0
        #: Why the connection was cut; empty for one that ended otherwise.
        self.verdict = ""

    @contextmanager
    def over(self, socket: ClientConnection) -> Iterator[None]:
        self.hear()
        self._plan(socket)
        try:
            yield
        finally:
            self._timer.cancel()

    def hear(self) -> int:
        """A frame came; the time."""
        self.heard_ms = now_ms = self._clock.now_ms()
        self._heard_steady_ms = self._clock.steady_ms()
        return now_ms

    def _plan(self, socket: ClientConnection) -> None:
        real_s = self._silence_s / 4 / self._clock.rate
        self._timer = asyncio.get_running_loop().call_later(real_s, self._look, socket)

    def _look(self, socket: ClientConnection) -> None:
        if self._clock.steady_ms() - self._heard_steady_ms >= self._silence_s * 1000:
            self.verdict = f"silent for {self._silence_s:g} s"
        elif self._rhythm.is_dead(self._clock.now_ms()):
            self.verdict = "no candle though its markets are heard of more often"
        if self.verdict:
            socket.transport.abort()
        else:
            self._plan(socket)


def _reason(error: BaseException, exchange: Exchange) -> str:
    if isinstance(error, InvalidStatus) and error.response.status_code in (403, 451):
        return str(blocked(exchange.name.capitalize(), error.response.status_code))
    return disbelieved(error) or str(error) or type(error).__name__


def _told_s(error: Exception) -> float | None:
    """How long the exchange asks us to stay away, or no attempt would help."""
    if isinstance(error, InvalidStatus) and error.response.status_code in (403, 451):
        return BLOCKED_S
    if isinstance(error, InvalidStatus) and error.response.status_code in (418, 429):
        told = error.response.headers.get("Retry-After", "")
        return float(told) if told.isascii() and told.isdecimal() else PAUSE_S
    return error.retry_after_s if isinstance(error, Retryable) else None
