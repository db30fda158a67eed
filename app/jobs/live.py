"""Keep one exchange's live candles flowing into Redis, whatever the exchange, the network or Redis do."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing, suppress
from typing import Any

import structlog
from redis.asyncio import Redis

from app.buffer import Buffer
from app.jobs.closing import Closing
from app.jobs.outage import Outage
from app.stores import heartbeat
from app.stores.latest import LiveSink
from common.clock import Clock
from common.errors import Malformed, Retryable
from common.market import Candle, Instrument
from common.ports import Exchange, Subscription
from fetchers.http import HttpClient
from fetchers.stream import Complaints, Connected, Lost, Pace, shards, stream

log = structlog.get_logger(__name__)

#: Of the connections a minute that an exchange allows; a stream that is started again forgets those it had opened.
CONNECTIONS_SHARE = 0.8
#: Candles in one write.
BATCH = 500
#: Real seconds between two heartbeats, and for the last write of a job that is stopped.
BEAT_S, LAST_WRITE_S = 5.0, 2.0


async def run_live(
    exchange: Exchange,
    instruments: Sequence[Instrument],
    *,
    ws_url: str,
    http: HttpClient,
    redis: Redis,
    clock: Clock,
) -> None:
    """Never returns; cancel it. A closed exchange is told as such and left alone at its real address."""
    live = Live(exchange, instruments, redis, clock)
    if reason := _why_idle(exchange, instruments, ws_url):
        log.error("No live candles", exchange=exchange.name, reason=reason)
        live.idle(reason)
        return await live.beat()
    pace = Pace(max(1, int(exchange.limits.connections_per_minute * CONNECTIONS_SHARE)), clock)
    how: dict[str, Any] = {"ws_url": ws_url, "http": http, "pace": pace}
    try:
        async with asyncio.TaskGroup() as tasks:
            for number, shard in enumerate(shards(exchange, instruments)):
                tasks.create_task(live.follow(number, shard, **how))
            for work in (live.close_minutes, live.write, live.beat):
                tasks.create_task(work())
    finally:
        await live.write_rest()


class Live:
    """One run: from events to closed minutes to the buffer, and from there to Redis."""

    def __init__(self, exchange: Exchange, instruments: Sequence[Instrument], redis: Redis, clock: Clock) -> None:
        self._exchange = exchange
        self._clock = clock
        self._complaints = Complaints(exchange.name)
        self._closing = Closing(serves_quiet_minutes=exchange.serves_quiet_minutes)
        self._buffer = Buffer()
        self._sink = LiveSink(redis, clock, instruments)
        self._redis = redis
        self._outage = Outage("Redis", clock)
        self._symbols = len(instruments)
        self._state = "connecting"
        self._up: set[int] = set()
        self._broken: set[int] = set()
        self._missed = False
        self._last_candle_ms = self._heard_ms = 0
        self._last_error = ""
        self._changed = asyncio.Event()

    def idle(self, reason: str) -> None:
        self._state, self._last_error = "closed", reason

    async def follow(self, number: int, shard: Sequence[Instrument], **how: Any) -> None:
        """Take what one connection tells."""
        events = stream(self._exchange, shard, clock=self._clock, complaints=self._complaints, **how)
        async with aclosing(events):
            async for event in events:
                if type(event) is Candle:
                    self._take(event)
                elif isinstance(event, Lost):
                    self._lose(number, event)
                elif isinstance(event, Connected):
                    self._regain(number, len(shard))
                elif isinstance(event, Subscription) and event.refusal:
                    market = event.instrument.key
                    log.warning("Subscription refused", market=market, reason=event.refusal)

    async def close_minutes(self) -> None:
        """Let time close what no message closes."""
        while True:
            await self._clock.sleep(max(1, self._clock.rate / 20))
            for message in self._closing.tick(self._clock.now_ms()):
                self._buffer.put(message)

    async def write(self) -> None:
        """From the buffer to Redis. While Redis is away the buffer keeps the newest of each minute."""
        while True:
            batch = await self._buffer.take(BATCH)
            writing = asyncio.ensure_future(self._sink.write(batch))
            try:
                await asyncio.shield(writing)
            except Retryable as error:
                self._buffer.put_back(batch)
                await self._outage.wait(error)
            except BaseException:
                if not await _ends_well(writing):
                    self._buffer.put_back(batch)
                raise
            else:
                self._outage.over()

    async def write_rest(self) -> None:
        """When stopped: what is still here goes out if Redis takes it now."""
        with suppress(Retryable, TimeoutError):
            async with asyncio.timeout(LAST_WRITE_S):
                while len(self._buffer):
                    await self._sink.write(await self._buffer.take(BATCH))

    async def beat(self) -> None:
        """Say every few seconds, and at once when something changed, how it goes."""
        while True:
            self._changed.clear()
            # Away, Redis needs no second complaint: the writer has told it.
            with suppress(Retryable):
                await heartbeat.tell(self._redis, self._exchange.name, self._fields())
                if self._missed:
                    await heartbeat.ring(self._redis, self._exchange.name)
                    self._missed = False
            with suppress(TimeoutError):
                async with asyncio.timeout(BEAT_S):
                    await self._changed.wait()

    def _take(self, candle: Candle) -> None:
        self._heard_ms = now_ms = self._clock.now_ms()
        try:
            message = self._closing.feed(candle, now_ms)
        except Malformed as error:
            return self._complaints.tell(error)
        if candle.open_ms > self._last_candle_ms:
            if not self._last_candle_ms:
                self._changed.set()  # readiness waits for this
            self._last_candle_ms = candle.open_ms
        if message is not None:
            self._buffer.put(message)

    def _lose(self, number: int, lost: Lost) -> None:
        log.warning("Connection lost", exchange=self._exchange.name, shard=number, reason=lost.reason)
        self._up.discard(number)
        self._last_error = lost.reason
        if lost.since_ms is not None:
            self._broken.add(number)
        self._changed.set()

    def _regain(self, number: int, symbols: int) -> None:
        log.info("Connected", exchange=self._exchange.name, shard=number, symbols=symbols)
        self._up.add(number)
        self._last_error = ""
        if number in self._broken:
            self._broken.remove(number)
            self._missed = True
        self._changed.set()

    def _fields(self) -> dict[str, str | int]:
        now_ms = self._clock.now_ms()
        if self._state != "closed":
            quiet = self._heard_ms and now_ms - self._heard_ms > heartbeat.FRESH_MS
            self._state = "connecting" if not self._up else "silent" if quiet else "connected"
        return {
            "state": self._state,
            "connections": len(self._up),
            "symbols": self._symbols,
            "last_candle_ms": self._last_candle_ms,
            "last_error": self._last_error,
            "malformed": self._complaints.counts.total(),
            "updated_ms": now_ms,
        }


async def _ends_well(writing: asyncio.Future[None]) -> bool:
    """Of a write that we were stopped in: Redis may have taken it already, and nobody is to be told twice."""
    await asyncio.wait([writing], timeout=LAST_WRITE_S)
    writing.cancel()
    return writing.done() and not writing.cancelled() and writing.exception() is None


def _why_idle(exchange: Exchange, instruments: Sequence[Instrument], ws_url: str) -> str:
    if exchange.closed and ws_url == exchange.ws_url:
        return exchange.closed
    return "" if instruments else f"SYMBOLS selects no market of {exchange.name} that is under trade."
