"""GET /api/coverage: how complete each market is, by the states of its minutes; and the same day by day."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from app.coverage_rows import market_name, market_row, span_row
from app.stores.minutes import STATES
from common.errors import BadInput
from common.span import DAY_MS, MINUTE_MS, Span, floor_minute
from web.api.schema import described
from web.deps import Deps, Stored
from web.errors import json_response
from web.markets import find_market, known_exchange
from web.window import check_time

router = APIRouter()

#: What is answered at once.
MOST_MARKETS, MOST_DAYS, MOST_SPANS = 200, 93, 10_000
DEFAULT_DAYS = 30

Exchange = Annotated[str | None, Query(description="only its markets")]
Base = Annotated[str | None, Query(description="with quote_id: one market, also one that nobody asked for")]
Start = Annotated[int | None, Query(description=f"UTC ms; default: {DEFAULT_DAYS} days before the end")]
End = Annotated[int | None, Query(description="UTC ms, included; default: the last whole minute")]
Limit = Annotated[int, Query(description=f"markets, at most {MOST_MARKETS}")]
Offset = Annotated[int, Query(description="markets to leave out before")]


class MinuteSpan(msgspec.Struct, frozen=True):
    """Minutes in one state; `end` is excluded, `reason` null where there is no more to say."""

    start: int
    end: int
    minutes: int
    state: str
    reason: str | None


class Completeness(msgspec.Struct, frozen=True):
    """Minutes of one market by state. `listed`, `first` and `last` are null where not known."""

    exchange: str
    base_id: str
    quote_id: str
    symbol: str
    listed: int | None
    first: int | None
    last: int | None
    minutes: int
    present: int
    empty: int
    outage: int
    fetching: int
    failed: int
    not_asked: int
    present_pct: float | None
    gaps: int
    spans: list[MinuteSpan]


class Days(msgspec.Struct, frozen=True):
    """Minutes by state, a number for each day; states without any are left out."""

    exchange: str
    base_id: str
    quote_id: str
    symbol: str
    days: dict[str, list[int]]


class Coverage(msgspec.Struct, frozen=True):
    """`end` is excluded; `total` counts the markets that there are beside those told."""

    start: int
    end: int
    total: int
    markets: list[Completeness]


class CoverageDays(msgspec.Struct, frozen=True):
    start: int
    end: int
    total: int
    markets: list[Days]


@router.get("/api/coverage", responses=described(Coverage), response_class=Response)
async def coverage(
    request: Request,
    exchange: Exchange = None,
    base_id: Base = None,
    quote_id: str | None = None,
    start: Start = None,
    end: End = None,
    states: Annotated[
        str | None, Query(description="spans in these states, such as failed,not_asked; or all")
    ] = None,
    limit: Limit = MOST_MARKETS,
    offset: Offset = 0,
) -> Response:
    """Markets of which anybody wanted minutes, by exchange and name. Counts candles, so narrow what you ask."""
    deps: Deps = request.app.state.deps
    now_ms = deps.clock.now_ms()
    span, wanted = _span(start, end, now_ms), _states(states)
    total, markets = await _page(deps, exchange, base_id, quote_id, limit, offset)
    ids = [market.id for market in markets]
    found = await deps.minutes.markets(ids, span, now_ms)
    told = await deps.minutes.spans(ids, span, now_ms, wanted, MOST_SPANS + 1) if wanted else []
    if len(told) > MOST_SPANS:
        raise BadInput("states", f"More than {MOST_SPANS:,} spans; ask for less time, fewer markets or states.")
    spans: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for one in told:
        spans[one.symbol_id].append(span_row(one))
    rows = [market_row(one.instrument, found[one.id]) | {"spans": spans[one.id]} for one in markets]
    return json_response({"start": span.start_ms, "end": span.end_ms, "total": total, "markets": rows})


@router.get("/api/coverage/days", responses=described(CoverageDays), response_class=Response)
async def coverage_days(
    request: Request,
    exchange: Exchange = None,
    base_id: Base = None,
    quote_id: str | None = None,
    start: Start = None,
    end: End = None,
    limit: Limit = MOST_MARKETS,
    offset: Offset = 0,
) -> Response:
    """The same for each day of UTC that `start` and `end` touch."""
    deps: Deps = request.app.state.deps
    now_ms = deps.clock.now_ms()
    touched = _span(start, end, now_ms)
    span = Span(touched.start_ms // DAY_MS * DAY_MS, -(-touched.end_ms // DAY_MS) * DAY_MS)
    if span.end_ms - span.start_ms > MOST_DAYS * DAY_MS:
        raise BadInput("start", f"At most {MOST_DAYS} days at once.", f"from {span.end_ms - MOST_DAYS * DAY_MS}")
    total, markets = await _page(deps, exchange, base_id, quote_id, limit, offset)
    days: dict[int, dict[str, list[int]]] = {market.id: {} for market in markets}
    for symbol_id, day_ms, state, minutes in await deps.minutes.days([one.id for one in markets], span, now_ms):
        counts = days[symbol_id].setdefault(state, [0] * ((span.end_ms - span.start_ms) // DAY_MS))
        counts[(day_ms - span.start_ms) // DAY_MS] = minutes
    rows = [market_name(one.instrument) | {"days": days[one.id]} for one in markets]
    return json_response({"start": span.start_ms, "end": span.end_ms, "total": total, "markets": rows})


def _span(start: int | None, end: int | None, now_ms: int) -> Span:
    """Whole minutes, the end excluded."""
    for field, value in (("start", start), ("end", end)):
        if value is not None:
            check_time(field, value)
    end_ms = floor_minute(now_ms if end is None else end + MINUTE_MS)
    start_ms = end_ms - DEFAULT_DAYS * DAY_MS if start is None else floor_minute(start)
    if start_ms >= end_ms:
        raise BadInput("start", f"start {start_ms} must be before the end, {end_ms}.", f"below {end_ms}")
    return Span(start_ms, end_ms)


def _states(text: str | None) -> list[str]:
    wanted = [name for name in (text or "").replace(" ", "").split(",") if name]
    unknown = [name for name in wanted if name not in (*STATES, "all")]
    if unknown:
        allowed = ", ".join((*STATES, "all"))
        raise BadInput("states", f"Unknown state {unknown[0]!r}; use some of {allowed}.", allowed)
    return list(STATES) if "all" in wanted else wanted


async def _page(
    deps: Deps, exchange: str | None, base_id: str | None, quote_id: str | None, limit: int, offset: int
) -> tuple[int, Sequence[Stored]]:
    """How many markets there are, and those asked for, by exchange and name."""
    if base_id is not None or quote_id is not None:
        for part, name in (("exchange", exchange), ("base_id", base_id), ("quote_id", quote_id)):
            if not name:
                raise BadInput(part, f"One market is named by exchange, base_id and quote_id; {part} is missing.")
        return 1, [await find_market(deps, str(exchange), str(base_id), str(quote_id))]
    if not 1 <= limit <= MOST_MARKETS or offset < 0:
        field, value = ("offset", offset) if offset < 0 else ("limit", limit)
        allowed = "from 0" if offset < 0 else f"1 to {MOST_MARKETS}"
        raise BadInput(field, f"{field} must be {allowed}, not {value}.", allowed)
    stored = await deps.symbols.load(None if exchange is None else known_exchange(deps, exchange))
    known = await deps.minutes.known([one.id for one in stored.values()])
    markets = sorted((one for one in stored.values() if one.id in known), key=lambda one: one.instrument.key)
    return len(markets), markets[offset : offset + limit]
