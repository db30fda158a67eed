"""GET /api/exchanges: how each exchange stands, in one row each, for the page and for people."""

import msgspec
from fastapi import APIRouter, Request
from fastapi.responses import Response

from app.stores import pulse
from app.stores.heartbeat import FRESH_MS
from web.api.schema import described
from web.deps import Deps, StoredFigures
from web.errors import json_response

router = APIRouter()


class ExchangeRow(msgspec.Struct, frozen=True, gc=False):
    """Moments are UTC ms, null where there is none.

    state          of the stream: connected, connecting, silent, closed, stopped; or off where none is wanted
    fresh          its newest candle is recent
    connections    that the stream has; symbols: markets that it follows
    markets        that trade, as the exchange lists them
    gaps           wanted minutes of all markets that are not answered, older than five minutes
    failures       fetched pages that were refused and nothing has repaired since
    healing_since  REST has not answered yet for what the feed may have missed
    budget_...     rate units of the last minute, and the most that there may be; 0 when nobody asked lately
    waiting        requests that wait for their turn
    trouble        a sentence; empty where there is none
    """

    exchange: str
    state: str
    fresh: bool
    connections: int
    symbols: int
    newest: int | None
    markets: int
    gaps: int
    failures: int
    outages: int
    healing_since: int | None
    budget_used: int
    budget_limit: int
    waiting: int
    trouble: str


@router.get("/api/exchanges", responses=described(list[ExchangeRow]), response_class=Response)
async def exchanges(request: Request) -> Response:
    """Those that are streamed first, then those with markets; others that are known are left out."""
    deps: Deps = request.app.state.deps
    counts, stored = await deps.symbols.counts(), await deps.figures.stored()
    named = dict.fromkeys((*deps.streaming, *(name for name in deps.exchanges if counts.get(name))))
    return json_response([await _row(deps, name, counts.get(name, 0), stored) for name in named])


async def _row(deps: Deps, exchange: str, markets: int, stored: StoredFigures) -> ExchangeRow:
    now_ms, is_streamed = deps.clock.now_ms(), exchange in deps.streaming
    told, budget = await deps.heartbeat(exchange), await deps.budget(exchange)
    newest_ms = int(told.get("last_candle_ms") or 0) or None
    silent = pulse.trouble(exchange, await deps.figures.pulse(exchange), now_ms) if is_streamed else ""
    return ExchangeRow(
        exchange,
        told.get("state", "stopped") if is_streamed else "off",
        newest_ms is not None and now_ms - newest_ms <= FRESH_MS,
        int(told.get("connections") or 0),
        int(told.get("symbols") or 0),
        newest_ms,
        markets,
        stored.gaps.get(exchange, 0),
        stored.failures.get(exchange, 0),
        stored.outages.get(exchange, 0),
        await deps.figures.healing_since_ms(exchange),
        budget.used,
        budget.limit,
        budget.waiting_live + budget.waiting_history,
        " ".join(filter(None, (told.get("last_error", ""), budget.sentence, silent))),
    )
