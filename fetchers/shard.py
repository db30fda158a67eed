"""Some markets on one connection, which is opened again whatever ends it, and renewed before its time is over."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

import structlog

from common.market import Instrument
from fetchers.events import Connected, Event, Lost, Stale
from fetchers.http import back_off_s
from fetchers.rhythm import Rhythm
from fetchers.stream import Conversation, Way

log = structlog.get_logger(__name__)

#: In the Clock's time: so long before a scheduled end the next connection is begun, and so long it has to become
#: complete before the old one goes all the same; then it is tried again after as long.
RENEW_S, COMPLETE_S = 300, 120
#: So long both bring candles: what one of them told before the other began may still be on its way.
OVERLAP_S = 5
#: Between two looks for markets that have fallen silent.
LOOK_S = 15


class Shard:
    """Tells candles as they come, and the beginnings and ends of its connections, to `tell`."""

    def __init__(self, way: Way, tell: Callable[[Event], None]) -> None:
        self._way = way
        self._tell = tell
        self._markets: dict[str, Instrument] = {}
        self._rhythm = Rhythm()
        #: The connection that counts, and the one that is to follow it while there are two.
        self._talks: dict[Conversation, asyncio.Task[Lost]] = {}

    @property
    def markets(self) -> Sequence[Instrument]:
        return list(self._markets.values())

    def add(self, instruments: Iterable[Instrument]) -> None:
        new = [one for one in instruments if one.native_key not in self._markets]
        self._markets.update((one.native_key, one) for one in new)
        self._rhythm.expect((one.native_key for one in new), self._way.clock.now_ms())
        for talk in self._talks if new else ():
            talk.add(new)

    def drop(self, instruments: Iterable[Instrument]) -> None:
        old = [one for one in instruments if self._markets.pop(one.native_key, None)]
        self._rhythm.forget(one.native_key for one in old)
        for talk in self._talks if old else ():
            talk.drop(old)

    async def run(self) -> None:
        """For ever. Until a candle proves a connection good, each attempt may wait longer than the last."""
        self._look_later()
        failures, since_ms = 0, None
        try:
            while True:
                self._rhythm.begin(self._way.clock.now_ms())
                talk = await self._last(self._begin(self._tell))
                failures = 1 if talk.is_fruitful else failures + 1
                lost = self._talks.pop(talk).result()
                since_ms = lost.since_ms or since_ms
                self._tell(lost._replace(since_ms=since_ms))
                await self._way.clock.sleep(back_off_s(failures, lost.retry_after_s))
        finally:
            self._looking.cancel()
            await _end(list(self._talks.values()))

    def _begin(self, tell: Callable[[Event], None]) -> Conversation:
        talk = Conversation(self._way, self.markets, self._rhythm, tell)
        self._talks[talk] = asyncio.create_task(talk.run())
        return talk

    async def _last(self, talk: Conversation) -> Conversation:
        """Renew `talk` as often as it is to end by schedule; the connection that was lost in the end."""
        while not await self._is_lost(talk):
            following = self._begin(self._tell_quietly)
            if await self._is_complete(following, talk):
                await self._way.clock.sleep(OVERLAP_S)
                await _end([self._talks.pop(talk)])
                log.info("Connection renewed", exchange=self._way.exchange.name, symbols=len(self._markets))
                talk = following
            else:
                await _end([self._talks.pop(following)])
                await asyncio.wait({self._talks[talk]}, timeout=COMPLETE_S / self._way.clock.rate)
                if self._talks[talk].done():
                    break
        return talk

    async def _is_lost(self, talk: Conversation) -> bool:
        """Wait until `talk` is lost (True) or has to be renewed."""
        limits, clock = self._way.exchange.limits, self._way.clock
        ending = asyncio.create_task(talk.is_ending.wait())
        due_s = max(1, limits.lifetime_s - RENEW_S) / clock.rate if limits.lifetime_s else None
        waiting = {self._talks[talk], ending}
        await asyncio.wait(waiting, timeout=due_s, return_when=asyncio.FIRST_COMPLETED)
        ending.cancel()
        return self._talks[talk].done()

    async def _is_complete(self, following: Conversation, talk: Conversation) -> bool:
        """Wait until `following` can stand in for `talk`; False when that did not come to be."""
        complete = asyncio.create_task(following.is_complete.wait())
        waiting = {complete, self._talks[following], self._talks[talk]}
        await asyncio.wait(waiting, timeout=COMPLETE_S / self._way.clock.rate, return_when=asyncio.FIRST_COMPLETED)
        complete.cancel()
        return following.is_fruitful and not any(task.done() for task in self._talks.values())

    def _tell_quietly(self, event: Event) -> None:
        """Nobody lost a connection, so nobody is told of a new one."""
        if not isinstance(event, Connected):
            self._tell(event)

    def _look_later(self) -> None:
        self._looking = asyncio.get_running_loop().call_later(LOOK_S / self._way.clock.rate, self._look)

    def _look(self) -> None:
        """Subscribe once more to what has fallen silent; what no connection brings is not its own silence."""
        if any(talk.is_fruitful for talk in self._talks):
            for key, silent_ms in self._rhythm.stale(self._way.clock.now_ms()).items():
                market = self._markets[key]
                for talk in self._talks:
                    talk.drop([market])
                    talk.add([market])
                self._tell(Stale(market, silent_ms))
        self._look_later()


async def _end(tasks: Sequence[asyncio.Task[Lost]]) -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError):
            await task
