"""GET /api/analytics/*: returns and quoted volumes, as the analytics views hold them."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from common.errors import BadInput
from web.deps import Deps
from web.errors import json_response

router = APIRouter(prefix="/api/analytics")

Upper = Annotated[float, Query(allow_inf_nan=False, description="only returns below this")]
Lower = Annotated[float | None, Query(allow_inf_nan=False, description="only returns above this")]
Limit = Annotated[int, Query(description="-1 for all")]


@router.get("/geodr", response_class=Response)
async def geodr(
    request: Request, cutoff_upper_pct: Upper = 10_000, cutoff_lower_pct: Lower = None, limit: Limit = 500
) -> Response:
    """Mean daily return of the last seven whole days, in per cent, highest first."""
    deps: Deps = request.app.state.deps
    return json_response(await deps.analytics.geodr(cutoff_upper_pct, cutoff_lower_pct, _checked(limit)))


@router.get("/wr", response_class=Response)
async def wr(
    request: Request, cutoff_upper_pct: Upper = 10_000, cutoff_lower_pct: Lower = None, limit: Limit = 500
) -> Response:
    """Return of the trailing seven days, in per cent, highest first."""
    deps: Deps = request.app.state.deps
    return json_response(await deps.analytics.wr(cutoff_upper_pct, cutoff_lower_pct, _checked(limit)))


@router.get("/top20qvlm", response_class=Response)
async def top20qvlm(request: Request) -> Response:
    """The twenty markets with the largest quoted volume of the last week, and the rest as Other."""
    deps: Deps = request.app.state.deps
    return json_response(await deps.analytics.top20qvlm())


def _checked(limit: int) -> int:
    if limit < -1:
        raise BadInput("limit", f"limit must not be below -1, and is {limit}.", "-1 for all, or from 0")
    return limit
