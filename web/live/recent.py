"""What an exchange's stream told in the last minutes, for later boards and for clients that come back."""

import time
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator
from operator import itemgetter
from typing import NamedTuple

from app.messages import CandleMessage
from common.clock import Clock
from common.market import Instrument
from common.span import MINUTE_MS
from web.live.place import AFTERWARDS, Place, Seq, place_of

#: Newest minutes of a market that a new board hears: those that the database may not have yet.
HEARD_MINUTES = 4
#: Minutes kept of each market; with them a client can go on after ten minutes.
KEPT_MINUTES = 14
#: How many moments are remembered at which messages reached us, one a second.
MOMENTS = 900


class Heard(NamedTuple):
    """The newest state of a minute, and its place in the stream."""

    message: CandleMessage
    place: str


class Recent:
    """The newest state of each market's newest minutes. `caught_up` once the stream's end was reached."""

    def __init__(self) -> None:
        self.caught_up = False
        #: Of the last entry that was read.
        self.place = ""
        self._since: Seq | None = None
        #: Greater than any before it, also of those that were read by who is gone.
        self._afterwards = AFTERWARDS + time.time_ns() // 1_000_000
        self._minutes: dict[str, dict[int, Heard]] = {}
        self._forgotten: dict[str, Place] = {}
        self._moments: deque[tuple[Place, int]] = deque(maxlen=MOMENTS)
        self._next_moment_ms = 0

    @property
    def epoch(self) -> str:
        return self._since.epoch if self._since else ""

    def begin(self, epoch: str, entry: str) -> None:
        """Reading begins after `entry`; what was read before counts unless it broke off before that."""
        if epoch != self.epoch or not self.place or place_of(entry) > place_of(self.place):
            self._since = Seq(epoch, place_of(entry))
            self._forgotten.clear()

    def hear(self, message: CandleMessage, place: str) -> None:
        key = message.native_key or message.key  # another market may bear our name later
        minutes = self._minutes.setdefault(key, {})
        known = minutes.pop(message.time, None)
        self.place = place
        if known and not message.replaces(known.message):
            minutes[message.time] = known
            return
        minutes[message.time] = Heard(message, place)
        if message.received >= self._next_moment_ms:
            self._next_moment_ms = message.received + 1000
            self._moments.append((place_of(place), message.received))
        if len(minutes) > KEPT_MINUTES:  # the one that was told of longest ago
            self._forgotten[key] = place_of(minutes.pop(next(iter(minutes))).place)

    def of(self, market: Instrument) -> Iterator[Heard]:
        """The market's newest minutes, oldest first; none while only a part of the stream was read."""
        minutes = self.all_of(market) if self.caught_up else {}
        return (minutes[time] for time in sorted(minutes)[-HEARD_MINUTES:])

    def all_of(self, market: Instrument) -> dict[int, Heard]:
        """Every minute that is kept, by its start."""
        return self._minutes.get(market.native_key) or self._minutes.get(market.key, {})

    def afterwards(self) -> str | None:
        """The seq of something that no message made, after everything that was told."""
        self._afterwards += 1
        return f"{self.place}-{self._afterwards}" if self.place else None

    def reaches(self, seq: Seq, markets: Iterable[Instrument]) -> bool:
        """Whether all that was told of these markets after `seq` is kept."""
        since = self._since
        if since is None or since.epoch != seq.epoch or since.place[:2] > seq.place[:2]:
            return False
        keys = (key for market in markets for key in (market.native_key, market.key))
        return all(self._forgotten.get(key, seq.place) <= seq.place for key in keys)

    def moment_ms(self, place: Place, clock: Clock) -> int:
        """When what stands there had reached us, as `clock` tells it; never longer ago than what is kept."""
        at = bisect_right(self._moments, place, key=itemgetter(0)) - 1
        known, received_ms = self._moments[max(at, 0)] if self._moments else _now(clock)
        moment_ms = received_ms + round((place.ms - known.ms) * clock.rate)
        return max(moment_ms, clock.now_ms() - KEPT_MINUTES * MINUTE_MS)


def _now(clock: Clock) -> tuple[Place, int]:
    """Redis's time is that of the machines around it, near enough for minutes that time closes."""
    return Place(time.time_ns() // 1_000_000, 0), clock.now_ms()
