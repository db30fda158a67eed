"""The minutes of one bucket, and the one bar that they make."""

import math
from collections.abc import Iterable

from common.interval import Interval
from common.market import Bar, Source
from common.span import MINUTE_MS
from common.timeframe import Timeframe

#: A minute that has no closing message is over this long after its end.
CLOSE_AFTER_MS = 30_000


def combine(bars: Iterable[Bar], open_ms: int) -> Bar | None:
    """One bar of `bars`, which are ascending in time; None of none. The volume is summed without rounding."""
    parts = list(bars)
    if not parts:
        return None
    high = max(bar.high for bar in parts)
    low = min(bar.low for bar in parts)
    volume = math.fsum(bar.volume for bar in parts)
    return Bar(open_ms, parts[0].open, high, low, parts[-1].close, volume)


class Bucket:
    """A stored part that ends at `cut_ms`, and after it every known minute by itself.

    `told` holds for each minute heard live when that was; `sent` is what was last told to clients, under `seq`;
    `place` is where the newest message of it stands in the stream.
    """

    def __init__(self, timeframe: Timeframe | Interval, start_ms: int) -> None:
        self.start_ms = start_ms
        self.end_ms = timeframe.after(start_ms)
        self.cut_ms = start_ms
        self._stored: Bar | None = None
        self._minutes: dict[int, Bar] = {}
        self._told: dict[int, int] = {}
        #: How a minute was closed, as common.market.Source orders it.
        self._closed: dict[int, int] = {}
        self.sent: Bar | None = None
        self.seq: str | None = None
        self.place = ""
        self.closed = False

    def hear(self, minute: Bar, *, told_ms: int, source: int, place: str = "") -> bool:
        """Take a live minute; False when it lies in the stored part, which must then be read again.

        As in the store a lower source never replaces a higher one: what a stream that hung closes by time when it
        goes on may be long known better.
        """
        if minute.open_ms < self.cut_ms:
            return False
        if source >= self._closed.get(minute.open_ms, 0):
            self._minutes[minute.open_ms] = minute
            self._told[minute.open_ms] = told_ms
            self.place = place or self.place
            if source:
                self._closed[minute.open_ms] = source
        return True

    def take(self, stored: Bar | None, cut_ms: int, minutes: Iterable[Bar], heard_after_ms: int) -> None:
        """Replace what is known by what the database holds, except minutes heard after `heard_after_ms`.

        Minutes that the database does not have yet stay, too: their way there may be longer than ours. And so does
        what REST said: it is told before it is committed, however long that takes (ADR 22).
        """
        self._stored, self.cut_ms = stored, cut_ms
        for bar in minutes:
            was_recorded = self._closed.get(bar.open_ms) == Source.RECORD
            if not was_recorded and self._told.get(bar.open_ms, 0) <= heard_after_ms:
                self._minutes[bar.open_ms] = bar
        self._minutes = {open_ms: bar for open_ms, bar in self._minutes.items() if open_ms >= cut_ms}
        self._told = {open_ms: told_ms for open_ms, told_ms in self._told.items() if open_ms >= cut_ms}

    def bar(self) -> Bar | None:
        """The bucket's bar as of now; None while nothing was traded in it."""
        minutes = [self._minutes[open_ms] for open_ms in sorted(self._minutes)]
        return combine([self._stored, *minutes] if self._stored else minutes, self.start_ms)

    def has(self, ms: int) -> bool:
        return self.start_ms <= ms < self.end_ms

    @property
    def is_closed_by_message(self) -> bool:
        return self.end_ms - MINUTE_MS in self._closed

    def is_over(self, now_ms: int) -> bool:
        """Whether nothing but a correction can change it any more."""
        return self.is_closed_by_message or now_ms >= self.end_ms + CLOSE_AFTER_MS
