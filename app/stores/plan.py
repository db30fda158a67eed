"""The plan of history work: jobs, what of them is left, and the pages that workers have leased.

Leases of all jobs are given out one at a time under one lock, so that no two hold the same minute of a symbol.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, NamedTuple

from app.stores.candles import Tell, WriteResult, lock_symbols, merge_on
from app.stores.coverage import cover_on, want_on
from app.stores.database import Database
from app.stores.errors import FetchError, record_on, repaired_on
from app.stores.pages import Answered, Lease, PageOf, newest_pages
from app.stores.presence import present
from app.stores.statements import sql
from common.clock import Clock
from common.errors import BadInput
from common.span import Span

#: How long a page is its worker's own, unless told otherwise.
LEASE_S = 120

#: Held by whoever gives out leases, plans a job, or moves a horizon.
LOCK = 7_310_004


class Progress(NamedTuple):
    """`minutes_left` are neither covered nor given up; `leased` and `errors` count pages.

    `note` is a sentence for people: why the last page had to wait, or how the job ended; often empty.
    """

    state: str
    minutes_total: int
    minutes_left: int
    rows_written: int
    requests: int
    leased: int
    errors: int
    note: str = ""


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
        """Plan what of `span` is not covered; the job's id. With nothing to do the job is done at once.

        Nothing is planned before a horizon, and under the lock of leases no horizon moves over what is planned.
        """
        async with self._leasing() as connection:
            await want_on(connection, dict.fromkeys(symbol_ids, span))
            now_ms = self._clock.now_ms()
            job_id, minutes = await connection.fetchrow(
                sql("plan_create"), exchange, list(symbol_ids), *span, now_ms
            )
            await connection.execute("UPDATE fetch_jobs SET minutes_total = $2 WHERE id = $1", job_id, minutes)
            if not minutes:
                await connection.execute(sql("plan_finish"), job_id, now_ms)
        return int(job_id)

    async def missing(self, symbol_ids: Sequence[int], span: Span) -> dict[int, list[Span]]:
        """What `create` would plan, by symbol."""
        found: dict[int, list[Span]] = {symbol_id: [] for symbol_id in symbol_ids}
        async with self._db.connection() as connection:
            for symbol_id, start_ms, end_ms in await connection.fetch(sql("plan_missing"), list(found), *span):
                found[symbol_id].append(Span(start_ms, end_ms))
        return found

    def present(self, worker: str) -> AbstractAsyncContextManager[Callable[[], bool]]:
        """Hold leases as `worker`; those of one that died are free at once. presence.py says what this gives."""
        return present(self._db, worker)

    async def lease(
        self, job_id: int, worker: str, page_of: PageOf, most: int = 1, *, sought_ms: int | None = None
    ) -> list[Lease]:
        """The newest pages that are nobody's, newest first; none are left when others hold the rest.

        A market that `seek` would name for `sought_ms` is left out.
        """
        async with self._leasing() as connection:
            if await self._state(connection, job_id) not in ("queued", "running"):
                return []
            found = await connection.fetch(sql("plan_next"), job_id, most, sought_ms)
            pages = newest_pages([(row[0], Span(row[1], row[2])) for row in found], page_of, most)
            if not pages:
                return []
            expires_ms = self._clock.now_ms() + self._lease_ms
            columns = [list(column) for column in zip(*((one, *span) for one, span in pages), strict=True)]
            taken = await connection.fetch(sql("plan_take"), job_id, *columns, expires_ms, worker)
        return [Lease(row[0], job_id, row[1], Span(row[2], row[3]), expires_ms) for row in taken]

    async def seek(self, job_id: int, worker: str, sought_ms: int, most: int = 1) -> list[Lease]:
        """Leases of no minutes: of markets with more than `sought_ms` left whose first minute nobody knows."""
        async with self._leasing() as connection:
            if await self._state(connection, job_id) not in ("queued", "running"):
                return []
            found = [row["symbol_id"] for row in await connection.fetch(sql("plan_seek"), job_id, sought_ms, most)]
            if not found:
                return []
            expires_ms = self._clock.now_ms() + self._lease_ms
            taken = await connection.fetch(sql("plan_seeking"), job_id, found, expires_ms, worker)
        return [Lease(row[0], job_id, row[1], Span(0, 0), expires_ms) for row in taken]

    async def listed(self, lease: Lease, first_ms: int | None) -> None:
        """A market's first minute, or that there is none: no job asks for what was before it."""
        async with self._leasing() as connection:
            await connection.execute(sql("plan_listed"), lease.id, lease.symbol_id, first_ms)

    async def renew(self, leases: Iterable[Lease]) -> None:
        """Keep pages that take longer."""
        expires_ms, ids = self._clock.now_ms() + self._lease_ms, [one.id for one in leases]
        async with self._db.begin() as connection:
            await connection.execute(sql("plan_renew"), ids, expires_ms)

    async def complete(self, pages: Sequence[Answered], tell: Tell | None = None) -> WriteResult:
        """Store the candles of a job's pages and what they answer for, and give the leases up, in one transaction.

        `tell` hears of the result before it is committed.

        Minutes of a lease outside `covered` leave the job. Right also when a lease ran out meanwhile.
        """
        job_id, rows = pages[0].lease.job_id, [row for page in pages for row in page.rows]
        covered = [(page.lease.symbol_id, page.covered) for page in pages]
        async with self._db.begin() as connection:
            now_ms = self._clock.now_ms()
            await lock_symbols(connection, {symbol_id for symbol_id, _ in covered}, now_ms)
            result = await merge_on(connection, rows)
            await repaired_on(connection, covered, now_ms)
            await connection.execute(
                sql("plan_complete"), job_id, [page.lease.id for page in pages], len(pages), result.changed
            )
            await cover_on(connection, covered)
            if tell:
                await tell(result)
        return result

    async def release(self, leases: Iterable[Lease]) -> None:
        """Give pages back to their job, to be leased again."""
        async with self._db.begin() as connection:
            await connection.execute(sql("plan_reclaim"), 0, [one.id for one in leases])

    async def postpone(self, lease: Lease, reason: str) -> None:
        """Release a page that could not be had now, and note why for people."""
        async with self._db.begin() as connection:
            await connection.execute(sql("plan_reclaim"), 0, [lease.id])
            await connection.execute("UPDATE fetch_jobs SET note = $2 WHERE id = $1", lease.job_id, reason)

    async def reclaim(self) -> int:
        """Give back the pages of workers that are not there any more; how many."""
        async with self._leasing() as connection:
            ids = [row["id"] for row in await connection.fetch(sql("plan_absent"))]
            if ids:
                await connection.execute(sql("plan_reclaim"), 0, ids)
        return len(ids)

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
            await connection.execute(sql("plan_end"), job_id, state, note, self._clock.now_ms())

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
            await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
            await connection.execute(sql("plan_reclaim"), self._clock.now_ms(), [])
            yield connection

    async def _state(self, connection: Any, job_id: int) -> str:
        state = await connection.fetchval("SELECT state FROM fetch_jobs WHERE id = $1", job_id)
        if state is None:
            raise _unknown(job_id)
        return str(state)


def _unknown(job_id: int) -> BadInput:
    return BadInput("job", f"There is no job {job_id}.")
