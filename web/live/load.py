"""Reads into boards what the database holds of their two buckets, many boards by few statements."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from common.clock import Clock
from common.interval import Interval
from common.market import Bar
from common.span import MINUTE_MS, Span, floor_minute
from common.timeframe import Timeframe
from web.candles import ManyBars
from web.live.board import Board
from web.live.bucket import Bucket, combine

#: The last minutes may be on their way to the database: at least this much of the past is kept minute by minute.
UNSETTLED_MS = 30 * MINUTE_MS
#: Real seconds for which a live minute is newer than its row in the database.
ON_ITS_WAY_S = 10


class Part(NamedTuple):
    """What is stored of a bucket: one bar of all before `cut_ms`, and the minutes from there on."""

    stored: Bar | None
    cut_ms: int
    minutes: list[Bar]

    def pour_into(self, bucket: Bucket, heard_after_ms: int) -> None:
        bucket.take(self.stored, self.cut_ms, self.minutes, heard_after_ms)


def on_its_way_since(clock: Clock) -> int:
    """Minutes that were told later may not be in the database yet."""
    return clock.now_ms() - clock.of_real_s(ON_ITS_WAY_S)


async def load(boards: Sequence[Board], bars: ManyBars, clock: Clock) -> None:
    """Of one timeframe, whose bar under way starts at the same time. Afterwards they are ready."""
    now_ms, heard_after_ms = clock.now_ms(), on_its_way_since(clock)
    timeframe = boards[0].topic.timeframe
    current_ms = start_of_current(boards[0], now_ms)
    starts = [timeframe.back(current_ms, 1), current_ms]
    parts = await read_parts(bars, timeframe, [board.market.id for board in boards], starts, now_ms)
    for board in boards:
        for start_ms in starts:
            if bucket := board.bucket(start_ms):
                parts[board.market.id, start_ms].pour_into(bucket, heard_after_ms)
        board.ready, board.loaded_ms = True, now_ms


def start_of_current(board: Board, now_ms: int) -> int:
    """A stream may be ahead of our clock."""
    return max(board.topic.timeframe.floor(now_ms), board.current.start_ms if board.current else 0)


async def read_parts(
    bars: ManyBars, timeframe: Timeframe, symbol_ids: Sequence[int], starts: Sequence[int], now_ms: int
) -> dict[tuple[int, int], Part]:
    """What is stored of the buckets that start at `starts`, which are ascending, by market and start."""
    edge_ms = Interval.H1.floor(now_ms - UNSETTLED_MS)
    from_ms, until_ms = max(starts[0], edge_ms), floor_minute(now_ms) + MINUTE_MS
    minutes = await bars.read(symbol_ids, Interval.M1, from_ms, until_ms)
    found = {}
    for start_ms in starts:
        end_ms = timeframe.after(start_ms)
        cut_ms = min(max(edge_ms, start_ms), end_ms)
        stored = await _stored(bars, timeframe, symbol_ids, Span(start_ms, end_ms), cut_ms)
        for symbol_id in symbol_ids:
            own = [bar for bar in minutes.get(symbol_id, ()) if start_ms <= bar.open_ms < end_ms]
            found[symbol_id, start_ms] = Part(combine(stored.get(symbol_id, ()), start_ms), cut_ms, own)
    return found


async def _stored(
    bars: ManyBars, timeframe: Timeframe, symbol_ids: Sequence[int], bucket: Span, cut_ms: int
) -> dict[int, list[Bar]]:
    if cut_ms == bucket.end_ms:
        return await bars.read(symbol_ids, timeframe, *bucket)
    found: dict[int, list[Bar]] = {}
    for width, span in pieces(Span(bucket.start_ms, cut_ms)):
        for symbol_id, parts in (await bars.read(symbol_ids, width, *span)).items():
            found.setdefault(symbol_id, []).extend(parts)
    return found


def pieces(span: Span) -> Iterator[tuple[Interval, Span]]:
    """Whole days with whole hours and then minutes around them, which together are `span`; ascending."""
    yield from _around((Interval.D1, Interval.H1), span)


def _around(widths: Sequence[Interval], span: Span) -> Iterator[tuple[Interval, Span]]:
    if span.is_empty():
        return
    if not widths:
        yield Interval.M1, span
        return
    inside = Span(widths[0].after(span.start_ms - 1), widths[0].floor(span.end_ms))
    if inside.is_empty():
        yield from _around(widths[1:], span)
        return
    yield from _around(widths[1:], Span(span.start_ms, inside.start_ms))
    yield widths[0], inside
    yield from _around(widths[1:], Span(inside.end_ms, span.end_ms))


def empty(boards: Iterable[Board]) -> list[Board]:
    """Those in whose two buckets nothing was traded."""
    return [
        board
        for board in boards
        if all(bucket is None or bucket.bar() is None for bucket in (board.previous, board.current))
    ]
