"""When a minute is over: a pure machine fed with candles and the time, which announces each closed minute once.

A minute closes on the exchange's closing message; or 5 s after its end if a later minute of the series was seen;
or 30 s after its end. From then on only a state that the store would keep too is announced, as a correction.
"""

from dataclasses import dataclass, field

from app.messages import CandleMessage, from_candle
from common.errors import Malformed
from common.market import Candle, Source
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

    def is_due(self, open_ms: int, now_ms: int) -> bool:
        over_ms = now_ms - open_ms - MINUTE_MS
        return over_ms >= AT_LATEST_MS or (over_ms >= FOLLOWED_MS and self.newest_ms > open_ms)


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
        if candle.source or series.is_due(open_ms, now_ms):
            return self._close(series, candle, now_ms)
        if series.open.get(open_ms) == candle:
            return None
        series.open[open_ms] = candle
        return from_candle(candle, now_ms)

    def tick(self, now_ms: int) -> list[CandleMessage]:
        """The minutes that time has closed since the last call; call it every second or so."""
        due = [
            (series, candle)
            for series in self._series.values()
            for open_ms, candle in series.open.items()
            if series.is_due(open_ms, now_ms)
        ]
        messages = [self._close(series, candle, now_ms) for series, candle in due]
        return [message for message in messages if message is not None]

    def _close(self, series: _Series, candle: Candle, now_ms: int) -> CandleMessage | None:
        open_ms = candle.open_ms
        series.open.pop(open_ms, None)
        if not candle.source:
            if not candle.volume and not (self._serves_quiet_minutes and series.newest_ms > open_ms):
                return None  # a placeholder, which says nothing yet
            candle = candle._replace(source=Source.CLOSED_BY_TIME)
        message = from_candle(candle, now_ms)
        series.mark_closed(open_ms)
        series.closed[open_ms] = message
        if len(series.closed) > REMEMBERED:
            del series.closed[min(series.closed)]
        return message


def _correct(series: _Series, told: CandleMessage, candle: Candle, now_ms: int) -> CandleMessage | None:
    if not candle.source:
        candle = candle._replace(source=Source.CLOSED_BY_TIME)
    message = from_candle(candle, now_ms, corrected=True)
    if _rank(message) <= _rank(told):
        return None
    series.closed[candle.open_ms] = message
    return message if _rank(message)[1:] != _rank(told)[1:] else None


def _rank(one: CandleMessage) -> tuple[float, ...]:
    """The store keeps the greater of two states of one minute (candles_merge.sql): so do we."""
    trades = -1 if one.trades is None else one.trades
    quote_volume = -1.0 if one.quote_volume is None else one.quote_volume
    return (one.source, one.volume, trades, quote_volume, one.high, one.low, one.close, one.open)
