"""The long jobs as slices of a few seconds, so that a year of history does not keep a worker from reconciling."""

from collections.abc import Sequence
from contextlib import suppress

import structlog

from app import wiring
from app.happening import Happening
from app.jobs import backfill, first_fill, instruments, outages, recheck
from app.jobs import retain as retention
from app.jobs.reconcile import Reconcile
from app.jobs.repair import plan_failed
from app.stores import events
from app.stores.budget import budget_state
from app.stores.heartbeat import note_end, note_pass, ring, rung
from celery_app import chain
from celery_app.orders import order_work
from celery_app.worker_loop import Resources
from common.errors import Retryable
from common.ports import Priority
from common.symbols import matches
from fetchers import registry

#: Real seconds; what a stopping worker has to wait for at most, apart from the page under way.
SLICE_S = 3
#: In the Clock's time, after which a pass looks again whether its half of the budget has room.
REST_S = 10

log = structlog.get_logger(__name__)


async def work(r: Resources, name: str, job_id: int, token: str) -> bool:
    """One slice of a job; False when its chain is to go on."""
    if not await chain.is_current(r.redis, chain.of_job(job_id), token):
        return True
    exchange = registry.get(name)
    done = await backfill.work(
        job_id,
        exchange,
        get=r.get(exchange),
        stores=r.stores,
        sink=r.sink,
        clock=r.clock,
        lanes=r.settings.fetch_concurrency,
        for_s=SLICE_S,
    )
    if done:
        await chain.end(r.redis, chain.of_job(job_id))
    return done


async def resume(r: Resources, exchange: str, even_if_worked_on: bool) -> None:
    """Have the unfinished jobs worked on that nobody works on: a message was lost, or its worker."""
    for job in await r.stores.plan.unfinished(exchange):
        if await order_work(r.redis, exchange, job.id, even_if_worked_on=even_if_worked_on):
            log.info("job resumed", job=job.id, exchange=exchange)


async def begin_first_fill(r: Resources, name: str) -> None:
    exchange, hours = registry.get(name), r.settings.first_fill_hours
    await instruments.ensure_known(
        exchange, get=r.get(exchange, Priority.LIVE), symbols=r.stores.symbols, clock=r.clock
    )
    job_id = await first_fill.plan(exchange, hours, r.settings.symbols, stores=r.stores, clock=r.clock)
    if job_id is not None:
        log.info("first fill planned", exchange=name, job=job_id, hours=hours)
        await order_work(r.redis, name, job_id)


async def retain(r: Resources) -> bool:
    """One slice of dropping minutes older than RETAIN_MINUTES_DAYS; False when some are left to drop."""
    if not (days := r.settings.retain_minutes_days):
        return True
    ids = await r.stores.retention.symbols()
    return (await retention.retain(r.stores, ids, retention.horizon_ms(days, r.clock), SLICE_S)).done


async def begin_pass(r: Resources, exchange: str) -> str | None:
    """The token of a new pass; None while one is under way, which takes up new holes by itself."""
    return await chain.begin_alone(r.redis, chain.of_pass(exchange))


async def take_up_pass(r: Resources, exchange: str) -> str | None:
    """The token of a new pass in place of the one under way, whose message may be lost; None where none is."""
    return await chain.begin_instead(r.redis, chain.of_pass(exchange))


async def begin_healing(r: Resources, exchange: str) -> str | None:
    """The token of a new pass where the bell rang; it goes on ringing while another pass has to end first.

    A pass that waits for another try gives way: whoever rang has just reached the exchange.
    """
    if not await rung(r.redis, exchange):
        return None
    token = await begin_pass(r, exchange)
    token = token or await chain.begin_instead_of_waiting(r.redis, chain.of_pass(exchange))
    if token is None:
        await ring(r.redis, exchange, r.clock.now_ms())
    return token


async def reconcile(r: Resources, name: str, token: str, left: list[int] | None) -> tuple[list[int], float]:
    """One slice of a pass: the symbol ids that are left, and after how many real seconds to look at them."""
    if not await chain.is_current(r.redis, chain.of_pass(name), token):
        return [], 0
    if left is None:
        await note_pass(r.redis, name, r.clock.now_ms())
    exchange = registry.get(name)
    known = (await r.stores.symbols.load(name, trading_only=True)).values()
    markets = {one.id: one.instrument for one in known if matches(r.settings.symbols, one.instrument)}
    slice_ = Reconcile(
        exchange,
        markets,
        r.get(exchange, Priority.LIVE),
        r.stores,
        r.sink,
        r.clock,
        r.settings.reconcile_minutes,
        await _allowance(r, name),
    )
    try:
        left = await slice_.run(SLICE_S, left)
    except Retryable:
        await chain.wait(r.redis, chain.of_pass(name))
        raise
    await tell(r, slice_.told())
    await r.stores.rollups.refresh()
    if not left:
        await chain.end(r.redis, chain.of_pass(name))
        if not slice_.happened and (since_ms := await note_end(r.redis, name)) is not None:
            r.figures.healed(name, (r.clock.now_ms() - since_ms) / 1000)
    return left, REST_S / r.clock.rate if slice_.spent >= slice_.allowance else 0


async def seek_outages(r: Resources, name: str) -> bool:
    """One month of history; False when there are older ones to look at."""
    done, found = await outages.seek(registry.get(name), stores=r.stores, clock=r.clock)
    await tell(r, found)
    return done


async def tell(r: Resources, happened: Sequence[Happening]) -> None:
    """Without Redis nobody listens; what was stored stays stored."""
    if happened:
        with suppress(Retryable):
            await events.tell(r.redis, happened)


async def repair(r: Resources, exchange: str) -> None:
    if job_id := await plan_failed(exchange, stores=r.stores, clock=r.clock):
        log.info("repair planned", exchange=exchange, job=job_id)
        await order_work(r.redis, exchange, job_id)


async def audit(r: Resources, name: str, token: str | None) -> str | None:
    """One slice of an audit, which waits while anything is fetched; its token while it has to go on."""
    work = chain.of_audit(name)
    if token is None:
        token = await chain.begin_alone(r.redis, work)
    elif not await chain.is_current(r.redis, work, token):
        token = None
    if token is None:
        return None
    exchange = registry.get(name)
    if await r.stores.plan.unfinished(name) or await recheck.audit(
        exchange, get=r.get(exchange), stores=r.stores, sink=r.sink, clock=r.clock, for_s=SLICE_S
    ):
        await chain.end(r.redis, work)
        token = None
    await r.stores.rollups.refresh()
    return token


async def _allowance(r: Resources, exchange: str) -> float:
    """Half of the budget while backfill wants the other half; otherwise as much as there is.

    The budget itself keeps to this where both wait for it; a worker that heals would not even let backfill wait.
    """
    if not await r.stores.plan.unfinished(exchange):
        return float("inf")
    state = await budget_state(r.redis, exchange, r.clock, r.settings.egress_address)
    return max(1, wiring.budget_weight(r.settings, exchange) // 2) - state.live
