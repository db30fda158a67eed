"""Fill spans of history: the plan says what is still to ask, lanes lease it page by page, newest first."""

import asyncio
import os
import random
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from app.jobs.corrections import announce
from app.stores import analytics
from app.stores.candles import StoredCandle
from app.stores.latest import LiveSink
from app.stores.plan import Lease, PlanStore
from common.clock import Clock
from common.errors import Blocked, Malformed, Rejected, Retryable
from common.market import Candle, Instrument
from common.ports import Exchange
from common.span import Span
from fetchers.history import Get, history

if TYPE_CHECKING:
    from app.wiring import Stores

#: A truncated body is usually whole the next time; only the third bad one in a row is a failure.
TRIES = 3
#: A page is given up this long before its lease ends, so that nobody else asks for it meanwhile.
LEASE_MARGIN_S = 5
LONGEST_PAUSE_S = 60
#: Real seconds between looks at the job's state.
WATCH_S = 0.5

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

    async def run(self, for_s: float) -> bool:
        """Work for about `for_s` real seconds; True when nothing is left to do here.

        What others have leased is theirs until it expires: then it is asked again, so nobody's death loses a page.
        """
        self._until_ms = self.clock.now_ms() + for_s * 1000 * self.clock.rate
        while True:
            await self._all_lanes()
            if await self.plans.finish_if_done(self.job_id) or await self._stopped():
                return True
            if self._over():
                return False
            await asyncio.sleep(WATCH_S)

    async def _all_lanes(self) -> None:
        async with asyncio.TaskGroup() as group:
            lanes = [group.create_task(self._lane()) for _ in range(self.lanes)]
            watch = group.create_task(self._watch(lanes))
            await asyncio.wait(lanes)
            watch.cancel()

    async def _watch(self, lanes: list[asyncio.Task[None]]) -> None:
        """A cancelled job stops at once, even where a lane waits for the rate budget."""
        while True:
            if await self._stopped():
                break
            await asyncio.sleep(WATCH_S)
        for lane in lanes:
            lane.cancel()

    async def _lane(self) -> None:
        failures = 0
        while not self._over() and (lease := await self.plans.lease(self.job_id, self.worker, self._page_of)):
            try:
                failures = 0 if await self._page(lease) else failures + 1
            except BaseException:
                await self.plans.release(lease)
                raise
            if failures:
                await self._back_off(failures)

    async def _page(self, lease: Lease) -> bool:
        """Ask for one lease and settle it; False when the exchange could not answer now."""
        try:
            candles, settled = await self._ask(lease)
        except Retryable as error:
            log.warning("page postponed", job=self.job_id, market=self._name(lease), reason=str(error))
            await self.plans.release(lease)
            return False
        except (Rejected, Malformed) as error:
            log.error("page failed", job=self.job_id, market=self._name(lease), reason=str(error))
            await self.plans.fail(lease, error)
            if isinstance(error, Blocked):
                await self.plans.give_up(self.job_id, str(error))
            return True
        rows = [StoredCandle(lease.symbol_id, *candle[1:]) for candle in candles]
        result = await self.plans.complete(lease, rows, settled)
        await announce(result, candles, self.sink, self.clock)
        return True

    async def _ask(self, lease: Lease) -> tuple[list[Candle], Span]:
        """The lease's candles, and the part of it that is answered for good."""
        for attempt in range(1, TRIES + 1):
            try:
                async with asyncio.timeout(self._left_s(lease)):
                    return await self._walk(lease)
            except TimeoutError:
                raise Retryable("no answer while the page was ours") from None
            except Malformed:
                if attempt == TRIES:
                    raise
        raise AssertionError("unreachable")

    async def _walk(self, lease: Lease) -> tuple[list[Candle], Span]:
        market, answers = self.markets[lease.symbol_id], []
        async for answer in history(self.exchange, market, lease.span, get=self.get, clock=self.clock):
            answers.append(answer)
        candles = [candle for answer in reversed(answers) for candle in answer.candles]
        return candles, Span(lease.span.start_ms, answers[0].settled.end_ms)

    async def _back_off(self, failures: int) -> None:
        pause_s = random.uniform(0.5, 1) * min(LONGEST_PAUSE_S, 2.0**failures)
        left_s = (self._until_ms - self.clock.now_ms()) / 1000
        await self.clock.sleep(max(0.5, min(pause_s, left_s)))

    async def _stopped(self) -> bool:
        return (await self.plans.progress(self.job_id)).state not in ("queued", "running")

    def _page_of(self, symbol_id: int, piece: Span) -> Span:
        return self.exchange.page(self.markets[symbol_id], piece, self.clock.now_ms()).span

    def _left_s(self, lease: Lease) -> float:
        return ((lease.expires_ms - self.clock.now_ms()) / 1000 - LEASE_MARGIN_S) / self.clock.rate

    def _over(self) -> bool:
        return self.clock.now_ms() >= self._until_ms

    def _name(self, lease: Lease) -> str:
        return self.markets[lease.symbol_id].key


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
        f"{socket.gethostname()}:{os.getpid()}",
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
