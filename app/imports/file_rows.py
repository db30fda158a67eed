"""Store what files of a table hold, a batch at a time."""

from collections.abc import Callable, Iterator
from itertools import islice

from app.imports.files import File
from app.stores.candles import StoredCandle
from app.stores.imports import Brought, ImportStore
from common.clock import Clock
from common.market import Source

#: Rows in one transaction.
BATCH = 50_000


async def store(
    file: File, symbol_id: int, imports: ImportStore, clock: Clock, tell: Callable[[int], None]
) -> Brought:
    """Store its good rows; run again it changes nothing. Of a minute that comes twice the larger volume stays.

    `tell` hears how many more are stored.
    """
    _, _, rows = file.read(clock.now_ms())
    source = Source.CLOSED_BY_TIME.value
    good: Iterator[StoredCandle] = (
        StoredCandle(symbol_id, *row.values, source) for row in rows if row.values is not None
    )
    changed = answered = 0
    while batch := list(islice(good, BATCH)):
        brought = await imports.store(symbol_id, batch, clock.now_ms())
        changed, answered = changed + brought.changed, answered + brought.answered
        tell(len(batch))
    return Brought(changed, answered)
