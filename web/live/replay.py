"""The stored bars of some streams in the order of time, read window by window."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from operator import itemgetter
from typing import NamedTuple

from app.stores.candles import FIRST_MS
from common.span import MINUTE_MS, Span
from common.timeframe import Timeframe
from web.deps import Deps, Stored
from web.live.frames import Candle
from web.live.streams import Topic, stream_name

#: Rows that one window is to hold, and how much wider it may grow where nothing is stored.
WINDOW_ROWS, MOST_WIDER = 2_000, 8
#: Windows that are read at the same time, for all clients of the process.
READERS = 2


class Played(NamedTuple):
    """One bar, and the moment at which it ended."""

    end_ms: int
    order: int
    candle: Candle


class Replays:
    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self._reading = asyncio.Semaphore(READERS)

    async def windows(self, streams: Mapping[Topic, Stored], span: Span) -> AsyncIterator[list[Played]]:
        """Bars that start within `span` and have ended, by their end and then in the order of `streams`."""
        tracks = _tracks(streams)
        now_ms = self._deps.clock.now_ms()
        at_ms, wider = max(span.start_ms, FIRST_MS), 1
        starts = {timeframe: timeframe.after(at_ms - 1) for timeframe in tracks}
        step_ms = _step_ms(tracks)
        while any(start_ms < span.end_ms for start_ms in starts.values()):
            at_ms = max(at_ms, min(timeframe.after(start_ms) for timeframe, start_ms in starts.items()))
            at_ms += step_ms * wider
            found: list[Played] = []
            for timeframe, track in tracks.items():
                until_ms = min(timeframe.floor(min(at_ms, now_ms)), span.end_ms)
                if until_ms > starts[timeframe]:
                    found += await self._read(timeframe, track, Span(starts[timeframe], until_ms))
                    starts[timeframe] = timeframe.after(until_ms - 1)
            found.sort(key=itemgetter(0, 1))
            yield found
            if at_ms >= now_ms:
                return
            wider = 1 if found else min(wider * 2, MOST_WIDER)

    async def _read(self, timeframe: Timeframe, track: dict[int, "_Track"], span: Span) -> list[Played]:
        async with self._reading:
            bars = await self._deps.many_bars.read(list(track), timeframe, *span)
        found = []
        after = timeframe.after
        width_ms = timeframe.count * MINUTE_MS if timeframe.unit == "minute" else 0
        for symbol_id, own in bars.items():
            order, stream = track[symbol_id]
            for bar in own:
                end_ms = bar[0] + width_ms if width_ms else after(bar[0])
                found.append(Played(end_ms, order, Candle(stream, *bar[:6], True, False, None)))
        return found


class _Track(NamedTuple):
    order: int
    stream: str


def _tracks(streams: Mapping[Topic, Stored]) -> dict[Timeframe, dict[int, _Track]]:
    found: dict[Timeframe, dict[int, _Track]] = {}
    for order, (topic, market) in enumerate(streams.items()):
        track = _Track(order, stream_name(market.instrument, topic.timeframe))
        found.setdefault(topic.timeframe, {})[market.id] = track
    return found


def _step_ms(tracks: Mapping[Timeframe, Mapping[int, _Track]]) -> int:
    """The time in which so many bars end as one window is to hold."""
    per_ms = sum(
        len(track) / (timeframe.after(FIRST_MS) - timeframe.floor(FIRST_MS)) for timeframe, track in tracks.items()
    )
    return max(MINUTE_MS, round(WINDOW_ROWS / per_ms))
