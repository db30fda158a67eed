"""Fill spans of history: the plan says what is left, lanes ask page by page, newest first, one writer stores."""

import asyncio
import os
import random
import secrets
import socket
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from app.jobs.lanes import first
from app.jobs.pages import ask, page_of, store
from app.stores import analytics
from app.stores.latest import LiveSink
from app.stores.pages import Answered, Lease
from app.stores.plan import LEASE_S, PlanStore
from common.clock import Clock
from common.errors import Blocked, Malformed, Rejected, Retryable
from common.market import Instrument
from common.ports import Exchange
from common.span import Span
from fetchers.history import Get
from fetchers.listing import first_minute, worth_ms

if TYPE_CHECKING:
    from app.wiring import Stores

#: A page that takes longer, in the Clock's time, is given back.
PAGE_S = LEASE_S - 5
LONGEST_PAUSE_S = 60
#: Real seconds between looks at the job's state.
WATCH_S = 0.5
#: Rows that are written in one transaction, unless a single page is larger.
ROWS_AT_ONCE = 50_000

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Backfill:
    """One process at work on one job. `markets` maps symbol ids of the exchange to its instruments."""

    job_id: int
    worker: str
    exchange: Exchange
    markets: Mapping[int, Instrument]
    get: Get
    plans: PlanStore
    clock: Clock
    sink: LiveSink
    lanes: int = 4
    _until_ms: float = field(default=0, init=False)
    _taking: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)
    _next: deque[Lease] = field(default_factory=deque, init=False)
    _held: dict[int, Lease] = field(default_factory=dict, init=False)
    _answers: asyncio.Queue[Answered | None] = field(default_factory=asyncio.Queue, init=False)

    async def run(self, for_s: float) -> bool:
        """Work for about `for_s` real seconds; True when nothing is left to do here.

        What others have leased is theirs while they live; then it is asked again, so nobody's death loses a page.
        """
        self._until_ms = self.clock.now_ms() + self.clock.of_real_s(for_s)
        async with self.plans.present(self.worker) as lost:
            while True:
                await self.plans.reclaim()
                await self._all_lanes(lost)
                if await self.plans.finish_if_done(self.job_id) or await self._stopped():
                    return True
                if self._over():
                    return False
                await asyncio.sleep(WATCH_S)

    async def _all_lanes(self, lost: Callable[[], bool]) -> None:
        self._answers = asyncio.Queue(self.lanes)
        try:
            async with asyncio.TaskGroup() as group:
                lanes = [group.create_task(self._lane()) for _ in range(self.lanes)]
                group.create_task(self._write())
                watch = group.create_task(self._watch(lanes, lost))
                await asyncio.wait(lanes)
                watch.cancel()
                await self._answers.put(None)
        except BaseExceptionGroup as several:
            raise first(several) from several
        finally:
            self._next.clear()
            left, self._held = list(self._held.values()), {}
            await self.plans.release(left)

    async def _watch(self, lanes: list[asyncio.Task[None]], lost: Callable[[], bool]) -> None:
        """Keep what is leased; a cancelled job stops at once, even where a lane waits for the rate budget."""
        renewed_ms = self.clock.now_ms()
        while not await self._stopped():
            if lost():
                raise Retryable("the connection to PostgreSQL broke; others may have taken over what was leased")
            if self.clock.now_ms() - renewed_ms >= LEASE_S * 1000 / 4:
                renewed_ms = self.clock.now_ms()
                await self.plans.renew(list(self._held.values()))
            await asyncio.sleep(WATCH_S)
        for lane in lanes:
            lane.cancel()

    async def _lane(self) -> None:
        failures = 0
        while not self._over() and (lease := await self._take()):
            failures = 0 if await self._page(lease) else failures + 1
            if failures:
                await self._back_off(failures)

    async def _take(self) -> Lease | None:
        """The newest page; several are leased at a time."""
        async with self._taking:
            if not self._next:
                leased = await self._lease()
                self._next.extend(leased)
                self._held.update((one.id, one) for one in leased)
            return self._next.popleft() if self._next else None

    async def _lease(self) -> list[Lease]:
        """Markets whose first minute is not known come first, so that nobody pages through years before it."""
        job, most, sought_ms = (self.job_id, self.worker), 2 * self.lanes, self._sought_ms
        return await self.plans.seek(*job, sought_ms, most) or await self.plans.lease(
            *job, self._page_of, most, sought_ms=sought_ms
        )

    async def _page(self, lease: Lease) -> bool:
        """Ask for one page and have it stored; False when the exchange could not answer now."""
        market = self.markets[lease.symbol_id]
        try:
            async with asyncio.timeout(PAGE_S / self.clock.rate):
                if lease.span.is_empty():
                    await self._seek(lease)
                    return True
                answered = await ask(self.exchange, market, lease, get=self.get, clock=self.clock)
        except (Retryable, TimeoutError) as error:
            reason = str(error) or f"{self.exchange.name} gave no answer within {PAGE_S} s"
            log.warning("page postponed", job=self.job_id, market=market.key, reason=reason)
            await self.plans.postpone(lease, reason)
            del self._held[lease.id]
            return False
        except (Rejected, Malformed) as error:
            if lease.span.is_empty() and not isinstance(error, Blocked):
                await self._settle(lease, None)  # the pages themselves will tell
                return True
            log.error("page failed", job=self.job_id, market=market.key, reason=str(error))
            await self.plans.fail(lease, error)
            del self._held[lease.id]
            if isinstance(error, Blocked):
                self._next.clear()
                await self.plans.give_up(self.job_id, str(error))
            return True
        await self._answers.put(answered)
        return True

    async def _seek(self, lease: Lease) -> None:
        market = self.markets[lease.symbol_id]
        await self._settle(lease, await first_minute(self.exchange, market, get=self.get, clock=self.clock))

    async def _settle(self, lease: Lease, first_ms: int | None) -> None:
        await self.plans.listed(lease, first_ms)
        del self._held[lease.id]

    async def _write(self) -> None:
        """Store what was answered until None comes: all that waits in one transaction."""
        while page := await self._answers.get():
            pages, last = [page], False
            while not (last or self._answers.empty()) and sum(len(one.rows) for one in pages) < ROWS_AT_ONCE:
                if following := self._answers.get_nowait():
                    pages.append(following)
                else:
                    last = True
            await store(pages, self.markets, plans=self.plans, sink=self.sink, clock=self.clock)
            for one in pages:
                del self._held[one.lease.id]
            if last:
                break

    async def _back_off(self, failures: int) -> None:
        pause_s = random.uniform(0.5, 1) * min(LONGEST_PAUSE_S, 2.0**failures)
        left_s = (self._until_ms - self.clock.now_ms()) / 1000
        await self.clock.sleep(max(0.5, min(pause_s, left_s)))

    async def _stopped(self) -> bool:
        return (await self.plans.progress(self.job_id)).state not in ("queued", "running")

    def _page_of(self, symbol_id: int, piece: Span) -> Span:
        return page_of(self.exchange, self.markets[symbol_id], piece, self.clock.now_ms())

    @property
    def _sought_ms(self) -> int:
        return worth_ms(self.exchange, next(iter(self.markets.values())))

    def _over(self) -> bool:
        return self.clock.now_ms() >= self._until_ms


async def work(
    job_id: int,
    exchange: Exchange,
    *,
    get: Get,
    stores: "Stores",
    sink: LiveSink,
    clock: Clock,
    lanes: int,
    for_s: float,
) -> bool:
    """Work on a job for about `for_s` real seconds; True when nothing is left to do here.

    Its rollups are fresh when this returns, and the analytics when the job is over.
    """
    known = await stores.symbols.load(exchange.name)
    backfill = Backfill(
        job_id,
        # A process of a container that starts anew has the same number, so the name must tell them apart.
        f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}",
        exchange,
        {one.id: one.instrument for one in known.values()},
        get=get,
        plans=stores.plan,
        clock=clock,
        sink=sink,
        lanes=lanes,
    )
    done = await backfill.run(for_s)
    await stores.rollups.refresh()
    if done:
        await analytics.refresh(stores.db, clock.now_ms())
    return done
