"""Is the process alive, is its data fresh, and how far are the fetches: for probes, people and the page."""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from app.stores.heartbeat import FRESH_MS
from common.errors import CandlehouseError
from web.deps import Deps
from web.errors import json_response

router = APIRouter()


@router.get("/health", response_class=Response)
async def health() -> Response:
    """Answers as long as the process does."""
    return json_response({"status": "alive"})


@router.get("/ready", response_class=Response)
async def ready(request: Request) -> Response:
    """200 when both servers answer and every streaming exchange has a recent candle; else 503 with reasons."""
    deps: Deps = request.app.state.deps
    reasons = await _unreachable("database", deps.database_answers)
    if lost := await _unreachable("redis", deps.redis_answers):
        reasons |= lost
    else:
        for exchange in deps.streaming:
            if reason := await _stale(deps, exchange):
                reasons[exchange] = reason
    return json_response({"ready": not reasons, "reasons": reasons}, 503 if reasons else 200)


@router.get("/api/status", response_class=Response)
async def status(request: Request) -> Response:
    """The streams' own words, and the fetches under way or just done."""
    deps: Deps = request.app.state.deps
    streams = {exchange: await _stream(deps, exchange) for exchange in deps.streaming}
    jobs = await deps.jobs()
    return json_response({"now": deps.clock.now_ms(), "streams": streams, "jobs": jobs})


async def _unreachable(server: str, answers: Callable[[], Awaitable[None]]) -> dict[str, str]:
    try:
        await answers()
    except CandlehouseError as error:
        return {server: str(error)}
    return {}


async def _stale(deps: Deps, exchange: str) -> str:
    """Why the exchange counts as not live; empty when it is."""
    told = await deps.heartbeat(exchange)
    if not told:
        return "No stream runs for it."
    if not (last := told.get("last_candle_ms")) or last == "0":
        return f"No candle yet; its stream is {told.get('state', 'unknown')}. {told.get('last_error', '')}".strip()
    age_ms = deps.clock.now_ms() - int(last)
    return f"Its newest candle is {age_ms // 1000} s old." if age_ms > FRESH_MS else ""


async def _stream(deps: Deps, exchange: str) -> dict[str, Any]:
    told = await deps.heartbeat(exchange)
    return {
        "state": told.get("state", "stopped"),
        "connections": int(told.get("connections") or 0),
        "symbols": int(told.get("symbols") or 0),
        "last_candle_ms": int(told.get("last_candle_ms") or 0) or None,
        "last_error": told.get("last_error", ""),
        "fresh": not await _stale(deps, exchange),
    }
