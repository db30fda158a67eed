"""Live candles of one exchange over WebSockets: connections that are opened again whatever ends them."""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import NamedTuple
from urllib.parse import urlsplit

import structlog
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus, WebSocketException

from common.clock import Clock
from common.errors import CandlehouseError, Malformed, Retryable
from common.market import Candle, Instrument
from common.ports import Exchange, Session, Subscription
from fetchers.answers import batches, blocked
from fetchers.http import BLOCKED_S, PAUSE_S, HttpClient, back_off_s

log = structlog.get_logger(__name__)

#: Real seconds for opening and for closing politely.
OPEN_S, CLOSE_S = 15, 1
#: Frames that may wait to be read; beyond, the exchange has to wait.
WAITING_FRAMES = 4096
LARGEST_FRAME = 1 << 24
#: A connection that tells of no candle for this long, heartbeats or not, has forgotten our subscriptions.
NO_CANDLE_S = 900
#: Added to the minute within which connections are counted, for the way to the exchange takes its time.
MARGIN_MS = 1000

_LOST = (OSError, TimeoutError, WebSocketException, CandlehouseError)
_HERE = ("127.0.0.1", "localhost", "::1")


class Connected(NamedTuple):
    """Everything is asked for; each market's Subscription, or its first candle, says that it comes."""


class Lost(NamedTuple):
    """No connection. Nothing was heard after `since_ms` at the latest; None when nothing was ever heard."""

    reason: str
    since_ms: int | None


Event = Candle | Connected | Lost | Subscription


class Pace:
    """Turns for new connections, at most `per_minute` in any minute; shared by all shards of an exchange."""

    def __init__(self, per_minute: int, clock: Clock) -> None:
        self._clock = clock
        self._turns: deque[int] = deque(maxlen=per_minute)

    async def turn(self) -> None:
        now_ms = self._clock.now_ms()
        is_full = len(self._turns) == self._turns.maxlen
        turn_ms = max(now_ms, self._turns[0] + 60_000 + MARGIN_MS) if is_full else now_ms
        self._turns.append(turn_ms)
        await self._clock.sleep((turn_ms - now_ms) / 1000)


class Complaints:
    """Malformed frames: each is counted, the first of each kind is logged."""

    def __init__(self, exchange: str) -> None:
        self._exchange = exchange
        self.counts: Counter[str] = Counter()

    def tell(self, error: Malformed) -> None:
        self.counts[error.kind] += 1
        if self.counts[error.kind] == 1:
            log.warning(
                "A message is skipped, as all of its kind will be", exchange=self._exchange, error=str(error)
            )


def shards(exchange: Exchange, instruments: Sequence[Instrument]) -> list[list[Instrument]]:
    """What each connection subscribes to."""
    return [list(batch) for batch in batches(instruments, exchange.limits.subscriptions_per_socket)]


async def stream(
    exchange: Exchange,
    instruments: Sequence[Instrument],
    *,
    ws_url: str,
    http: HttpClient,
    clock: Clock,
    pace: Pace,
    complaints: Complaints,
) -> AsyncGenerator[Event, None]:
    """One shard, for ever: candles as they come, and the beginnings and ends of its connections.

    Only a candle proves that a connection is good: until one comes, each attempt may wait longer than the last.
    """
    failures, since_ms = 0, None
    while True:
        watch, session = _Watch(exchange.limits.silence_s, clock), exchange.session(instruments)
        try:
            await pace.turn()
            async with _opened(session, ws_url, http) as socket:
                with watch.over(socket):
                    await _send(session, socket, exchange, clock)
                    yield Connected()
                    while True:
                        frame = await socket.recv(decode=False)
                        candles = _receive(session, frame, complaints)
                        watch.hear(candles)
                        for candle in candles:
                            failures = 0
                            yield candle
                        for answer in session.answered():
                            yield answer
                        await _send(session, socket, exchange, clock)
        except _LOST as error:
            lost = Lost(watch.verdict or _reason(error, exchange), watch.heard_ms or since_ms)
            failures += 1
            wait_s = back_off_s(failures, _told_s(error))
        since_ms = lost.since_ms
        yield lost
        await clock.sleep(wait_s)


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


async def _send(session: Session, socket: ClientConnection, exchange: Exchange, clock: Clock) -> None:
    """What the session wants to say, to the exchange no faster than it allows, and to us."""
    for message in session.to_send():
        await socket.send(message)
        await clock.sleep(1 / exchange.limits.messages_per_second)
    for notice in session.notices():
        log.warning("The exchange has something to say", exchange=exchange.name, notice=notice)


def _receive(session: Session, frame: bytes, complaints: Complaints) -> list[Candle]:
    try:
        return session.receive(frame)
    except Malformed as error:
        complaints.tell(error)
        return []


class _Watch:
    """Cuts a connection on which nothing, or no candle, was heard for too long.

    A timer, not a timeout around each read: that would cost more than decoding the frame.
    """

    def __init__(self, silence_s: float, clock: Clock) -> None:
        self._silence_s = silence_s
        self._clock = clock
        self.heard_ms: int | None = None
        self._candle_ms = 0
        #: Why the connection was cut; empty for one that ended otherwise.
        self.verdict = ""

    @contextmanager
    def over(self, socket: ClientConnection) -> Iterator[None]:
        self.heard_ms = self._candle_ms = self._clock.now_ms()
        self._plan(socket)
        try:
            yield
        finally:
            self._timer.cancel()

    def hear(self, candles: Sequence[Candle]) -> None:
        self.heard_ms = self._clock.now_ms()
        if candles:
            self._candle_ms = self.heard_ms

    def _plan(self, socket: ClientConnection) -> None:
        real_s = self._silence_s / 4 / self._clock.rate
        self._timer = asyncio.get_running_loop().call_later(real_s, self._look, socket)

    def _look(self, socket: ClientConnection) -> None:
        now_ms = self._clock.now_ms()
        if now_ms - (self.heard_ms or 0) >= self._silence_s * 1000:
            self.verdict = f"silent for {self._silence_s:g} s"
        elif now_ms - self._candle_ms >= NO_CANDLE_S * 1000:
            self.verdict = f"no candle for {NO_CANDLE_S} s"
        if self.verdict:
            socket.transport.abort()
        else:
            self._plan(socket)


def _reason(error: BaseException, exchange: Exchange) -> str:
    if isinstance(error, InvalidStatus) and error.response.status_code in (403, 451):
        return str(blocked(exchange.name.capitalize(), error.response.status_code))
    return str(error) or type(error).__name__


def _told_s(error: Exception) -> float | None:
    """How long the exchange asks us to stay away, or no attempt would help."""
    if isinstance(error, InvalidStatus) and error.response.status_code in (403, 451):
        return BLOCKED_S
    if isinstance(error, InvalidStatus) and error.response.status_code in (418, 429):
        told = error.response.headers.get("Retry-After", "")
        return float(told) if told.isascii() and told.isdecimal() else PAUSE_S
    return error.retry_after_s if isinstance(error, Retryable) else None
