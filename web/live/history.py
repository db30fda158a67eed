"""What a client is told first: the last bars, or whatever changed since it was there before."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from typing import NamedTuple

from common.interval import Interval
from common.span import MINUTE_MS
from common.timeframe import Timeframe
from web.deps import Deps
from web.live.board import OWN, Board
from web.live.bucket import CLOSE_AFTER_MS, Bucket
from web.live.frames import State
from web.live.load import Part, read_parts
from web.live.place import Place, Seq, parse_seq, place_of
from web.live.recent import Heard


async def last_bars(board: Board, deps: Deps, most: int, told: Mapping[int, State]) -> list[State]:
    """The newest `most` bars as of now, ascending; `told` is what the board tells while this reads."""
    timeframe, now_ms = board.topic.timeframe, deps.clock.now_ms()
    oldest = board.previous or board.current
    until_ms = oldest.start_ms if oldest else timeframe.floor(now_ms)
    before = board.states()
    rows = await deps.candles.bars(board.market.id, timeframe, None, until_ms, most)
    found = {bar.open_ms: State(bar, True, False, None) for bar in rows}
    if timeframe.stored is Interval.M1:
        found |= _not_stored_yet(board, found, until_ms)
    found |= {state.bar.open_ms: state for state in (*before, *board.states())} | dict(told)
    return [found[open_ms] for open_ms in sorted(found)[-most:]]


def _not_stored_yet(board: Board, found: Mapping[int, State], until_ms: int) -> dict[int, State]:
    """Closed minutes that are on their way to the database."""
    return {
        open_ms: State(heard.message.bar, True, False, _seq(board, heard.place))
        for open_ms, heard in board.heard().items()
        if heard.message.closed and open_ms < until_ms and open_ms not in found
    }


class Since(NamedTuple):
    """Where a client was: `seq`, and the moment by the Clock at which that had reached us."""

    seq: Seq
    moment_ms: int

    def is_before(self, board: Board, heard: Heard) -> bool:
        """Whether the message came later."""
        return place_of(heard.place)._replace(order=board.order + OWN) > self.seq.place

    def closes_later(self, end_ms: int) -> bool:
        """Whether a bar that no message closes is closed by time after it."""
        return end_ms + CLOSE_AFTER_MS > self.moment_ms


async def changes(boards: Sequence[Board], deps: Deps, since: Mapping[str, Since]) -> list[tuple[Board, State]]:
    """The newest state of each bar that changed since its exchange's Since, in the order of their seqs."""
    with ExitStack() as stack:
        told = {board: stack.enter_context(board.watched()) for board in boards}
        before = {board: _newer(board, since[board.exchange]) for board in boards}
        older = await _older(boards, deps, since)
        found = []
        for board in boards:
            states = before[board] | older.get(board, {}) | _newer(board, since[board.exchange]) | told[board]
            found += [(board, states[open_ms]) for open_ms in sorted(states)]
    return sorted(found, key=lambda one: parse_seq(one[1].seq).place if one[1].seq else Place(0, 0, 0))


def _newer(board: Board, since: Since) -> dict[int, State]:
    """Of the two bars that the board keeps."""
    found = {}
    for bucket in (board.previous, board.current):
        if bucket is None or bucket.sent is None:
            continue
        later = since.closes_later(bucket.end_ms)
        # The board may have its bar from the database, and not from the messages that are remembered.
        newest = _newest(board, bucket)
        seqs = [seq for seq in (bucket.seq, newest and _seq(board, newest.place)) if seq]
        seq = max(seqs, key=lambda one: parse_seq(one).place, default=None)
        if not (seq and parse_seq(seq).place > since.seq.place):
            if not (bucket.closed and later and not _is_closed_by_message(board, bucket.end_ms)):
                continue
            seq = board.recent.afterwards()
        found[bucket.start_ms] = State(bucket.sent, bucket.closed, bucket.closed and not later, seq)
    return found


