"""The plan of history work: jobs, what of them is left, and the pages that workers have leased.

Leases of all jobs are given out one at a time under one lock, so that no two hold the same minute of a symbol.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from app.stores.candles import StoredCandle, WriteResult, lock_symbols, merge_on
from app.stores.coverage import cover_on, want_on
from app.stores.database import Database
from app.stores.errors import FetchError, record_on
from app.stores.statements import sql
from common.clock import Clock
from common.errors import BadInput
from common.span import Span

#: How long a page is its worker's own, unless told otherwise.
LEASE_S = 120

_LOCK = 7_310_004


class Lease(NamedTuple):
    """One page that a worker may ask for until `expires_ms`."""

    id: int
    job_id: int
    symbol_id: int
    span: Span
    expires_ms: int


class Progress(NamedTuple):
    """`minutes_left` are neither covered nor given up; `leased` and `errors` count pages."""

    state: str
    minutes_total: int
    minutes_left: int
    rows_written: int
    requests: int
    leased: int
    errors: int


class JobRow(NamedTuple):
    id: int
    exchange: str
    span: Span
    state: str
    created_ms: int


class PlanStore:
    def __init__(self, db: Database, clock: Clock, *, lease_s: float = LEASE_S) -> None:
        self._db = db
        self._clock = clock
        self._lease_ms = round(lease_s * 1000)

    async def create(self, exchange: str, symbol_ids: Sequence[int], span: Span) -> int:
        """Plan what of `span` is not covered; the job's id. With nothing to do the job is done at once."""
        async with self._db.begin() as connection:
            await want_on(connection, dict.fromkeys(symbol_ids, span))
            now_ms = self._clock.now_ms()
            job_id, minutes = await connection.fetchrow(
                sql("plan_create"), exchange, list(symbol_ids), *span, now_ms
            )
            await connection.execute("UPDATE fetch_jobs SET minutes_total = $2 WHERE id = $1", job_id, minutes)
            if not minutes:
                await connection.execute(sql("plan_finish"), job_id, now_ms)
        return int(job_id)

    async def lease(self, job_id: int, worker: str, page_of: Callable[[int, Span], Span]) -> Lease | None:
        """The newest page that is nobody's; None when there is none, though others may still hold some.

        `page_of(symbol_id, piece)` names the part of a free piece to take.
        """
        async with self._leasing() as connection:
            if await self._state(connection, job_id) not in ("queued", "running"):
                return None
            found = await connection.fetchrow(sql("plan_next"), job_id)
            if found is None:
                return None
            symbol_id, piece = found[0], Span(found[1], found[2])
            page = page_of(symbol_id, piece).clip(piece)
            if page.is_empty():
                raise ValueError(f"no page of {piece} for symbol {symbol_id}")
            expires_ms = self._clock.now_ms() + self._lease_ms
            lease_id = await connection.fetchval(sql("plan_take"), job_id, symbol_id, *page, expires_ms, worker)
        return Lease(lease_id, job_id, symbol_id, page, expires_ms)

    async def complete(self, lease: Lease, rows: Sequence[StoredCandle], covered: Span) -> WriteResult:
        """Store a page's candles and what it answers for, and give the lease up, all in one transaction.

        Minutes of the lease outside `covered` leave the job. Right also when the lease ran out meanwhile.
        """
        async with self._db.begin() as connection:
            await lock_symbols(connection, {lease.symbol_id, *(row.symbol_id for row in rows)})
            result = await merge_on(connection, rows)
            await connection.execute(sql("errors_repaired"), lease.symbol_id, *covered, self._clock.now_ms())
            await connection.execute("DELETE FROM fetch_leases WHERE id = $1", lease.id)
            await connection.execute(
                "UPDATE fetch_jobs SET requests = requests + 1, rows_written = rows_written + $2 WHERE id = $1",
                lease.job_id,
                result.changed,
            )
            await cover_on(connection, [(lease.symbol_id, covered)])
        return result

    async def release(self, lease: Lease) -> None:
        """Give a page back to its job, to be leased again."""
        async with self._db.begin() as connection:
            await connection.execute(sql("plan_reclaim"), 0, lease.id)

    async def fail(self, lease: Lease, error: Exception) -> None:
        """The page cannot be had: note why, and drop it from this job. Its minutes stay a gap."""
        async with self._db.begin() as connection:
            exchange, symbol = await connection.fetchrow(
                "SELECT exchange, symbol FROM symbol_exchange WHERE id = $1", lease.symbol_id
            )
            failure = FetchError(
                exchange,
                symbol,
                lease.span,
                type(error).__name__,
                str(error),
                getattr(error, "status", None),
                symbol_id=lease.symbol_id,
            )
            await record_on(connection, failure, self._clock.now_ms())
            await connection.execute("DELETE FROM fetch_leases WHERE id = $1", lease.id)
            await connection.execute(
                "UPDATE fetch_jobs SET requests = requests + 1, errors = errors + 1 WHERE id = $1", lease.job_id
            )

    async def finish_if_done(self, job_id: int) -> bool:
        """Whether the job is over; closes it when nothing is left and nothing is leased."""
        async with self._leasing() as connection:
            await connection.execute(sql("plan_finish"), job_id, self._clock.now_ms())
            return await self._state(connection, job_id) not in ("queued", "running")

    async def progress(self, job_id: int) -> Progress:
        async with self._db.connection() as connection:
            row = await connection.fetchrow(sql("plan_progress"), job_id)
        if row is None:
            raise _unknown(job_id)
        return Progress(*row)

    async def cancel(self, job_id: int) -> None:
        """Stop a job that is not over; what it has stored stays."""
        await self._end(job_id, "cancelled", None)

    async def give_up(self, job_id: int, why: str) -> None:
        """End a job none of whose pages can be had; `fetch` again asks for what is missing."""
        await self._end(job_id, "failed", why)

    async def _end(self, job_id: int, state: str, note: str | None) -> None:
        async with self._leasing() as connection:
            await connection.execute(
                "UPDATE fetch_jobs SET state = $2, note = coalesce($3, note), finished_at = $4 "
                "WHERE id = $1 AND state IN ('queued', 'running')",
                job_id,
                state,
                note,
                self._clock.now_ms(),
            )
            await connection.execute("DELETE FROM fetch_leases WHERE job_id = $1", job_id)

    async def unfinished(self, exchange: str | None = None) -> list[JobRow]:
        """Jobs that are queued or running, the oldest first."""
        async with self._db.connection() as connection:
            rows = await connection.fetch(
                "SELECT id, exchange, lower(span), upper(span), state, created_at FROM fetch_jobs "
                "WHERE state IN ('queued', 'running') AND exchange = coalesce($1, exchange) ORDER BY id",
                exchange,
            )
        return [JobRow(row[0], row[1], Span(row[2], row[3]), row[4], row[5]) for row in rows]

    @asynccontextmanager
    async def _leasing(self) -> AsyncIterator[Any]:
        """A transaction that alone gives out leases, after those that ran out went back to their jobs."""
        async with self._db.begin() as connection:
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
            await connection.execute(sql("plan_reclaim"), self._clock.now_ms(), None)
            yield connection

    async def _state(self, connection: Any, job_id: int) -> str:
        state = await connection.fetchval("SELECT state FROM fetch_jobs WHERE id = $1", job_id)
        if state is None:
            raise _unknown(job_id)
        return str(state)


def _unknown(job_id: int) -> BadInput:
    return BadInput("job", f"There is no job {job_id}.")
