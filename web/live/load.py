"""Reads into a board what the database holds of its two buckets."""

from common.interval import Interval
from common.market import Bar
from common.span import MINUTE_MS, floor_minute
from web.deps import Candles
from web.live.board import Board
from web.live.bucket import Bucket, combine

#: The last minutes may be on their way to the database: at least this much of the past is kept minute by minute.
UNSETTLED_MS = 30 * MINUTE_MS
HOUR_MS = 60 * MINUTE_MS
#: A live minute this young is newer than its row in the database.
ON_ITS_WAY_MS = 10_000


async def load(board: Board, candles: Candles, now_ms: int) -> None:
    """Afterwards the board is ready. Minutes heard while this reads are kept."""
    interval, symbol_id = board.topic.interval, board.market.id
    current_ms = max(interval.floor(now_ms), board.current.start_ms if board.current else 0)
    previous_ms = interval.back(current_ms, 1)
    edge_ms = Interval.H1.floor(now_ms - UNSETTLED_MS)
    from_ms, until_ms = max(previous_ms, edge_ms), floor_minute(now_ms) + MINUTE_MS
    minutes = await candles.read(symbol_id, Interval.M1, from_ms, until_ms, (until_ms - from_ms) // MINUTE_MS)
    for start_ms in (previous_ms, current_ms):
        if bucket := board.bucket(start_ms):
            cut_ms = min(max(edge_ms, bucket.start_ms), bucket.end_ms)
            stored = await _stored(candles, symbol_id, interval, bucket, cut_ms)
            own = [bar for bar in minutes if bucket.has(bar.open_ms)]
            bucket.take(stored, cut_ms, own, now_ms - ON_ITS_WAY_MS)
    if all(bucket is None or bucket.bar() is None for bucket in (board.previous, board.current)):
        newest = await candles.read(symbol_id, interval, None, previous_ms, 1)
        board.older = newest[0] if newest else None
    board.ready, board.loaded_ms = True, now_ms


async def _stored(candles: Candles, symbol_id: int, interval: Interval, bucket: Bucket, cut_ms: int) -> Bar | None:
    """The bar of the bucket's part before `cut_ms`, of whole days and then whole hours."""
    if cut_ms == bucket.end_ms:
        return next(iter(await candles.read(symbol_id, interval, bucket.start_ms, bucket.end_ms, 1)), None)
    parts: list[Bar] = []
    at_ms = bucket.start_ms
    for width in (Interval.D1, Interval.H1):
        until_ms = width.floor(cut_ms)
        if until_ms > at_ms:
            parts += await candles.read(symbol_id, width, at_ms, until_ms, (until_ms - at_ms) // HOUR_MS)
            at_ms = until_ms
    return combine(parts, bucket.start_ms)
