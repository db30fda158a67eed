"""What stands between a feed and a slow or absent sink: the newest version of each candle, until it is taken."""

import asyncio
from collections.abc import Iterable
from itertools import islice

from msgspec.structs import replace

from app.messages import CandleMessage


class Buffer:
    """Grows by one message a market and minute while nobody takes, however often the minute changes."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, int], CandleMessage] = {}
        self._filled = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, message: CandleMessage) -> None:
        """A closed candle is replaced by a correction of it, never by a running state."""
        place = _place(message)
        before = self._waiting.get(place)
        self._waiting[place] = message if before is None else _merged(before, message)
        self._filled.set()

    async def take(self, most: int) -> list[CandleMessage]:
        """The oldest `most` that wait, in the order in which their minutes were first put; waits for one."""
        await self._filled.wait()
        taken = list(islice(self._waiting.values(), most))
        if len(taken) == len(self._waiting):
            self._waiting = {}
            self._filled.clear()
        else:
            for message in taken:
                del self._waiting[_place(message)]
        return taken

    def put_back(self, messages: Iterable[CandleMessage]) -> None:
        """Taken but not delivered, or nobody knows: first in line again, unless a newer version waits."""
        waiting, self._waiting = self._waiting, {_place(one): one for one in messages}
        self._waiting |= waiting
        if self._waiting:
            self._filled.set()


def _place(message: CandleMessage) -> tuple[str, int]:
    """By the exchange's own name: after a renaming two markets may have told of a minute under one of ours."""
    return message.native or message.key, message.time


def _merged(before: CandleMessage, message: CandleMessage) -> CandleMessage:
    if before.closed and not message.closed:
        return before
    if before.closed and not before.corrected:  # nobody was told of what this corrects
        return replace(message, corrected=False)
    return message
