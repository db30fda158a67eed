"""What a batch of candles touches: how many minutes, of which symbols, from when to when."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

from common.span import DAY_MS, MINUTE_MS

if TYPE_CHECKING:
    from app.stores.candles import StoredCandle

WEEK_MS = 7 * DAY_MS

_symbol_id, _open_ms = itemgetter(0), itemgetter(1)


class Stretch(NamedTuple):
    """The first and the last minute of one symbol within a week: a line of the ledger of changed minutes."""

    symbol_id: int
    first_ms: int
    last_ms: int


@dataclass(frozen=True, slots=True)
class Batch:
    """`minutes` counts each minute of a symbol once, however many rows tell it."""

    minutes: int
    stretches: list[Stretch]

    @property
    def bounds(self) -> tuple[int, int]:
        """Of all symbols, end excluded."""
        return min(one.first_ms for one in self.stretches), max(one.last_ms for one in self.stretches) + MINUTE_MS

    def columns(self) -> list[list[int]]:
        """Symbol ids, first minutes, last minutes."""
        return [list(column) for column in zip(*self.stretches, strict=True)]


def batch_of(rows: Sequence["StoredCandle"]) -> Batch:
    """Of at least one row."""
    times: dict[int, set[int]] = defaultdict(set)
    for symbol_id, of_symbol in groupby(rows, _symbol_id):
        times[symbol_id].update(map(_open_ms, of_symbol))
    stretches = [one for symbol_id, found in times.items() for one in _weekly(symbol_id, sorted(found))]
    return Batch(sum(map(len, times.values())), stretches)


def _weekly(symbol_id: int, times: list[int]) -> Iterator[Stretch]:
    at = 0
    while at < len(times):
        after = bisect_left(times, (times[at] // WEEK_MS + 1) * WEEK_MS, at)
        yield Stretch(symbol_id, times[at], times[after - 1])
        at = after
