"""The minutes of one bucket, and the one bar that they make."""

import math
from collections.abc import Iterable

from app.messages import CandleMessage
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

    `sent` is what was last told to clients, under `seq`; `place` is where its newest message stands in the stream.
    """

    def __init__(self, timeframe: Timeframe | Interval, start_ms: int) -> None:
        self.start_ms = start_ms
        self.end_ms = timeframe.after(start_ms)
        self.cut_ms = start_ms
        self._stored: Bar | None = None
        self._minutes: dict[int, Bar] = {}
        #: The best that was heard live of each minute after the cut.
        self._heard: dict[int, CandleMessage] = {}
        self.is_closed_by_message = False
        self.sent: Bar | None = None
        self.seq: str | None = None
        self.place = ""
        self.closed = False

    def hear(self, message: CandleMessage, place: str = "") -> bool:
        """Take a live minute; False when it lies in the stored part, which must then be read again."""
        open_ms = message.time
        if open_ms < self.cut_ms:
            return False
        known = self._heard.get(open_ms)
        if known is None or message.replaces(known):
            self._heard[open_ms] = message
            self._minutes[open_ms] = message.bar
            self.place = place or self.place
            self.is_closed_by_message |= message.closed and open_ms == self.end_ms - MINUTE_MS
        return True

    def take(self, stored: Bar | None, cut_ms: int, minutes: Iterable[Bar], heard_after_ms: int) -> None:
        """Replace what is known by what the database holds, except minutes heard after `heard_after_ms`.

        Minutes that the database does not have yet stay, too: their way there may be longer than ours. And so does
        what REST said: it is told before it is committed, however long that takes (ADR 22).
        """
        self._stored, self.cut_ms = stored, cut_ms
        for bar in minutes:
            heard = self._heard.get(bar.open_ms)
            if heard is None or (heard.source != Source.RECORD and heard.received <= heard_after_ms):
                self._minutes[bar.open_ms] = bar
        self._minutes = {open_ms: bar for open_ms, bar in self._minutes.items() if open_ms >= cut_ms}
        self._heard = {open_ms: heard for open_ms, heard in self._heard.items() if open_ms >= cut_ms}

    def bar(self) -> Bar | None:
        """The bucket's bar as of now; None while nothing was traded in it."""
        minutes = [self._minutes[open_ms] for open_ms in sorted(self._minutes)]
        return combine([self._stored, *minutes] if self._stored else minutes, self.start_ms)

    def has(self, ms: int) -> bool:
        return self.start_ms <= ms < self.end_ms

    def is_over(self, now_ms: int) -> bool:
        """Whether nothing but a correction can change it any more."""
        return self.is_closed_by_message or now_ms >= self.end_ms + CLOSE_AFTER_MS
