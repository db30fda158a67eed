"""Which bars a request asks for, and the read-time fill between them."""

from itertools import pairwise
from typing import NamedTuple

from common.errors import BadInput
from common.market import Bar
from common.span import MINUTE_MS, floor_minute
from common.timeframe import Timeframe, parse

MOST_BARS = 500
#: Times outside of these are typing errors: before 1970, or after the year 2200.
_LAST_MS = 7_258_118_400_000


class Window(NamedTuple):
    """The newest `limit` bars whose buckets start in `start_ms <= t <= end_ms`; no start means from the first."""

    timeframe: Timeframe
    start_ms: int | None
    end_ms: int
    limit: int


class Gap(NamedTuple):
    """A bucket without a bar, where nothing is made up for it."""

    open_ms: int
    open: None = None
    high: None = None
    low: None = None
    close: None = None
    volume: None = None
    quote_volume: None = None
    trades: None = None


def frame(interval: str, tz: str | None, origin: int | None) -> Timeframe:
    """The timeframe in anybody's spelling, in a time zone, counted from `origin`."""
    if origin is not None:
        check_time("origin", origin)
    return parse(interval, tz, origin)


def window(
    timeframe: Timeframe, start: int | None, end: int | None, limit: int | None, now_ms: int, most: int = MOST_BARS
) -> Window:
    """Times are cut to their minute. Without `end` the last whole minute ends the window."""
    limit = MOST_BARS if limit is None else limit
    if limit < 0:
        raise BadInput("limit", f"limit must not be negative, and is {limit}.", f"0 to {most}")
    for field, value in (("start", start), ("end", end)):
        if value is not None:
            check_time(field, value)
    end_ms = floor_minute(now_ms - MINUTE_MS if end is None else end)
    start_ms = None if start is None else floor_minute(start)
    if start_ms is not None and start_ms > now_ms:
        raise BadInput("start", f"start {start} lies in the future.", f"at most {now_ms}")
    if start_ms is not None and end is not None and start_ms > end_ms:
        raise BadInput("start", f"start {start} is after end {end}.", f"at most {end}")
    return Window(timeframe, start_ms, end_ms, min(limit, most))


def check_time(field: str, value: int) -> None:
    """Raise BadInput for what is no moment in UTC milliseconds."""
    if not 0 <= value <= _LAST_MS:
        raise BadInput(field, f"{field} must be UTC milliseconds since 1970, not {value}.", f"0 to {_LAST_MS}")


def fill_empty(bars: list[Bar], asked: Window, now_ms: int, *, previous: bool) -> list[Bar | Gap]:
    """Every bucket from the oldest bar to the window's end, the last `limit` of them.

    A bucket without a bar gets the `previous` close and volume 0, or is a Gap. None is made up that has not begun.
    """
    if not bars or asked.limit == 0:
        return []
    grid = asked.timeframe
    last_ms = grid.floor(min(asked.end_ms, now_ms))
    at_ms = max(bars[0].open_ms, grid.back(last_ms, asked.limit - 1))
    filled: list[Bar | Gap] = []
    for bar, following in pairwise([*bars, None]):
        assert bar is not None
        if bar.open_ms >= at_ms:
            filled.append(bar)
            at_ms = grid.after(bar.open_ms)
        until_ms = following.open_ms if following else last_ms + 1
        while at_ms < until_ms:
            flat = Bar(at_ms, bar.close, bar.close, bar.close, bar.close, 0.0, 0.0, 0)
            filled.append(flat if previous else Gap(at_ms))
            at_ms = grid.after(at_ms)
    return filled
