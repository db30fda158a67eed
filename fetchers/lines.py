"""All connections of one exchange in this process: as many as its markets need, and no more."""

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple

from common.market import Instrument
from fetchers.answers import batches
from fetchers.events import Event
from fetchers.shard import Shard
from fetchers.stream import Way


class Left(NamedTuple):
    """The connection has no market any more, and is closed."""


Tell = Callable[[int, Event | Left], None]


class Lines:
    """Tells what each shard, by its number, tells."""

    def __init__(self, way: Way, tell: Tell) -> None:
        self._way = way
        self._tell = tell
        self._shards: dict[int, Shard] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None
        self._numbers = 0

    def markets(self, number: int) -> int:
        """How many the shard has."""
        return len(self._shards[number].markets) if number in self._shards else 0

    def carry(self, instruments: Iterable[Instrument]) -> list[Instrument]:
        """Carry these from now on; what is carried already keeps its connection. Returns what is left.

        A market is known by the exchange's name: one that we call otherwise keeps its connection as well, and is
        told of under the name that it had when it came.
        """
        wanted = {one.native_key: one for one in instruments}
        left: list[Instrument] = []
        for number, shard in list(self._shards.items()):
            gone = [one for one in shard.markets if one.native_key not in wanted]
            shard.drop(gone)
            left += gone
            for one in shard.markets:
                del wanted[one.native_key]
            if not shard.markets:
                self._close(number)
        self._add(list(wanted.values()))
        return left

    async def run(self) -> None:
        """For ever; cancel it."""
        async with asyncio.TaskGroup() as self._group:
            for number in self._shards:
                self._start(number)
            await asyncio.Event().wait()

    def _add(self, new: list[Instrument]) -> None:
        size = self._way.exchange.limits.subscriptions_per_socket
        for shard in self._shards.values():
            room = size - len(shard.markets)
            shard.add(new[:room])
            new = new[room:]
        for batch in batches(new, size):
            number, self._numbers = self._numbers, self._numbers + 1
            shard = self._shards[number] = Shard(self._way, partial(self._tell, number))
            shard.add(batch)
            self._start(number)

    def _start(self, number: int) -> None:
        if self._group is not None and number not in self._tasks:
            self._tasks[number] = self._group.create_task(self._shards[number].run())

    def _close(self, number: int) -> None:
        del self._shards[number]
        if task := self._tasks.pop(number, None):
            task.cancel()
        self._tell(number, Left())
