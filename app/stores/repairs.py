"""What of history wants another look: failed spans, gaps, answered minutes without a candle."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from app.stores.database import Database
from app.stores.statements import sql
from common.span import DAY_MS, Span

#: Minutes are looked at again when they are this old; what is older than FARTHEST_BACK_MS is left to people.
AUDIT_AGE_MS, FARTHEST_BACK_MS = DAY_MS, 30 * DAY_MS

#: Ascending spans by symbol id.
Spans = Mapping[int, Sequence[Span]]


class RepairStore:
    def __init__(self, db: Database) -> None:
        self._db = db

    async def due(self, exchange: str, now_ms: int) -> Spans:
        """Failed spans whose turn it is to be tried again."""
        return await self._spans("repair_due", exchange, now_ms)

    async def gaps(self, symbol_ids: Sequence[int], within: Span) -> Spans:
        """What was wanted or has failed, and was not answered since."""
        return await self._spans("repair_gaps", list(symbol_ids), *within)

    async def plan(self, exchange: str, spans: Spans, now_ms: int, note: str) -> int | None:
        """A job for what of `spans` nobody asks for already; None where that is nothing."""
        flat = [(symbol_id, *span) for symbol_id, each in spans.items() for span in each]
        if not flat:
            return None
        columns = [list(column) for column in zip(*flat, strict=True)]
        async with self._db.begin() as connection:
            job_id: int | None = await connection.fetchval(sql("repair_plan"), exchange, *columns, now_ms, note)
        return job_id

    async def audits_due(self, exchange: str, now_ms: int, most: int) -> list[tuple[int, Span]]:
        """Markets of which at least a day waits to be looked at again, and that time."""
        end_ms = now_ms - AUDIT_AGE_MS
        async with self._db.connection() as connection:
            rows = await connection.fetch(
                sql("audit_due"), exchange, end_ms - end_ms % 60_000, now_ms - FARTHEST_BACK_MS, most
            )
        return [(row[0], Span(row[1], row[2])) for row in rows]

    async def absent(self, symbol_id: int, within: Span) -> list[Span]:
        """Minutes that were answered for and have no candle."""
        async with self._db.connection() as connection:
            return [Span(*row) for row in await connection.fetch(sql("audit_absent"), symbol_id, *within)]

    async def outside(self, symbol_id: int, within: Span) -> int:
        """How many stored minutes nobody has answered for."""
        async with self._db.connection() as connection:
            count: int = await connection.fetchval(sql("audit_outside"), symbol_id, *within)
        return count

    async def audited(self, symbol_id: int, until_ms: int) -> None:
        async with self._db.begin() as connection:
            await connection.execute(
                "UPDATE coverage SET audited_until = $2 WHERE symbol_id = $1", symbol_id, until_ms
            )

    async def _spans(self, statement: str, *arguments: Any) -> Spans:
        async with self._db.connection() as connection:
            rows = await connection.fetch(sql(statement), *arguments)
        return by_symbol((row[0], Span(row[1], row[2])) for row in rows)


def by_symbol(spans: Iterable[tuple[int, Span]]) -> Spans:
    found: dict[int, list[Span]] = defaultdict(list)
    for symbol_id, span in spans:
        found[symbol_id].append(span)
    return dict(found)
