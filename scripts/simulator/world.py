"""Everything that the exchanges' servers share: the market, the time, the faults and the log."""

import asyncio
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from common.clock import Clock
from scripts.simulator.faults import Faults
from scripts.simulator.limits import Limits
from scripts.simulator.market import Market, Row

#: So many requests are remembered, oldest forgotten first.
LOGGED = 200_000

_ROWS_AT_ONCE = 200


@dataclass(slots=True)
class World:
    """`limits` refuse whoever asks more than the real exchange allows, where they are enforced."""

    market: Market
    clock: Clock
    faults: Faults
    limits: Limits
    #: A request's method, path, query and time; once answered its `status`, and `cut` where half of it was sent.
    log: deque[dict[str, str | int]] = field(default_factory=lambda: deque(maxlen=LOGGED))


def make_world(market: Market, clock: Clock, *, enforce_limits: bool = False) -> World:
    """A world without faults whose market follows the faults that come."""
    faults = Faults(clock)
    market.quiet = faults.quiet
    return World(market, clock, faults, Limits(clock, enforced=enforce_limits))


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
