"""Ask REST for the recent past of streamed markets: what the feed missed, and what it may have told wrongly."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from app.happening import Happening, Kind, happening
from app.jobs.asked import within_reach
from app.jobs.corrections import BEFORE_HORIZON, announce
from app.jobs.lanes import together
from app.stores import streamed
from app.stores.candles import StoredCandle, WriteResult
from app.stores.errors import FetchError
from app.stores.latest import LiveSink
from common.clock import Clock
from common.errors import Blocked, Malformed, Rejected
from common.market import Instrument
from common.ports import Exchange, Request
from common.span import DAY_MS, MINUTE_MS, Span, common, floor_minute, union
from fetchers.history import Answer, Get, newest_page

if TYPE_CHECKING:
    from app.wiring import Stores

#: A minute that began longer ago should have been stored as the feed told it; those who watch live are told of
#: minutes that began so long ago at most: a database may be away for an hour, and healing takes its time.
LATE_MS, WATCHED_MS = 105_000, 90 * MINUTE_MS
#: A feed that was off for longer starts anew; the time between is for `fetch`.
FARTHEST_BACK_MS = 7 * DAY_MS

#: Markets that are asked for at a time, so that the way to the exchange and back is no limit; the budget is.
LANES = 16

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Reconcile:
    """One slice of a pass over an exchange's streamed markets (by symbol id), the most traded first."""

    exchange: Exchange
    markets: Mapping[int, Instrument]
    get: Get
    stores: "Stores"
    sink: LiveSink
    clock: Clock
    window_minutes: int
    #: Rate units that may still be spent while backfill waits for the same budget.
    allowance: float = float("inf")
    spent: int = field(default=0, init=False)
    #: What is to be told of this slice: how many minutes the feed had missed, by market, and what failed.
    healed: dict[str, int] = field(default_factory=dict, init=False)
    happened: list[Happening] = field(default_factory=list, init=False)
    _until_ms: float = field(default=0, init=False)

    async def run(self, for_s: float, left: Sequence[int] | None = None) -> list[int]:
        """Work for about `for_s` real seconds, and return the symbol ids that this pass has still to look at.

        A pass looks at all (None), later slices at what is `left`. Minutes that REST never answered for come
        before those that it did, and also join a pass under way.
        """
        now_ms = self.clock.now_ms()
        self._until_ms = now_ms + self.clock.of_real_s(for_s)
        needs = await self._needs(now_ms)
        window = Span(floor_minute(now_ms) - self.window_minutes * MINUTE_MS, floor_minute(now_ms))
        queue = deque(await self._queue(set(self.markets if left is None else left), needs, now_ms))

        async def lane(most: float = float("inf")) -> None:
            while queue and most and not self._over():
                one, most = queue.popleft(), most - 1
                if not await self._ask(one, union([*needs[one], window])):
                    queue.appendleft(one)
                elif needs[one]:
                    await self.stores.errors.mark_repaired(one, self.clock.now_ms())

        try:
            await lane(most=1)  # where we are refused, one request is enough to know
            await together(lane() for _ in range(LANES))
        except Blocked:
            return []  # nor would the exchange answer for another market
        return list(queue)

    async def _queue(self, left: set[int], needs: Mapping[int, list[Span]], now_ms: int) -> list[int]:
        value = await streamed.traded(self.stores.db, list(self.markets), now_ms)
        chosen = [one for one in self.markets if one in left or needs[one]]
        return sorted(chosen, key=lambda one: (not needs[one], -value.get(one, 0)))

    def told(self) -> list[Happening]:
        """What people and programs want to know of this slice."""
        if not self.healed:
            return self.happened
        facts = {"markets": len(self.healed), "minutes": sum(self.healed.values())}
        healed = happening(Kind.HEALED, self.exchange.name, self.clock.now_ms(), facts=facts)
        return [*self.happened, healed]

    async def _needs(self, now_ms: int) -> dict[int, list[Span]]:
        """What the feed's wanted minutes lack by now, and what only the feed has told."""
        ids = list(self.markets)
        final_ms = floor_minute(now_ms - round(self.exchange.limits.settle_s * 1000))
        recent = Span(floor_minute(now_ms) - self.window_minutes * MINUTE_MS, final_ms)
        wanted = await self._want(ids, now_ms)
        back = within_reach(self.exchange, Span(floor_minute(now_ms - FARTHEST_BACK_MS), final_ms), now_ms)
        missing = await self.stores.coverage.missing(ids, back)
        told = await streamed.unconfirmed(self.stores.db, ids, recent)
        return {one: union([*common(missing.get(one, []), wanted[one]), *told.get(one, [])]) for one in ids}

    async def _want(self, ids: list[int], now_ms: int) -> dict[int, list[Span]]:
        """From its first streamed minute on, every minute of a streamed market is wanted."""
        wanted, grown = await self.stores.coverage.wanted(ids), {}
        for one in ids:
            last_ms = wanted[one][-1].end_ms if wanted.get(one) else 0
            start_ms = last_ms if last_ms >= now_ms - FARTHEST_BACK_MS else floor_minute(now_ms) - MINUTE_MS
            grown[one] = Span(start_ms, floor_minute(now_ms))
        await self.stores.coverage.want({one: span for one, span in grown.items() if not span.is_empty()})
        return {one: union([*wanted.get(one, []), grown[one]]) for one in ids}

    async def _ask(self, symbol_id: int, spans: list[Span]) -> bool:
        """Ask page by page, newest first, for these spans of one market; False when the slice ended on the way."""
        while spans:
            if self._over():
                return False
            wanted = Span(spans[0].start_ms, spans[-1].end_ms)
            try:
                answer = await newest_page(
                    self.exchange, self.markets[symbol_id], wanted, get=self._pay, clock=self.clock
                )
            except (Rejected, Malformed) as error:
                await self._fail(symbol_id, wanted, error)
                if isinstance(error, Blocked):
                    raise
                return True
            await self._write(symbol_id, answer)
            spans = common(spans, [Span(wanted.start_ms, answer.span.start_ms)])
        return True

    async def _write(self, symbol_id: int, answer: Answer) -> None:
        market, now_ms = self.markets[symbol_id], self.clock.now_ms()
        rows = [StoredCandle(symbol_id, *candle[1:]) for candle in answer.candles]
        cover = [] if answer.settled.is_empty() else [(symbol_id, answer.settled)]
        absent = {
            open_ms
            for hole in await self.stores.outages.absent(symbol_id, [answer.span])
            for open_ms in range(*hole, MINUTE_MS)
        }
        new = [one.open_ms for one in answer.candles if one.open_ms in absent]
        missed = sum(open_ms < now_ms - LATE_MS for open_ms in new)
        # Who watches live may have been told a part of such a minute, and that it was over.
        over = range(now_ms - WATCHED_MS, now_ms - MINUTE_MS + 1)
        watched = [(symbol_id, open_ms) for open_ms in new if open_ms in over]

        async def tell(result: WriteResult) -> None:
            changed = result._replace(corrected=[*result.corrected, *watched])
            if count := await announce(changed, answer.candles, self.sink, self.clock):
                log.info("corrected", market=market.key, candles=count)

        result = await self.stores.candles.write(rows, cover=cover, tell=tell)
        if result.refused:
            log.warning(BEFORE_HORIZON, market=market.key, candles=result.refused)
        if missed:
            self.healed[market.key] = self.healed.get(market.key, 0) + missed

    async def _fail(self, symbol_id: int, wanted: Span, error: Rejected | Malformed) -> None:
        market, status = self.markets[symbol_id], getattr(error, "status", None)
        log.error("not reconciled", market=market.key, reason=str(error))
        failure = FetchError(
            market.exchange, market.native, wanted, type(error).__name__, str(error), status, symbol_id=symbol_id
        )
        await self.stores.errors.record(failure, self.clock.now_ms())
        facts = {"start_ms": wanted.start_ms, "end_ms": wanted.end_ms}
        self.happened.append(
            happening(Kind.GAP, market.exchange, self.clock.now_ms(), str(error), market.symbol, facts)
        )

    async def _pay(self, request: Request) -> bytes:
        self.spent += request.weight
        return await self.get(request)

    def _over(self) -> bool:
        return self.clock.now_ms() >= self._until_ms or self.spent >= self.allowance
