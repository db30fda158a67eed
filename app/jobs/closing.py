"""When a minute is over: a pure machine fed with candles and the time, which announces each closed minute once.

A minute closes on the exchange's closing message; or 5 s after its end if a later minute of the series was seen;
or 30 s after its end. From then on only a state that the store would keep too is announced, as a correction.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from app.messages import CandleMessage, from_candle
from common.errors import Malformed
from common.market import Candle, Instrument, Source
from common.span import MINUTE_MS

#: After a minute's end, in milliseconds: when a later minute was seen, and at the latest.
FOLLOWED_MS, AT_LATEST_MS = 5_000, 30_000
#: Minutes of a series whose values are remembered after their closing, to tell a correction from a repetition.
REMEMBERED = 5
#: Older rows (a snapshot of a quiet market can reach back for weeks) are left to history.
OLDEST_MINUTES = 1440
#: A candle further ahead of our clock would stand as the newest for as long.
MOST_AHEAD_MS = 5 * MINUTE_MS

_DAY = (1 << OLDEST_MINUTES) - 1


@dataclass(slots=True)
class _Series:
    """One market. Bit k of `bits` tells that the minute k before `top` (counted in minutes) was closed."""

    newest_ms: int = -1
    open: dict[int, Candle] = field(default_factory=dict)
    closed: dict[int, CandleMessage] = field(default_factory=dict)
    top: int = -1
    bits: int = 0

    def has_closed(self, open_ms: int) -> bool:
        back = self.top - open_ms // MINUTE_MS
        return back >= OLDEST_MINUTES or (back >= 0 and bool(self.bits >> back & 1))

    def mark_closed(self, open_ms: int) -> None:
        ahead = open_ms // MINUTE_MS - self.top
        if ahead > 0:
            self.bits = (self.bits << ahead) & _DAY if ahead < OLDEST_MINUTES else 0
            self.top += ahead
        self.bits |= 1 << max(0, -ahead)


class Closing:
    """All series of one exchange. Memory is bounded by their number."""

    def __init__(self, *, serves_quiet_minutes: bool) -> None:
        self._serves_quiet_minutes = serves_quiet_minutes
        self._series: dict[str, _Series] = {}

    def feed(self, candle: Candle, now_ms: int) -> CandleMessage | None:
        """What is to be announced, if anything: this state, running, closed or corrected."""
        open_ms = candle.open_ms
        if open_ms > now_ms + MOST_AHEAD_MS:
            raise Malformed(
                "candle of the future (is this machine's clock right?)", f"{candle.instrument.key} {open_ms}"
            )
        series = self._series.get(candle.instrument.key)
        if series is None:
            series = self._series[candle.instrument.key] = _Series()
        if open_ms > series.newest_ms:
            series.newest_ms = open_ms
        if (told := series.closed.get(open_ms)) is not None:
            return _correct(series, told, candle, now_ms)
        if series.has_closed(open_ms) or open_ms < now_ms - OLDEST_MINUTES * MINUTE_MS:
            return None
        if candle.source or self._is_over(series, candle, now_ms):
            return self._close(series, candle, now_ms)
        if self._is_nothing(candle, now_ms) or _is_known(series.open.get(open_ms), candle):
            return None
        series.open[open_ms] = candle
        return from_candle(candle, now_ms)

    def forget(self, keys: Iterable[str]) -> None:
        """Somebody else tells of these markets from now on, and closes their minutes."""
        for key in keys:
            self._series.pop(key, None)

    def rename(self, now: Mapping[str, Instrument]) -> None:
        """What these markets are called from now on, by the key that they had."""
        renamed = [(one, self._series.pop(key)) for key, one in now.items() if key in self._series]
        for one, series in renamed:
            series.open = {ms: candle._replace(instrument=one) for ms, candle in series.open.items()}
            self._series[one.key] = series

    def tick(self, now_ms: int) -> list[CandleMessage]:
        """The minutes that time has closed since the last call; call it every second or so."""
        messages = []
        for series in self._series.values():
            for candle in list(series.open.values()):
                if self._is_over(series, candle, now_ms):
                    messages.append(self._close(series, candle, now_ms))
                elif self._is_nothing(candle, now_ms):
                    del series.open[candle.open_ms]
        return messages

    def _is_over(self, series: _Series, candle: Candle, now_ms: int) -> bool:
        """A placeholder is a quiet minute's candle only where such are served, and once a later minute came."""
        over_ms = now_ms - candle.open_ms - MINUTE_MS
        followed = over_ms >= FOLLOWED_MS and series.newest_ms > candle.open_ms
        return (
            followed and self._serves_quiet_minutes if not candle.volume else followed or over_ms >= AT_LATEST_MS
        )

    def _is_nothing(self, candle: Candle, now_ms: int) -> bool:
        """A placeholder that will never be a candle."""
        is_past = now_ms - candle.open_ms - MINUTE_MS >= AT_LATEST_MS
        return is_past and not candle.volume and not self._serves_quiet_minutes

    def _close(self, series: _Series, candle: Candle, now_ms: int) -> CandleMessage:
        series.open.pop(candle.open_ms, None)
        message = from_candle(candle if candle.source else _by_time(candle), now_ms)
        series.mark_closed(candle.open_ms)
        series.closed[candle.open_ms] = message
        if len(series.closed) > REMEMBERED:
            del series.closed[min(series.closed)]
        return message


def _is_known(open_: Candle | None, candle: Candle) -> bool:
    """Of two connections that overlap, the slower one brings states of the running minute that are over."""
    return open_ is not None and (candle.volume < open_.volume or candle == open_)


def _by_time(candle: Candle) -> Candle:
    return candle._replace(source=Source.CLOSED_BY_TIME)


def _correct(series: _Series, told: CandleMessage, candle: Candle, now_ms: int) -> CandleMessage | None:
    message = from_candle(candle if candle.source else _by_time(candle), now_ms, corrected=True)
    if message.rank <= told.rank:
        return None
    series.closed[candle.open_ms] = message
    return message if message.rank[1:] != told.rank[1:] else None
