"""GET /api/revisions: what minutes of a market were before they were corrected."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from common.errors import BadInput
from common.span import Span
from web.api.schema import described
from web.deps import Deps
from web.errors import json_response
from web.markets import find_market
from web.moment import MOMENT, moment

router = APIRouter()
MOST = 5000


class RevisionRow(msgspec.Struct, frozen=True, gc=False):
    """Values of the minute `time` that were the known ones from `known_from` until `superseded_at`, in UTC ms."""

    id: int
    time: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    quote_volume: float | None
    trades: int | None
    source: int
    known_from: int
    superseded_at: int


@router.get("/api/revisions", responses=described(list[RevisionRow]), response_class=Response)
async def revisions(
    request: Request,
    exchange: str,
    base_id: str,
    quote_id: str,
    start: Annotated[str, Query(description=f"the first minute: {MOMENT}")],
    end: Annotated[str | None, Query(description=f"the last minute, included; default: now; {MOMENT}")] = None,
    after: Annotated[int, Query(description="go on after this id, the last of the page before")] = 0,
    limit: Annotated[int, Query(description=f"at most {MOST}")] = 500,
    market_type: str = "spot",
) -> Response:
    """In the order of the corrections, the newest last."""
    deps: Deps = request.app.state.deps
    start_ms = moment("start", start)
    end_ms = deps.clock.now_ms() if end is None else moment("end", end)
    if start_ms > end_ms:
        raise BadInput("start", f"start {start} is after end {end or 'now'}.", f"at most {end_ms}")
    if limit < 0:
        raise BadInput("limit", f"limit must not be negative, and is {limit}.", f"0 to {MOST}")
    market = await find_market(deps, exchange, base_id, quote_id, market_type)
    found = await deps.revisions.revisions(market.id, Span(start_ms, end_ms + 1), min(limit, MOST), after)
    return json_response([RevisionRow(*one) for one in found])
