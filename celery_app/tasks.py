"""Celery's tasks, each a thin shell: run a job on the process's loop, and order what follows."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import structlog
from celery.exceptions import Ignore

from app.jobs import instruments
from app.settings import load_settings
from app.stores import analytics, pulse
from app.stores.redis_errors import translated
from celery_app import slices
from celery_app.celery_main import app
from celery_app.orders import order
from celery_app.worker_loop import Resources, run
from common.errors import Malformed, Rejected, Retryable
from common.ports import Priority
from common.span import DAY_MS
from fetchers import registry

#: Of the clock, before a task is tried again whose exchange, or database, could not be reached.
AGAIN_S = 30
#: The same for a pass: who has reconnected is to be healed within 10 s.
PASS_AGAIN_S = 5
#: What has been over for so long is seldom written again.
PACK_AFTER_MS = 7 * DAY_MS

R = TypeVar("R")
log = structlog.get_logger(__name__)


def _task(name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    def made(function: Callable[..., None]) -> Callable[..., None]:
        task: Callable[..., None] = app.task(bind=True, name=f"celery_app.tasks.{name}", max_retries=None)(
            function
        )
        return task

    return made


def _run(task: Any, job: Callable[[Resources], Awaitable[R]], again_s: float = AGAIN_S) -> R:
    """Run `job`; when the other side cannot answer now, order the same task again for later."""
    try:
        with translated():
            return run(job)
    except (Retryable, Malformed) as error:
        log.warning("task postponed", task=task.name, reason=str(error), again_in_s=again_s)
        raise task.retry(exc=error, countdown=again_s / load_settings().clock_rate) from error
    except Rejected as error:
        log.error("task given up", task=task.name, reason=str(error))
        raise Ignore from error


@_task("work")
def work(self: Any, exchange: str, job_id: int, token: str) -> None:
    """One slice of job `job_id`, then a message for the next, or for what is to be done with all of it."""
    if not _run(self, lambda r: slices.work(r, exchange, job_id, token)):
        order("work", exchange, job_id, token)
    else:
        order("seek_outages", exchange)


@_task("resume")
def resume(self: Any, exchange: str, even_if_worked_on: bool = False) -> None:
    _run(self, lambda r: slices.resume(r, exchange, even_if_worked_on))


@_task("first_fill")
def first_fill(self: Any, exchange: str) -> None:
    """Plan the last hours of what SYMBOLS selects and has none, and have it worked on."""
    _run(self, lambda r: slices.begin_first_fill(r, exchange))


@_task("reconcile")
def reconcile(self: Any, exchange: str) -> None:
    """Begin a pass over the streamed markets."""
    if token := _run(self, lambda r: slices.begin_pass(r, exchange)):
        order("reconcile_slice", exchange, token, None)


@_task("take_up_pass")
def take_up_pass(self: Any, exchange: str) -> None:
    """Begin the pass anew that was under way, if one was."""
    if token := _run(self, lambda r: slices.take_up_pass(r, exchange)):
        order("reconcile_slice", exchange, token, None)


@_task("heal")
def heal(self: Any, exchange: str) -> None:
    """Begin a pass at once where a feed has reconnected."""
    if token := _run(self, lambda r: slices.begin_healing(r, exchange)):
        order("reconcile_slice", exchange, token, None)


@_task("reconcile_slice")
def reconcile_slice(self: Any, exchange: str, token: str, left: list[int] | None) -> None:
    rest, after_s = _run(self, lambda r: slices.reconcile(r, exchange, token, left), PASS_AGAIN_S)
    if rest:
        order("reconcile_slice", exchange, token, rest, after_s=after_s)


@_task("seek_outages")
def seek_outages(self: Any, name: str) -> None:
    """Look at one month of history, then a message for the months before it."""
    if not _run(self, lambda r: slices.seek_outages(r, name)):
        order("seek_outages", name)


@_task("pulse")
def tell_pulse(self: Any, exchange: str) -> None:
    """Show that messages of this queue are taken."""
    _run(self, lambda r: pulse.beat(r.redis, exchange, r.clock.now_ms()))


@_task("repair")
def repair(self: Any, exchange: str) -> None:
    """Have failed pages asked for again whose turn it is."""
    _run(self, lambda r: slices.repair(r, exchange))


@_task("audit")
def audit(self: Any, exchange: str, token: str | None = None) -> None:
    """One slice of looking again at day-old minutes without a candle, then a message for the next."""
    if token := _run(self, lambda r: slices.audit(r, exchange, token)):
        order("audit", exchange, token)


@_task("refresh_instruments")
def refresh_instruments(self: Any, name: str) -> None:
    one = registry.get(name)
    _run(
        self,
        lambda r: instruments.refresh(one, get=r.get(one, Priority.LIVE), symbols=r.stores.symbols, clock=r.clock),
    )


@_task("refresh_analytics")
def refresh_analytics(self: Any) -> None:
    _run(self, lambda r: analytics.refresh(r.stores.db, r.clock.now_ms()))


@_task("ensure_partitions")
def ensure_partitions(self: Any) -> None:
    _run(self, lambda r: r.stores.candles.ensure_partitions(r.clock.now_ms()))


@_task("pack_history")
def pack_history(self: Any) -> None:
    _run(self, lambda r: r.stores.rollups.pack(r.clock.now_ms() - PACK_AFTER_MS))


@_task("retain")
def retain(self: Any) -> None:
    """One slice of retention, then a message for the next."""
    if not _run(self, slices.retain):
        order("retain")
