"""One market at one interval: its running bar, the one before it, and who wants to know."""

from collections.abc import Iterator
from contextlib import contextmanager

from app.messages import CandleMessage
from common.interval import Interval
from common.market import Bar
from web.deps import Stored
from web.live.bucket import Bucket
from web.live.client import Client
from web.live.frames import Shape, State, Topic, frame


class Board:
    """Silent until `ready`, so that nobody is told a bar of which a part is not known yet.

    Clients without tags are told of no bar older than the newest they saw and not of its closing, since their
    messages say nothing but numbers; clients with tags are told of everything.
    """

    def __init__(self, topic: Topic, market: Stored) -> None:
        self.topic = topic
        #: As it is called now; whoever subscribed is told of it by the name of then.
        self.market = market
        self._called = market.instrument
        self.ready = False
        self.loaded_ms = 0
        self.current: Bucket | None = None
        self.previous: Bucket | None = None
        #: The newest stored bar, when neither bucket has any trade.
        self.older: Bar | None = None
        #: Starts of buckets before `previous` that a correction touched.
        self.stale: set[int] = set()
        self._seq: str | None = None
        self._newest_ms = 0
        self._clients: dict[Client, Shape] = {}
        self._expected = 0

    @property
    def key(self) -> str:
        """What live messages call the market now."""
        return self.market.instrument.key

    @property
    def exchange(self) -> str:
        return self.market.instrument.exchange

    @property
    def listeners(self) -> int:
        return len(self._clients)

    @property
    def is_wanted(self) -> bool:
        return bool(self._clients or self._expected)

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Somebody will be added after this block."""
        self._expected += 1
        try:
            yield
        finally:
            self._expected -= 1

    def add(self, client: Client, shape: Shape, now_ms: int) -> None:
        """Tell `client` the bars as they are now, and of every change from now on."""
        self.tell(now_ms)
        self._clients[client] = shape
        if self.ready:
            self._show(client)

    def remove(self, client: Client) -> "Board":
        self._clients.pop(client, None)
        return self

    def hear(self, message: CandleMessage, seq: str | None) -> bool:
        """Take a live minute; False when what is stored must be read again to know the bar."""
        self._seq = seq or self._seq
        minute = Bar(message.time, message.open, message.high, message.low, message.close, message.volume)
        bucket = self.bucket(self.topic.interval.floor(message.time))
        if bucket is None:
            return self._hear_of_old(minute, corrected=message.corrected)
        self.ready = self.ready or self.topic.interval is Interval.M1
        return bucket.hear(minute, told_ms=message.received, source=message.source)

    def bucket(self, start_ms: int) -> Bucket | None:
        """The bucket that starts there, made when newer than all; None when older than the two that are kept."""
        if self.current is None or start_ms > self.current.start_ms:
            if self.previous:
                self._tell(self.previous, now_ms=start_ms)
            self.previous, self.current = self.current, Bucket(self.topic.interval, start_ms)
        elif self.previous is None and start_ms < self.current.start_ms:
            self.previous = Bucket(self.topic.interval, start_ms)
        return next((b for b in (self.current, self.previous) if b and b.start_ms == start_ms), None)

    def tell(self, now_ms: int) -> None:
        """Send what changed since the last time, the older bar first."""
        for bucket in (self.previous, self.current):
            if bucket:
                self._tell(bucket, now_ms)

    def correct(self, bar: Bar) -> None:
        """Tell of a change to a bar that was over long ago."""
        self._send(State(bar, True, True, self._seq, plain=bar.open_ms >= self._newest_ms))

    def _show(self, client: Client) -> None:
        if self.older and self._newest_ms <= self.older.open_ms:
            self._newest_ms = self.older.open_ms
            self._offer(client, State(self.older, True, False, self._seq))
        for bucket in (self.previous, self.current):
            if bucket and bucket.sent:
                plain = bucket.sent.open_ms >= self._newest_ms
                self._offer(client, State(bucket.sent, bucket.closed, False, self._seq, plain))

    def _hear_of_old(self, minute: Bar, *, corrected: bool) -> bool:
        if not corrected:
            return True
        if self.topic.interval is Interval.M1:
            self.correct(minute)
        else:
            self.stale.add(self.topic.interval.floor(minute.open_ms))
        return True

    def _tell(self, bucket: Bucket, now_ms: int) -> None:
        bar = bucket.bar() if self.ready else None
        closed = bucket.closed or bucket.is_over(now_ms)
        if bar is None or (bar == bucket.sent and closed == bucket.closed):
            return
        changed, was_closed = bar != bucket.sent, bucket.closed
        bucket.sent, bucket.closed = bar, closed
        self._newest_ms = max(self._newest_ms, bar.open_ms)
        plain = changed and bar.open_ms >= self._newest_ms
        self._send(State(bar, closed, was_closed and changed, self._seq, plain))

    def _send(self, state: State) -> None:
        """Each shape of the frame is made once, however many want it."""
        frames: dict[Shape, str] = {}
        for client, shape in self._clients.items():
            if not (shape.tags or state.plain):
                continue
            if shape not in frames:
                frames[shape] = self._frame(state, shape)
            client.offer((self.topic, state.bar.open_ms), frames[shape])

    def _offer(self, client: Client, state: State) -> None:
        shape = self._clients.get(client)
        if shape and (shape.tags or state.plain):
            client.offer((self.topic, state.bar.open_ms), self._frame(state, shape))

    def _frame(self, state: State, shape: Shape) -> str:
        return frame(state, self._called, self.topic.interval, shape)
