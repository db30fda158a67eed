"""Outages of exchanges as they are kept, and what is read to find them."""

from array import array
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from zlib import crc32

from app.stores.database import Database
from app.stores.statements import sql
from common.outages import Outage
from common.span import MINUTE_MS, Span

_LOCK = 7_310_011


class OutageStore:
    def __init__(self, db: Database) -> None:
        self._db = db

    @asynccontextmanager
    async def alone(self, exchange: str) -> AsyncIterator[None]:
        """Nobody else looks for outages of this exchange meanwhile."""
        async with self._db.begin() as connection:
            await connection.execute("SELECT pg_advisory_xact_lock($1, $2)", _LOCK, crc32(exchange.encode()) >> 1)
            yield

    async def sought(self, symbol_ids: Sequence[int]) -> dict[int, list[Span]]:
        """Where outages were looked for already, ascending."""
        spans: dict[int, list[Span]] = defaultdict(list)
        async with self._db.connection() as connection:
            for symbol_id, start_ms, end_ms in await connection.fetch(sql("outages_seen"), list(symbol_ids)):
                spans[symbol_id].append(Span(start_ms, end_ms))
        return spans

    async def bounds(self, symbol_ids: Sequence[int]) -> dict[int, Span]:
        """From the first to the last stored minute of each symbol that has any."""
        async with self._db.connection() as connection:
            rows = await connection.fetch(sql("outages_bounds"), list(symbol_ids))
        return {symbol_id: Span(first_ms, last_ms + MINUTE_MS) for symbol_id, first_ms, last_ms in rows}

    async def absent(self, symbol_id: int, spans: Sequence[Span]) -> list[Span]:
        """The minutes of these spans of which no candle is stored."""
        if not spans:
            return []
        async with self._db.connection() as connection:
            return [
                Span(*row) for row in await connection.fetch(sql("outages_absent"), symbol_id, *_bounds(spans))
            ]

    async def times(self, symbol_id: int, spans: Sequence[Span]) -> Sequence[int]:
        """The open times of the candles within these disjoint spans, ascending."""
        async with self._db.connection() as connection:
            rows = await connection.fetch(sql("outages_times"), symbol_id, *_bounds(spans))
        return array("q", (row[0] for row in rows))

    async def stored(self, exchange: str) -> list[Span]:
        """The outages of an exchange that are known, ascending."""
        async with self._db.connection() as connection:
            rows = await connection.fetch(
                "SELECT lower(span), upper(span) FROM exchange_outages WHERE exchange = $1 ORDER BY 1", exchange
            )
        return [Span(*row) for row in rows]

    async def replace(
        self,
        exchange: str,
        area: Sequence[Span],
        found: Sequence[Outage],
        sought: Mapping[int, Sequence[Span]],
        now_ms: int,
    ) -> list[Span]:
        """Know these outages and no others within `area`, and where they were sought; which of them are new."""
        told = [one.evidence for one in found], ["{" + ",".join(map(str, one.markets)) + "}" for one in found]
        pairs = [(symbol_id, span) for symbol_id, spans in sorted(sought.items()) for span in spans]
        async with self._db.begin() as connection:
            new = await connection.fetch(
                sql("outages_replace"),
                exchange,
                *_bounds(area),
                *_bounds([one.span for one in found]),
                *told,
                now_ms,
            )
            ids, spans = [symbol_id for symbol_id, _ in pairs], [span for _, span in pairs]
            await connection.execute(sql("outages_sought"), ids, *_bounds(spans))
        return [Span(*row) for row in new]


def _bounds(spans: Sequence[Span]) -> tuple[list[int], list[int]]:
    return [span.start_ms for span in spans], [span.end_ms for span in spans]
