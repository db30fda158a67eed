"""What is known of each minute of a market: one state, told by minute_states() and its like in the database."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from app.stores.database import Database
from app.stores.statements import sql
from common.span import MINUTE_MS, Span

#: The best first. What each means: docs/reference/sql.md.
STATES = ("present", "empty", "outage", "fetching", "failed", "not_asked")
#: Minutes younger than this are still settling: REST is asked for them soon by itself.
SETTLING_MS = 5 * MINUTE_MS


class StateSpan(NamedTuple):
    """Minutes of one market in one state; `reason` where there is more to say."""

    symbol_id: int
    state: str
    reason: str | None
    span: Span


@dataclass(slots=True)
class MarketMinutes:
    """Minutes of one market by state; those in `gaps` were wanted and are not answered. None where not known."""

    listed_ms: int | None = None
    first_ms: int | None = None
    last_ms: int | None = None
    gaps: int = 0
    states: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STATES, 0))

    @property
    def total(self) -> int:
        return sum(self.states.values())


class MinuteStore:
    """All spans are of whole minutes; `now_ms` is the moment for which states are told."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def known(self, symbol_ids: Sequence[int]) -> set[int]:
        """Of these, the markets of which anybody wanted or had minutes."""
        async with self._db.connection() as connection:
            return {row[0] for row in await connection.fetch(sql("minutes_known"), list(symbol_ids))}

    async def stored(self, symbol_ids: Sequence[int]) -> dict[int, Span]:
        """Of these, the markets with candles: from the first stored minute through the last."""
        async with self._db.connection() as connection:
            rows = await connection.fetch(sql("minutes_stored"), list(symbol_ids))
        return {row[0]: Span(row[1], row[2] + MINUTE_MS) for row in rows}

    async def gaps(self, symbol_ids: Sequence[int], span: Span, now_ms: int) -> list[StateSpan]:
        """What was wanted and is not answered, without what is still settling; ascending by market and time."""
        until_ms = min(span.end_ms, now_ms - SETTLING_MS)
        async with self._db.connection() as connection:
            rows = await connection.fetch(
                sql("minutes_gaps"), list(symbol_ids), span.start_ms, max(span.start_ms, until_ms), now_ms
            )
        return [_state_span(*row) for row in rows]

    async def spans(
        self, symbol_ids: Sequence[int], span: Span, now_ms: int, states: Sequence[str], most: int
    ) -> list[StateSpan]:
        """At most so many spans in these states, ascending by market and time."""
        async with self._db.connection() as connection:
            rows = await connection.fetch(
                sql("minutes_states"), list(symbol_ids), *span, now_ms, list(states), most
            )
        return [_state_span(*row) for row in rows]

    async def markets(self, symbol_ids: Sequence[int], span: Span, now_ms: int) -> dict[int, MarketMinutes]:
        """How complete each market is; counts its candles."""
        async with self._db.connection() as connection:
            rows = await connection.fetch(sql("minutes_markets"), list(symbol_ids))
            found = {row[0]: MarketMinutes(*row[1:]) for row in rows}
            for symbol_id, state, minutes in await connection.fetch(
                sql("minutes_totals"), list(symbol_ids), *span, now_ms
            ):
                found[symbol_id].states[state] = minutes
        for gap in await self.gaps(symbol_ids, span, now_ms):
            found[gap.symbol_id].gaps += gap.span.minutes()
        return {symbol_id: found[symbol_id] for symbol_id in symbol_ids}

    async def figures(self) -> tuple[dict[str, int], dict[str, int]]:
        """By exchange: minutes in gaps by the server's clock, and outages that are known."""
        async with self._db.connection() as connection:
            rows = await connection.fetch(sql("minutes_figures"))
        gaps = {exchange: minutes for exchange, minutes, _ in rows if minutes}
        return gaps, {exchange: outages for exchange, _, outages in rows if outages}

    async def days(self, symbol_ids: Sequence[int], span: Span, now_ms: int) -> list[tuple[int, int, str, int]]:
        """(symbol id, start of the day, state, minutes) where there are any; `span` is of whole days."""
        async with self._db.connection() as connection:
            rows = await connection.fetch(sql("minutes_days"), list(symbol_ids), *span, now_ms)
        return [tuple(row) for row in rows]


def _state_span(symbol_id: int, state: str, reason: str | None, start_ms: int, end_ms: int) -> StateSpan:
    return StateSpan(symbol_id, state, reason, Span(start_ms, end_ms))
