"""Drain the stream of closed candles into the database: commit, then acknowledge, so that nothing is ever lost."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import NamedTuple, TypeVar

import asyncpg
import structlog

from app.jobs.corrections import BEFORE_HORIZON
from app.jobs.outage import Outage
from app.messages import CandleMessage
from app.metrics.update import UpdateFigures
from app.stores.candles import CandleStore, StoredCandle
from app.stores.closed_stream import ClosedStream, Entry
from app.stores.errors import ErrorStore, FetchError
from app.stores.market_ids import MarketIds
from app.stores.rollups import RollupStore
from app.stores.symbols import SymbolStore
from common.clock import Clock
from common.errors import Malformed, Rejected, Retryable
from common.market import Source
from common.span import MINUTE_MS, Span

log = structlog.get_logger(__name__)
T = TypeVar("T")

#: Real time: how long the first entry of a batch is waited for, and how long others may join it.
BLOCK_MS, GATHER_S = 2_000, 0.25
#: What another updater was given this long ago (real time) and did not finish is ours; looked for as often.
STALE_MS = 60_000
#: What PostgreSQL or its driver says about a row that it will never take.
_POISON = (OverflowError, ValueError, asyncpg.DataError, asyncpg.IntegrityConstraintViolationError)


async def run_update(
    closed: ClosedStream,
    candles: CandleStore,
    symbols: SymbolStore,
    rollups: RollupStore,
    errors: ErrorStore,
    clock: Clock,
    *,
    batch: int = 5000,
    figures: UpdateFigures | None = None,
) -> None:
    """Never returns; cancel it at any moment."""
    update = Update(closed, candles, symbols, rollups, errors, clock, batch, figures or UpdateFigures())
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(update.drain())
        tasks.create_task(update.refresh_rollups())


class _Row(NamedTuple):
    """A candle that can be stored, and what told of it."""

    message: CandleMessage
    candle: StoredCandle


class Update:
    """One consumer. A slow refresh of the rollups never holds up the draining."""

    def __init__(
        self,
        closed: ClosedStream,
        candles: CandleStore,
        symbols: SymbolStore,
        rollups: RollupStore,
        errors: ErrorStore,
        clock: Clock,
        batch: int,
        figures: UpdateFigures,
    ) -> None:
        self._closed = closed
        self._candles = candles
        self._symbols = symbols
        self._rollups = rollups
        self._errors = errors
        self._clock = clock
        self._batch = batch
        self._figures = figures
        self._ids = MarketIds()
        self._unknown: set[str] = set()
        self._version: int | None = None
        self._written = asyncio.Event()
        self._database = Outage("PostgreSQL", clock)

    async def drain(self) -> None:
        """First what this consumer left undone, then what others left, then what comes."""
        redis = Outage("Redis", self._clock)
        await _until_done(redis, self._closed.ensure_group)
        loop, next_look_s, outages = asyncio.get_running_loop(), 0.0, -1
        while True:
            if redis.count != outages:  # at the start, and when entries may have been given to a dead connection
                outages = redis.count
                while entries := await _until_done(redis, lambda: self._closed.pending(self._batch)):
                    await self._finish(entries, redis)
            if loop.time() >= next_look_s:
                next_look_s = loop.time() + STALE_MS / 1000
                while stale := await _until_done(redis, lambda: self._closed.claim_stale(STALE_MS, self._batch)):
                    await self._finish(stale, redis)
            if fresh := await _until_done(redis, self._gather):
                await self._finish(fresh, redis)

    async def refresh_rollups(self) -> None:
        """After writes, and once at the start for what a predecessor did not come to."""
        while True:
            self._written.clear()
            await _until_done(self._database, self._rollups.refresh)
            await self._written.wait()

    async def _gather(self) -> list[Entry]:
        """A batch, or what came within a quarter of a second."""
        entries = await self._closed.read(self._batch, BLOCK_MS)
        if entries and len(entries) < self._batch:
            await asyncio.sleep(GATHER_S)
            entries += await self._closed.read(self._batch - len(entries), 0)
        return entries

    async def _finish(self, entries: Sequence[Entry], redis: Outage) -> None:
        await _until_done(self._database, lambda: self._store([entry for _, entry in entries]))
        await _until_done(redis, lambda: self._closed.ack([entry_id for entry_id, _ in entries]))
        self._written.set()

    async def _store(self, entries: Sequence[CandleMessage | Malformed]) -> None:
        messages = [entry for entry in entries if isinstance(entry, CandleMessage)]
        for entry in entries:
            if isinstance(entry, Malformed):
                log.error("An entry of the closed candles is none", reason=str(entry))
        await self._know(messages)
        rows, unknown = [], []
        for one in messages:
            symbol_id = self._ids.meant(one.key, one.native_key)
            if symbol_id is None:
                unknown.append(one)
            else:
                rows.append(_Row(one, StoredCandle(symbol_id, one.time, *_values(one))))
        await self._write(rows)
        for one in unknown:
            await self._report(one, None, "UnknownSymbol", "symbol_exchange does not hold this market")

    async def _write(self, rows: Sequence[_Row]) -> None:
        """All rows but those that can never be stored, which must not take the others with them."""
        if not rows:
            return
        began_s = time.perf_counter()
        try:
            result = await self._candles.write([row.candle for row in rows], cover=_covered(rows))
            delay_s = (self._clock.now_ms() - min(row.message.received for row in rows)) / 1000
            self._figures.committed(len(rows), result.refused, time.perf_counter() - began_s, delay_s)
            if result.refused:
                log.warning(BEFORE_HORIZON, candles=result.refused)
        except _POISON as error:
            if len(rows) == 1:
                message, candle = rows[0]
                await self._report(message, candle.symbol_id, type(error).__name__, str(error))
                return
            await self._write(rows[: len(rows) // 2])
            await self._write(rows[len(rows) // 2 :])

    async def _know(self, messages: Sequence[CandleMessage]) -> None:
        """Load the ids when any market is new, or has another name: what it had before still means it."""
        version = await self._symbols.version()
        if version != self._version:
            self._ids = await self._symbols.ids()
            self._version = version  # as it was before, so that no later change is missed
        unknown = {one.key for one in messages if self._ids.meant(one.key, one.native_key) is None}
        for key in unknown - self._unknown:
            log.error("Candles of an unknown market go to ohlcvs_errors", market=key)
        self._unknown = unknown | (self._unknown - self._ids.keys())

    async def _report(self, one: CandleMessage, symbol_id: int | None, kind: str, reason: str) -> None:
        span = Span(one.time, one.time + MINUTE_MS)
        self._figures.unstorable += 1
        log.warning("A candle cannot be stored", market=one.key, time=one.time, error=kind, reason=reason)
        error = FetchError(one.exchange, f"{one.base}/{one.quote}", span, kind, reason, None, "update", symbol_id)
        try:
            await self._errors.record(error, self._clock.now_ms())
        except _POISON:
            log.exception("Nor can its failure", candle=one)


def _covered(rows: Iterable[_Row]) -> list[tuple[int, Span]]:
    """The minutes that the exchange itself said are over."""
    return [
        (candle.symbol_id, Span(candle.open_ms, candle.open_ms + MINUTE_MS))
        for _, candle in rows
        if candle.source == Source.CLOSING_MESSAGE
    ]


def _values(one: CandleMessage) -> tuple[float, float, float, float, float, float | None, int | None, int]:
    return (one.open, one.high, one.low, one.close, one.volume, one.quote_volume, one.trades, one.source)


async def _until_done(outage: Outage, work: Callable[[], Awaitable[T]]) -> T:
    """The result of `work`, however long whoever it needs is away."""
    while True:
        try:
            result = await work()
        except (Retryable, Rejected) as error:
            await outage.wait(error)
        else:
            outage.over()
            return result
