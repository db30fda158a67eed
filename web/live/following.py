"""Reads one exchange's live stream, from a little before its end, and says what it brought."""

import asyncio
import random
from collections.abc import Callable, Iterable

import structlog

from app.messages import CandleMessage
from app.stores.latest import KEPT_MS
from common.errors import CandlehouseError
from web.deps import Deps
from web.live.place import Seq, back, epoch_of, place_of
from web.live.recent import Recent

log = structlog.get_logger(__name__)

#: How much of the stream is read back when an exchange gets its first listener: what may not be stored yet.
BACKLOG_MS = 120_000
#: A quiet stream is looked at this often for bars that end without another trade.
BLOCK_MS = 1000
LONGEST_WAIT_S = 10.0

#: A candle's market, as Instrument.key spells it, the candle and its place.
Told = tuple[str, CandleMessage, str]


class Following:
    """Calls `hear` with what is new, in order; `again` at the stream's end, with whether a part may be lost."""

    def __init__(
        self,
        exchange: str,
        deps: Deps,
        hear: Callable[[Iterable[Told]], None],
        again: Callable[[str, bool], None],
        since: Seq | None = None,
    ) -> None:
        self.exchange = exchange
        self.recent = Recent()
        #: Set while the stream's end is reached.
        self.caught_up = asyncio.Event()
        self._deps = deps
        self._hear, self._again = hear, again
        self._since = since

    async def run(self, is_wanted: Callable[[str], bool]) -> None:
        """Until nobody wants it any more."""
        cursor, tail, failures = "", "", 0
        while is_wanted(self.exchange):
            try:
                if not cursor:
                    tail = await self._deps.feed.tail_id(self.exchange)
                    cursor = self._begin(tail)
                    if place_of(cursor) >= place_of(tail):
                        self._reach_end(failures)
                        failures = 0
                entries = await self._deps.feed.read({self.exchange: cursor}, block_ms=BLOCK_MS)
            except CandlehouseError as error:
                self.caught_up.clear()
                cursor, failures, self.recent.caught_up = "", failures + 1, False
                await self._wait(failures, error)
                continue
            told = [(message.key, message, place) for _, place, message in entries]
            cursor = self._remember(told) or cursor
            if self.recent.caught_up:
                self._hear(told)
            elif not entries or place_of(cursor) >= place_of(tail):
                self._reach_end(failures)
                failures = 0

    def _begin(self, tail: str) -> str:
        """Where to begin, so that what the first client wants to go on from is heard, too."""
        start, epoch = back(tail, BACKLOG_MS), epoch_of(tail)
        if self._since and self._since.epoch == epoch:
            kept = back(tail, round(KEPT_MS / (self._deps.clock.rate or 1)))
            wanted = f"{self._since.place.ms}-{self._since.place.number}"
            start = max(kept, min(start, wanted, key=place_of), key=place_of)
        self.recent.begin(epoch, start)
        return start

    def _remember(self, told: list[Told]) -> str:
        if not told:
            return ""
        if (epoch := epoch_of(told[0][2])) != self.recent.epoch:  # Redis was emptied, and is read from its start
            self.recent.begin(epoch, "0-0")
        for _, message, place in told:
            self.recent.hear(message, place)
        return told[-1][2]

    def _reach_end(self, failures: int) -> None:
        self.recent.caught_up = True
        self.caught_up.set()
        if failures:
            log.info("The live stream is read again", exchange=self.exchange)
        self._again(self.exchange, failures > 0)

    async def _wait(self, failures: int, error: Exception) -> None:
        if failures == 1:
            log.warning("The live stream cannot be read", exchange=self.exchange, reason=str(error))
        await asyncio.sleep(random.uniform(0.1, min(LONGEST_WAIT_S, 2.0**failures)))
