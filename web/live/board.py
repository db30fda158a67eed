"""One market at one timeframe: its running bar, the one before it, and who wants to know."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from zlib import crc32

from app.messages import CandleMessage
from common.interval import Interval
from common.market import Bar
from common.span import MINUTE_MS
from web.deps import Stored
from web.live.bucket import Bucket
from web.live.client import KEY_BITS, Client
from web.live.frames import Encoded, Shape, State, Told, frame, names_of
from web.live.recent import Heard, Recent
from web.live.streams import Topic

#: The order of the bar of which a message is, among those that the message changes.
OWN = 15

#: The seq of a state, given whether it is of the bar that the last message is of.
NextSeq = Callable[[bool], str | None]


class Board:
    """Silent until `ready`, so that nobody is told a bar of which a part is not known yet.

    Clients without tags are told of no bar older than the newest they saw and not of its closing, since their
    messages say nothing but numbers; the others are told of everything.
    """

    def __init__(self, number: int, topic: Topic, market: Stored, recent: Recent) -> None:
        self.number = number
        self.topic = topic
        #: As it is called now; whoever subscribed is told of it by the name of then.
        self.market = market
        self.names = names_of(market.instrument, topic.timeframe)
        #: What comes first where a message changes bars of several timeframes: the same in every process.
        self.order = crc32(self.names.stream.encode()) << 4
        self.ready = False
        self.loaded_ms = 0
        self.current: Bucket | None = None
        self.previous: Bucket | None = None
        #: The newest stored bar, when neither bucket has any trade.
        self.older: Bar | None = None
        self.older_minute_ms: int | None = None
        #: Starts of buckets before `previous` that a correction touched.
        self.stale: set[int] = set()
        self.recent = recent
        self._is_minute = topic.timeframe.stored is Interval.M1
        self._place = ""
        self._own: Bucket | None = None
        #: What the next telling begins with: buckets that newer ones took the place of, and bars over long ago.
        self._rolled: list[Bucket] = []
        self._late: list[Bar] = []
        self._newest_ms = 0
        self._groups: dict[Shape, dict[Client, None]] = {}
        self._watchers: list[dict[int, State]] = []
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
        return sum(map(len, self._groups.values()))

    @property
    def is_wanted(self) -> bool:
        return bool(self._groups or self._expected)

    def expect(self) -> None:
        """Somebody will be added soon; whoever calls this takes it back."""
        self._expected += 1

    def expect_no_more(self) -> None:
        self._expected -= 1

    @contextmanager
    def watched(self) -> Iterator[dict[int, State]]:
        """The newest state of each bar that is told inside the block, by its start."""
        told: dict[int, State] = {}
        self._watchers.append(told)
        try:
            yield told
        finally:
            self._watchers = [one for one in self._watchers if one is not told]

    def add(self, client: Client, shape: Shape) -> None:
        """Tell `client` of every change from now on."""
        self.remove(client)
        self._groups.setdefault(shape, {})[client] = None

    def remove(self, client: Client) -> "Board":
        for shape in [shape for shape, clients in self._groups.items() if client in clients]:
            del self._groups[shape][client]
            if not self._groups[shape]:
                del self._groups[shape]
        return self

    def hear(self, message: CandleMessage, place: str) -> bool:
        """Take a live minute; False when what is stored must be read again to know the bar.

        Streams learn of names later than we do, and may still call another market so.
        """
        if message.native not in ("", self.market.instrument.native):
            return True
        self._place = place or self._place
        bucket = self.current
        if bucket is None or not bucket.has(message.time):
            bucket = self.bucket(self.topic.timeframe.floor(message.time))
        self._own = bucket
        if bucket is None:
            return self._hear_of_old(message)
        self.ready = self.ready or self._is_minute
        return bucket.hear(message, place)

    def bucket(self, start_ms: int) -> Bucket | None:
        """The bucket that starts there, made when newer than all; None when older than the two that are kept."""
        if self.current is None or start_ms > self.current.start_ms:
            if self.previous:
                self._rolled.append(self.previous)
            self.previous, self.current = self.current, Bucket(self.topic.timeframe, start_ms)
        elif start_ms < self.current.start_ms and not (self.previous and start_ms <= self.previous.start_ms):
            if self.previous:
                self._rolled.append(self.previous)
            self.previous = Bucket(self.topic.timeframe, start_ms)
        return next((b for b in (self.current, self.previous) if b and b.start_ms == start_ms), None)

    def tell(self, now_ms: int) -> None:
        """Send what messages have changed since the last time, the older bar first."""
        others = count(self.order)
        self._tell_all(now_ms, lambda own: self._seq(self.order + OWN if own else next(others)))

    def tell_afterwards(self, now_ms: int) -> None:
        """Send what time or the database has changed."""
        self._tell_all(now_ms, lambda _: self.recent.afterwards())

    def correct(self, bar: Bar) -> None:
        """Tell of a change to a bar that was over long ago."""
        self._send(State(bar, True, True, self.recent.afterwards(), plain=bar.open_ms >= self._newest_ms))

    def heard(self) -> dict[int, Heard]:
        """The minutes of its market that are remembered, by their start."""
        return self.recent.all_of(self.market.instrument)

    def states(self) -> list[State]:
        """What was told of the two newest bars, the older one first."""
        return [
            State(bucket.sent, bucket.closed, False, bucket.seq, bucket.sent.open_ms >= self._newest_ms)
            for bucket in (self.previous, self.current)
            if bucket and bucket.sent
        ]

    def show(self, client: Client, shape: Shape) -> None:
        """Tell `client` the bars as they are now."""
        if not self.ready:
            return
        if self.older and self._newest_ms <= self.older.open_ms:
            self._newest_ms = self.older.open_ms
            self.offer(client, shape, State(self.older, True, False, None))
        for state in self.states():
            self.offer(client, shape, state)

    def offer(self, client: Client, shape: Shape, state: State) -> None:
        if shape.told is not Told.PLAIN or state.plain:
            client.offer(self._key(state), self.frame(state, shape))

    def frame(self, state: State, shape: Shape) -> Encoded:
        return frame(state, self.names, shape)

    def _hear_of_old(self, message: CandleMessage) -> bool:
        if message.corrected and self._is_minute:
            self._late.append(message.bar)
        elif message.corrected:
            self.stale.add(self.topic.timeframe.floor(message.time))
        return True

    def _seq(self, order: int) -> str | None:
        return f"{self._place}-{order}" if self._place else None

    def _settle(self, now_ms: int) -> None:
        """Nobody listens: what is known counts as told where it was heard."""
        self._rolled.clear()
        self._late.clear()
        for bucket in (self.previous, self.current):
            if bucket and self.ready and (bar := bucket.bar()):
                bucket.sent, bucket.closed = bar, bucket.is_over(now_ms)
                bucket.seq = f"{bucket.place}-{self.order + OWN}" if bucket.place else None
                self._newest_ms = max(self._newest_ms, bar.open_ms)

    def _tell_all(self, now_ms: int, seq: NextSeq) -> None:
        if not (self._groups or self._watchers):
            self._settle(now_ms)
            return
        while self._rolled:
            self._tell(self._rolled.pop(0), max(now_ms, self.current.start_ms if self.current else 0), seq)
        while self._late:
            bar = self._late.pop(0)
            is_own = self._own is None and not self._late
            self._send(State(bar, True, True, seq(is_own), plain=bar.open_ms >= self._newest_ms))
        for bucket in (self.previous, self.current):
            if bucket:
                self._tell(bucket, now_ms, seq)

    def _tell(self, bucket: Bucket, now_ms: int, seq: NextSeq) -> None:
        bar = bucket.bar() if self.ready else None
        closed = bucket.closed or bucket.is_over(now_ms)
        if bar is None or (bar == bucket.sent and closed == bucket.closed):
            return
        changed, was_closed = bar != bucket.sent, bucket.closed
        bucket.sent, bucket.closed, bucket.seq = bar, closed, seq(bucket is self._own)
        self._newest_ms = max(self._newest_ms, bar.open_ms)
        plain = changed and bar.open_ms >= self._newest_ms
        self._send(State(bar, closed, was_closed and changed, bucket.seq, plain))

    def _send(self, state: State) -> None:
        """Each shape of the frame is made once, however many want it."""
        key = self._key(state)
        for shape, clients in self._groups.items():
            if shape.told is not Told.PLAIN or state.plain:
                made = self.frame(state, shape)
                for client in clients:
                    client.offer(key, made)
        for told in self._watchers:
            told[state.bar.open_ms] = state

    def _key(self, state: State) -> int:
        return self.number << KEY_BITS | state.bar.open_ms // MINUTE_MS
