"""/api/jobs: the fetches of history; whoever may write begins and stops them."""

import msgspec
from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel

from app.jobs.fetching import FetchWish
from app.stores.jobs import Job
from web.api.schema import described
from web.deps import Deps
from web.errors import NotFound, json_response
from web.window import check_time

router = APIRouter()

#: Of those that are over.
MOST_OVER = 20


class JobRow(msgspec.Struct, frozen=True, gc=False):
    """Moments are UTC ms, `end` is excluded. Minutes are summed over the markets; `leased` and `errors` are pages.

    `state` is queued, running, done, cancelled, or failed: over, but some pages were refused.
    """

    id: int
    exchange: str
    start: int
    end: int
    state: str
    created: int
    minutes_total: int
    minutes_left: int
    rows_written: int
    requests: int
    leased: int
    errors: int
    note: str


class Begun(msgspec.Struct, frozen=True, gc=False):
    """`done`: nothing of it was missing. `notes` say what is not asked for, and why."""

    id: int
    markets: int
    start: int
    end: int
    done: bool
    notes: list[str]


class AskedFetch(BaseModel):
    """`symbols` in any spelling, separated by commas; empty for all that SYMBOLS selects. UTC ms, `end` excluded;
    without it, until now."""

    exchange: str
    symbols: str = ""
    start: int
    end: int | None = None


def row(one: Job) -> JobRow:
    minutes = (one.minutes_total, one.minutes_left)
    counts = (one.rows_written, one.requests, one.leased, one.errors)
    return JobRow(one.id, one.exchange, *one.span, one.state, one.created_ms, *minutes, *counts, one.note)


@router.get("/api/jobs", responses=described(list[JobRow]), response_class=Response)
async def jobs(request: Request) -> Response:
    """Fetches that are under way, and the last twenty before; the newest first."""
    deps: Deps = request.app.state.deps
    return json_response([row(one) for one in await deps.fetches.newest(MOST_OVER)])


@router.post("/api/jobs", status_code=201, responses=described(Begun, 201), response_class=Response)
async def begin(request: Request, asked: AskedFetch) -> Response:
    """Have history fetched, newest first, of which only what was never answered is asked for."""
    deps: Deps = request.app.state.deps
    now_ms = deps.clock.now_ms()
    for field, value in (("start", asked.start), ("end", asked.end)):
        if value is not None:
            check_time(field, value)
    wish = FetchWish(asked.exchange, asked.symbols, asked.start, now_ms if asked.end is None else asked.end)
    found = await deps.fetches.begin(wish)
    return json_response(Begun(found.job_id, found.markets, *found.span, found.done, list(found.notes)), 201)


@router.delete("/api/jobs/{number}", status_code=204, responses=described(None, 204), response_class=Response)
async def cancel(request: Request, number: int) -> Response:
    """Stop a fetch within a page; what it stored stays, and another one asks only for the rest."""
    deps: Deps = request.app.state.deps
    if not 0 < number < 2**63:
        raise NotFound("number", f"There is no fetch {number}.")
    await deps.fetches.cancel(number)
    return Response(status_code=204)