async def _older(boards: Iterable[Board], deps: Deps, since: Mapping[str, Since]) -> dict[Board, dict[int, State]]:
    """Of the bars before those."""
    found: dict[Board, dict[int, State]] = {}
    to_read: dict[Timeframe, dict[Board, list[int]]] = {}
    now_ms = deps.clock.now_ms()
    for board in boards:
        if board.topic.timeframe.stored is Interval.M1:
            found[board] = _older_minutes(board, since[board.exchange], now_ms)
        elif starts := _older_starts(board, since[board.exchange]):
            to_read.setdefault(board.topic.timeframe, {})[board] = starts
    for timeframe, wanted in to_read.items():
        starts = sorted({start_ms for some in wanted.values() for start_ms in some})
        ids = [board.market.id for board in wanted]
        parts = await read_parts(deps.many_bars, timeframe, ids, starts, now_ms)
        for board, own in wanted.items():
            states = (_older_bar(board, at, parts[board.market.id, at], since, now_ms) for at in own)
            found[board] = {state.bar.open_ms: state for state in states if state}
    return found


def _older_minutes(board: Board, since: Since, now_ms: int) -> dict[int, State]:
    found = {}
    for open_ms, heard in board.heard().items():
        end_ms = open_ms + MINUTE_MS
        if not _is_older(board, open_ms):
            continue
        closed = heard.message.closed or now_ms >= end_ms + CLOSE_AFTER_MS
        if since.is_before(board, heard):
            found[open_ms] = State(heard.message.bar, closed, heard.message.corrected, _seq(board, heard.place))
        elif not heard.message.closed and closed and since.closes_later(end_ms):
            found[open_ms] = State(heard.message.bar, True, False, board.recent.afterwards())
    return found


def _older_starts(board: Board, since: Since) -> list[int]:
    """Buckets that a message touched, or that time closed, since then."""
    timeframe = board.topic.timeframe
    minutes = board.heard()
    starts = {timeframe.floor(open_ms) for open_ms, heard in minutes.items() if since.is_before(board, heard)}
    start_ms = timeframe.floor(since.moment_ms - CLOSE_AFTER_MS)
    while _is_older(board, start_ms):
        starts.add(start_ms)
        start_ms = timeframe.after(start_ms)
    return sorted(start_ms for start_ms in starts if _is_older(board, start_ms))


def _older_bar(board: Board, start_ms: int, part: Part, since: Mapping[str, Since], now_ms: int) -> State | None:
    bucket, then = Bucket(board.topic.timeframe, start_ms), since[board.exchange]
    part.pour_into(bucket, now_ms)
    for open_ms, heard in board.heard().items():
        if bucket.has(open_ms):
            bucket.hear(heard.message)
    newest = _newest(board, bucket)
    bar, later = bucket.bar(), then.closes_later(bucket.end_ms)
    if bar is None:
        return None
    if newest and then.is_before(board, newest):
        return State(bar, True, newest.message.corrected or not later, _seq(board, newest.place))
    if _is_closed_by_message(board, bucket.end_ms) or not later:
        return None
    return State(bar, True, False, board.recent.afterwards())


def _newest(board: Board, bucket: Bucket) -> Heard | None:
    """Of the bucket's minutes that are remembered, the one that was told last."""
    minutes = board.heard().items()
    own = [heard for open_ms, heard in minutes if bucket.has(open_ms)]
    return max(own, key=lambda heard: place_of(heard.place), default=None)


def _is_closed_by_message(board: Board, end_ms: int) -> bool:
    last = board.heard().get(end_ms - MINUTE_MS)
    return last is not None and last.message.closed


def _is_older(board: Board, open_ms: int) -> bool:
    kept = board.previous or board.current
    return kept is not None and open_ms < kept.start_ms


def _seq(board: Board, place: str) -> str:
    return f"{place}-{board.order + OWN}"
