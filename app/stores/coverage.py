"""What exchanges were asked for and have answered: one multirange of minutes for each symbol."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from app.stores.database import Database
from app.stores.statements import sql
from common.span import Span


class CoverageStore:
    def __init__(self, db: Database) -> None:
        self._db = db

    async def covered(self, symbol_ids: Sequence[int]) -> dict[int, list[Span]]:
        """Ascending spans for each of `symbol_ids`; an empty list where nothing was answered."""
        return await self._spans("covered", symbol_ids)

    async def wanted(self, symbol_ids: Sequence[int]) -> dict[int, list[Span]]:
        return await self._spans("wanted", symbol_ids)

    async def want(self, spans: Mapping[int, Span]) -> None:
        """Somebody asked for these minutes."""
        async with self._db.begin() as connection:
            await want_on(connection, spans)

    async def missing(self, symbol_ids: Sequence[int], span: Span) -> dict[int, list[Span]]:
        """The minutes of `span` that nobody has answered for, without those before a horizon."""
        covered = await self.covered(symbol_ids)
        async with self._db.connection() as connection:
            horizons = dict(await connection.fetch(sql("candles_horizons"), list(symbol_ids), span.start_ms))
        dropped = {symbol_id: Span(span.start_ms, horizons.get(symbol_id, 0)) for symbol_id in covered}
        return {symbol_id: span.minus([*spans, dropped[symbol_id]]) for symbol_id, spans in covered.items()}

    async def _spans(self, column: str, symbol_ids: Sequence[int]) -> dict[int, list[Span]]:
        async with self._db.connection() as connection:
            rows = await connection.fetch(sql("coverage_spans").format(column=column), list(symbol_ids))
        spans: dict[int, list[Span]] = defaultdict(list)
        for symbol_id, start_ms, end_ms in rows:
            spans[symbol_id].append(Span(start_ms, end_ms))
        return {symbol_id: spans[symbol_id] for symbol_id in symbol_ids}


async def cover_on(connection: Any, spans: Iterable[tuple[int, Span]]) -> None:
    """Grow what is covered. The last statement of its transaction."""
    await _grow(connection, "covered", list(spans))


async def want_on(connection: Any, spans: Mapping[int, Span]) -> None:
    await _grow(connection, "wanted", list(spans.items()))


async def _grow(connection: Any, column: str, spans: list[tuple[int, Span]]) -> None:
    if spans:
        symbol_ids = [symbol_id for symbol_id, _ in spans]
        starts, ends = [span.start_ms for _, span in spans], [span.end_ms for _, span in spans]
        await connection.execute(sql("coverage_grow").format(column=column), symbol_ids, starts, ends)
