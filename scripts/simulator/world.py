"""Everything that the exchanges' servers share: the market, the time, the faults and the log."""

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from common.clock import Clock
from scripts.simulator.faults import Faults
from scripts.simulator.market import Market, Row

#: So many requests are remembered, oldest forgotten first.
LOGGED = 200_000

_ROWS_AT_ONCE = 200


@dataclass(slots=True)
class World:
    """`enforce_limits` answers 429 to whoever asks more than the real exchange allows."""

    market: Market
    clock: Clock
    faults: Faults
    enforce_limits: bool = False
    log: deque[dict[str, str | int]] = field(default_factory=lambda: deque(maxlen=LOGGED))
    #: (exchange, what) -> (minute, weight spent in it)
    spent: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    #: Until when (ms) an exchange has told callers to wait, or banned them.
    refused_until_ms: dict[str, int] = field(default_factory=dict)

    def spend(self, exchange: str, what: str, weight: int) -> int:
        """Add to the running minute's count; the sum so far."""
        minute = self.clock.now_ms() // 60_000
        then, before = self.spent.get((exchange, what), (minute, 0))
        total = weight + (before if then == minute else 0)
        self.spent[exchange, what] = (minute, total)
        return total


def make_world(market: Market, clock: Clock, *, enforce_limits: bool = False) -> World:
    """A world without faults whose market follows the faults that come."""
    faults = Faults(clock)
    market.quiet = faults.quiet
    return World(market, clock, faults, enforce_limits)


async def take(rows: Iterable[Row | None], limit: int) -> list[Row]:
    """The first `limit` rows there are, letting others work in between."""
    taken: list[Row] = []
    for asked, row in enumerate(rows):
        if len(taken) >= limit:
            break
        if row is not None:
            taken.append(row)
        if asked % _ROWS_AT_ONCE == _ROWS_AT_ONCE - 1:
            await asyncio.sleep(0)
    return taken
