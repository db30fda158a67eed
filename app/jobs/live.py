"""Keep one exchange's live candles flowing into Redis, whatever the exchange, the network or Redis do."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import structlog
from redis.asyncio import Redis

from app.buffer import Buffer
from app.happening import Kind
from app.jobs.closing import Closing
from app.jobs.connections import Connections
from app.jobs.names import Names
from app.jobs.notices import Notices
from app.jobs.outage import Outage
from app.metrics.scrape import Scrape
from app.metrics.stream import FeedFigures
from app.stores import heartbeat
from app.stores.latest import LiveSink
from common.clock import Clock
from common.errors import Malformed, Retryable
from common.market import Candle, Instrument
from common.ports import Exchange, Subscription
from fetchers.complaints import Complaints
from fetchers.events import Connected, Event, Lost, Stale
from fetchers.http import HttpClient
from fetchers.lines import Left, Lines
from fetchers.pace import Pace
from fetchers.stream import Way

log = structlog.get_logger(__name__)

#: Of the connections a minute that an exchange allows; a stream that is started again forgets those it had opened.
CONNECTIONS_SHARE = 0.8
NONE, OTHERS = "SYMBOLS selects no market of {} that is under trade.", "Other processes stream all markets of {}."
#: Candles in one write.
BATCH = 500
SILENT = "Silent longer than is its way; subscribed again"
#: Real seconds for the last write of a job that is stopped.
LAST_WRITE_S = 2.0


class Live:
    """One exchange's part of one process: from events to closed minutes to the buffer, and from there to Redis.

    `missed` is called when the feed may have missed something, which REST is then to be asked for.
    """

    def __init__(
        self,
        exchange: Exchange,
        *,
        ws_url: str,
        http: HttpClient,
        redis: Redis,
        clock: Clock,
        missed: Callable[[], Awaitable[None]] | None = None,
        member: str = "stream",
    ) -> None:
        self._exchange = exchange
        self._clock = clock
        self._redis = redis
        self._member = member
        self._notices = Notices(exchange.name, redis, clock, missed)
        self._complaints = Complaints(exchange.name)
        self._closing = Closing(serves_quiet_minutes=exchange.serves_quiet_minutes)
        self._buffer = Buffer()
        self._figures = FeedFigures(exchange.name, clock)
        self._sink = LiveSink(redis, clock, [])
        self._outage = Outage("Redis", clock)
        self._pace = Pace(max(1, int(exchange.limits.connections_per_minute * CONNECTIONS_SHARE)), clock)
        way = Way(exchange, ws_url, http, clock, self._pace, self._complaints, self._figures.traffic)
        self._lines = Lines(way, self._hear)
        #: Why nothing can be live at all, however many markets there are.
        self._closed = exchange.closed if ws_url == exchange.ws_url else ""
        self._idle = ""
        self._carried: set[str] = set()
        self._names = Names()
        self._connections = Connections()
        self._last_candle_ms = self._heard_ms = 0
        self._last_error = ""

    def carry(
        self,
        instruments: Sequence[Instrument],
        processes: int = 1,
        listed: Sequence[Instrument] | None = None,
    ) -> None:
        """Stream these markets from now on, under these names, without touching those that are streamed already.

        They are this process's share of what is `listed` where several `processes` stream the exchange. A closed
        exchange is left alone at its real address.
        """
        self._pace.divide(processes)
        why_none = OTHERS if listed else NONE
        idle = self._closed or ("" if instruments else why_none.format(self._exchange.name))
        if idle and idle != self._idle:
            tell = log.info if listed and not self._closed else log.error
            tell("No live candles", exchange=self._exchange.name, reason=idle)
        keys = {one.native_key for one in instruments}
        # What is taken over from another process may have a hole where neither had it.
        if self._carried and keys - self._carried:
            self._notices.miss()
        self._idle, self._carried = idle, keys
        if not self._closed:
            self._sink.know(instruments if listed is None else listed)
            # First: who stays may take the name of one that is left.
            self._closing.forget(self._names.forget(self._lines.carry(instruments)))
            self._closing.rename(self._names.learn(instruments))
        self._notices.news.set()

    async def run(self) -> None:
        """Never returns; cancel it."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for work in (self._lines.run, self.close_minutes, self.write, self.beat):
                    tasks.create_task(work())
        finally:
            await self.write_rest()
            with suppress(Retryable, TimeoutError):
                async with asyncio.timeout(LAST_WRITE_S):
                    await heartbeat.forget(self._redis, self._exchange.name, self._member)

    def _hear(self, number: int, event: Event | Left) -> None:
        """Take what one connection tells."""
        if type(event) is Candle:
            if number in self._connections.unheard and self._connections.hear_first(number, self._clock.now_ms()):
                self._notices.miss()
            return self._take(event)
        match event:
            case Lost():
                self._lose(number, event)
            case Connected():
                self._regain(number)
            case Left():
                self._connections.leave(number)
            case Subscription(instrument, refusal) if refusal:
                log.warning("Subscription refused", market=instrument.key, reason=refusal)
                self._notices.tell(Kind.REFUSED, refusal, self._names.of(instrument))
            case Stale(instrument, silent_ms):
                log.warning(SILENT, market=instrument.key, silent_ms=silent_ms)
                self._notices.miss()
                self._notices.tell(Kind.STALE, SILENT, self._names.of(instrument), silent_ms=silent_ms)

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
            writing = asyncio.ensure_future(self._figures.timed(self._sink.write, batch))
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
            self._notices.news.clear()
            # Away, Redis needs no second complaint: the writer has told it.
            with suppress(Retryable):
                await heartbeat.tell(self._redis, self._exchange.name, self._fields(), self._member)
                await self._notices.send()
            with suppress(TimeoutError):
                async with asyncio.timeout(heartbeat.BEAT_S):
                    await self._notices.news.wait()

    def tell(self, scrape: Scrape) -> None:
        """The figures of app.metrics.stream."""
        self._figures.tell(
            scrape, len(self._connections.up), len(self._carried), len(self._buffer), self._heard_ms
        )

    def _take(self, candle: Candle) -> None:
        self._heard_ms = now_ms = self._clock.now_ms()
        try:
            message = self._closing.feed(self._names.told(candle), now_ms)
        except Malformed as error:
            return self._complaints.tell(error)
        if candle.open_ms > self._last_candle_ms:
            if not self._last_candle_ms:
                self._notices.news.set()  # readiness waits for this
            self._last_candle_ms = candle.open_ms
        if message is not None:
            self._buffer.put(message)

    def _lose(self, number: int, lost: Lost) -> None:
        log.warning("Connection lost", exchange=self._exchange.name, shard=number, reason=lost.reason)
        self._last_error = lost.reason
        if self._connections.lose(number, lost.since_ms):
            self._figures.lost += 1
            self._notices.tell(
                Kind.LOST, lost.reason, markets=self._lines.markets(number), since_ms=lost.since_ms or 0
            )
        self._notices.news.set()

    def _regain(self, number: int) -> None:
        log.info("Connected", exchange=self._exchange.name, shard=number, symbols=self._lines.markets(number))
        since_ms = self._connections.begin(number, self._clock.now_ms())
        self._figures.opened += 1
        self._last_error = ""
        self._notices.tell(Kind.CONNECTED, "", markets=self._lines.markets(number))
        if since_ms is not None:
            self._figures.came_back(since_ms)
            self._notices.miss()
        self._notices.news.set()

    def _fields(self) -> dict[str, str | int]:
        now_ms = self._clock.now_ms()
        quiet = self._heard_ms and now_ms - self._heard_ms > heartbeat.FRESH_MS
        state = "connecting" if not self._connections.up else "silent" if quiet else "connected"
        return {
            "state": "closed" if self._idle else state,
            "connections": len(self._connections.up),
            "symbols": len(self._carried),
            "last_candle_ms": self._last_candle_ms,
            "last_error": self._idle or self._last_error,
            "malformed": self._complaints.counts.total(),
            "updated_ms": now_ms,
            "beat_ms": self._clock.of_real_s(heartbeat.BEAT_S),
        }


async def _ends_well(writing: asyncio.Future[None]) -> bool:
    """Of a write that we were stopped in: Redis may have taken it already, and nobody is to be told twice."""
    await asyncio.wait([writing], timeout=LAST_WRITE_S)
    writing.cancel()
    return writing.done() and not writing.cancelled() and writing.exception() is None
