"""GET /api/events: what happened to the feeds."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from app.happening import Happening, Kind
from common.errors import BadInput
from web.api.schema import described
from web.deps import Deps
from web.errors import json_response

router = APIRouter()
MOST = 1000
_KINDS = ", ".join(Kind)


class EventRow(msgspec.Struct, frozen=True, gc=False):
    """`at` is UTC ms; `market` is BASE/QUOTE where it concerns one; `facts` are figures named with their units."""

    id: str
    at: int
    exchange: str
    kind: str
    market: str
    detail: str
    facts: dict[str, int]


def row(one: Happening) -> EventRow:
    return EventRow(one.id, one.at, one.exchange, one.kind.value, one.market, one.detail, one.facts)


@router.get("/api/events", responses=described(list[EventRow]), response_class=Response)
async def events(
    request: Request,
    exchange: Annotated[str | None, Query(description="of one exchange")] = None,
    kind: Annotated[str | None, Query(description=f"one of {_KINDS}")] = None,
    before: Annotated[str | None, Query(description="go on before this id, the last of the page before")] = None,
    limit: Annotated[int, Query(description=f"at most {MOST}")] = 100,
) -> Response:
    """Newest first."""
    deps: Deps = request.app.state.deps
    if limit < 0:
        raise BadInput("limit", f"limit must not be negative, and is {limit}.", f"0 to {MOST}")
    if exchange is not None and exchange not in deps.exchanges:
        known = ", ".join(deps.exchanges)
        raise BadInput("exchange", f"Unknown exchange {exchange!r}; use one of {known}.", known)
    found = await deps.events.newest(min(limit, MOST), exchange, _kind(kind), before)
    return json_response([row(one) for one in found])


def _kind(text: str | None) -> Kind | None:
    if text is not None and text not in list(Kind):
        raise BadInput("kind", f"Unknown kind {text!r}; use one of {_KINDS}.", _KINDS)
    return Kind(text) if text else None
