"""GET /metrics: what the program knows of itself, for Prometheus, asked anew at each scrape."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Sequence

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import Response

from app.metrics.scrape import Scrape
from app.report import parse
from app.stores.census import Member
from common.errors import CandlehouseError
from web.counting import Answered
from web.deps import Deps, FetchProgress
from web.live.hub import Hub
from web.metrics import FIGURES

log = structlog.get_logger(__name__)
router = APIRouter()

#: A source that has not answered by then is told as down, long before Prometheus gives the whole scrape up.
LIMIT_S = 5
STATES = ("connected", "connecting", "silent", "closed", "stopped")
#: What an instance is made of beside the web; a machine without live exchanges has no stream.
ROLES = ("update", "worker", "beat")
COMMON_QUEUE = "all_rest"


@router.get("/metrics", response_class=Response)
async def metrics(request: Request) -> Response:
    """A source that does not answer is missing from the figures, and told as such."""
    deps: Deps = request.app.state.deps
    scrape = Scrape(FIGURES)
    request.app.state.process(scrape)
    _clients(request.app.state.hub, scrape)
    _answered(request.app.state.answered, scrape)
    sources = {"redis": _redis(deps, scrape), "queues": _queues(deps, scrape), "database": _database(deps, scrape)}
    for source, up in zip(sources, await asyncio.gather(*map(_answers, sources, sources.values())), strict=True):
        scrape.add("candlehouse_source_up", up, source=source)
    body, content_type = scrape.text(request.headers.get("accept", ""))
    return Response(body, headers={"Content-Type": content_type})


async def _answers(source: str, asked: Awaitable[None]) -> bool:
    try:
        async with asyncio.timeout(LIMIT_S):
            await asked
    except (CandlehouseError, TimeoutError) as error:
        log.warning("A source of metrics does not answer", source=source, reason=str(error) or "too slow")
        return False
    return True


async def _redis(deps: Deps, scrape: Scrape) -> None:
    for exchange in deps.streaming:
        told = await deps.heartbeat(exchange)
        stream = parse(exchange, told, deps.clock)
        scrape.add("candlehouse_stream_up", stream.live, exchange=exchange)
        for state in STATES:
            scrape.add("candlehouse_stream_state", state == stream.state, exchange=exchange, state=state)
        scrape.add("candlehouse_stream_connections", stream.connections, exchange=exchange)
        scrape.add("candlehouse_stream_symbols", stream.symbols, exchange=exchange)
        if stream.age_s is not None:
            scrape.add("candlehouse_stream_newest_candle_age_seconds", stream.age_s, exchange=exchange)
        scrape.add("candlehouse_stream_malformed_total", int(told.get("malformed") or 0), exchange=exchange)
        scrape.add("candlehouse_stream_processes", int(told.get("processes") or 0), exchange=exchange)
    for (exchange, kind), count in (await deps.figures.events()).items():
        scrape.add("candlehouse_events_total", count, exchange=exchange, kind=kind)
    for exchange in deps.exchanges:
        await _budget(deps, exchange, scrape)
    for exchange in deps.streaming:
        if (pulse_ms := await deps.figures.pulse(exchange)) is not None:
            age_s = (deps.clock.now_ms() - pulse_ms) / 1000
            scrape.add("candlehouse_worker_pulse_age_seconds", age_s, exchange=exchange)
        since_ms = await deps.figures.healing_since_ms(exchange)
        pending_s = 0 if since_ms is None else max(0, deps.clock.now_ms() - since_ms) / 1000
        scrape.add("candlehouse_heal_pending_seconds", pending_s, exchange=exchange)
    _processes(await deps.figures.processes(), deps.streaming, scrape)
    for name, length in (await deps.figures.streams()).items():
        scrape.add("candlehouse_redis_stream_entries", length, stream=name)
    scrape.add("candlehouse_closed_candles_consumers", await deps.figures.updaters())
    scrape.add("candlehouse_closed_candles_backlog", await deps.figures.backlog())


def _processes(living: Sequence[Member], streaming: Sequence[str], scrape: Scrape) -> None:
    """With 0 for what should be there and is not."""
    roles = Counter(dict.fromkeys((("stream",) if streaming else ()) + ROLES, 0))
    roles.update(one.role for one in living)
    for role, count in roles.items():
        scrape.add("candlehouse_processes", count, role=role)
    queues = Counter({f"{exchange}_rest": 0 for exchange in streaming} | {COMMON_QUEUE: 0})
    queues.update(queue for one in living for queue in one.queues)
    for queue, count in queues.items():
        scrape.add("candlehouse_queue_consumers", count, queue=queue)


async def _budget(deps: Deps, exchange: str, scrape: Scrape) -> None:
    state = await deps.budget(exchange)
    quiet_s = max(0, state.quiet_until_ms - deps.clock.now_ms()) / 1000
    scrape.add("candlehouse_budget_used", state.used, exchange=exchange)
    scrape.add("candlehouse_budget_limit", state.limit, exchange=exchange)
    scrape.add("candlehouse_budget_waiting", state.waiting_live, exchange=exchange, priority="live")
    scrape.add("candlehouse_budget_waiting", state.waiting_history, exchange=exchange, priority="history")
    scrape.add("candlehouse_budget_quiet_seconds", quiet_s, exchange=exchange)


async def _queues(deps: Deps, scrape: Scrape) -> None:
    lengths = await deps.figures.queues()
    for queue, length in lengths.items():
        scrape.add("candlehouse_queue_length", length, queue=queue)
    oldest_ms, now_ms = await deps.figures.oldest_ms(), time.time_ns() // 1_000_000
    for queue in lengths:
        waited_ms = max(0, now_ms - oldest_ms.get(queue, now_ms))
        scrape.add("candlehouse_queue_oldest_seconds", waited_ms / 1000, queue=queue)


async def _database(deps: Deps, scrape: Scrape) -> None:
    stored = await deps.figures.stored()
    scrape.add("candlehouse_candles", stored.candles)
    scrape.add("candlehouse_symbols", stored.symbols)
    scrape.add("candlehouse_rollup_dirty_rows", stored.dirty)
    await _disk(deps, scrape)
    for exchange, failures in stored.failures.items():
        scrape.add("candlehouse_fetch_failures", failures, exchange=exchange)
        scrape.add("candlehouse_gap_minutes", stored.gaps.get(exchange, 0), exchange=exchange)
        scrape.add("candlehouse_outages", stored.outages.get(exchange, 0), exchange=exchange)
    jobs = await deps.jobs()
    for exchange in stored.failures:
        _fetches([job for job in jobs if job.exchange == exchange], exchange, scrape)


async def _disk(deps: Deps, scrape: Scrape) -> None:
    room = await deps.room()
    scrape.add("candlehouse_disk_needed_bytes", room.needed)
    if room.disk:
        scrape.add("candlehouse_disk_free_bytes", room.disk.free)
        scrape.add("candlehouse_disk_total_bytes", room.disk.total)


def _fetches(jobs: list[FetchProgress], exchange: str, scrape: Scrape) -> None:
    sums = {
        "jobs": len(jobs),
        "candles": sum(job.minutes_total for job in jobs),
        "candles_left": sum(job.minutes_left for job in jobs),
        "rows": sum(job.rows_written for job in jobs),
        "requests": sum(job.requests for job in jobs),
        "errors": sum(job.errors for job in jobs),
    }
    for what, value in sums.items():
        scrape.add(f"candlehouse_fetch_{what}", value, exchange=exchange)


def _clients(hub: Hub, scrape: Scrape) -> None:
    scrape.add("candlehouse_websocket_clients", len(hub.clients))
    scrape.add("candlehouse_websocket_subscriptions", hub.subscriptions)
    scrape.add("candlehouse_websocket_messages_total", hub.sent.messages)
    scrape.add("candlehouse_websocket_conflated_total", hub.sent.conflated)
    scrape.add("candlehouse_websocket_dropped_total", hub.sent.dropped)


def _answered(answered: Answered, scrape: Scrape) -> None:
    for (route, status), seconds in answered.items():
        scrape.spread("candlehouse_http_request_seconds", seconds, route=route, status=status)
