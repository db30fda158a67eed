"""Keep 1-minute candles for so many days: roll up, move horizons, drop what lies before them. Bars stay."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import structlog

from common.clock import Clock
from common.span import DAY_MS, Span

if TYPE_CHECKING:
    from app.wiring import Stores

#: Minutes of a symbol that one transaction deletes; as long as a chunk.
_STEP_MS = 28 * DAY_MS

log = structlog.get_logger(__name__)


class Retained(NamedTuple):
    """How many symbols' horizons moved, how many minutes were deleted one by one, and whether all are."""

    moved: int
    deleted: int
    done: bool


def horizon_ms(days: int, clock: Clock) -> int:
    """The UTC midnight before which minutes are dropped, so that at least so many days are kept."""
    then_ms = clock.now_ms() - days * DAY_MS
    return then_ms - then_ms % DAY_MS


async def retain(
    stores: "Stores", symbol_ids: Sequence[int], before_ms: int, for_s: float = float("inf")
) -> Retained:
    """Work for about `for_s` real seconds. Stopped anywhere, answers are right, and the next run goes on."""
    until_s = time.monotonic() + for_s
    await stores.rollups.refresh()
    moved = await stores.retention.move(symbol_ids, before_ms)
    if moved:
        log.info("horizons moved", symbols=len(moved), horizon_ms=before_ms)
    deleted = 0
    if await stores.retention.left():
        await stores.retention.drop_whole()
    for symbol_id, span in await stores.retention.left():
        for start_ms in range(span.start_ms, span.end_ms, _STEP_MS):
            if time.monotonic() >= until_s:
                return Retained(len(moved), deleted, False)
            step = Span(start_ms, min(start_ms + _STEP_MS, span.end_ms))
            deleted += await stores.retention.drop(symbol_id, step)
    return Retained(len(moved), deleted, True)
