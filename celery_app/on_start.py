"""What a worker does when it starts: its queues, its log, work that was left behind; and beat's first word."""

import asyncio
import atexit
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import structlog
from celery import bootsteps, signals

from app import wiring
from app.log import configure
from app.metrics import worker
from app.metrics.exporting import exporting
from app.settings import Settings, load_settings
from app.stores import heartbeat
from celery_app import counting
from celery_app.celery_main import app
from celery_app.configuration import COMMON_QUEUE, queue_of
from celery_app.orders import order
from celery_app.worker_loop import WorkerLoop
from common.errors import Retryable

log = structlog.get_logger(__name__)


def _serve_common_queue(sender: str, instance: Any, **_: Any) -> None:
    """`-Q bitfinex_rest` names an exchange's queue; what belongs to no exchange must run somewhere too."""
    instance.app.amqp.queues.select_add(COMMON_QUEUE)


def _log_our_way(loglevel: int, logfile: str | None, **_: Any) -> None:
    configure(logging.getLevelName(loglevel), file=logfile)


class TakeUp(bootsteps.StartStopStep):  # type: ignore[misc]  # Celery has no types
    """Part of a worker's connection to Redis: each new one has work gone on with whose messages an older one lost.

    What ran when a connection broke was cancelled, and its message would come again after VISIBILITY_S only.
    """

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def start(self, consumer: Any) -> None:
        try:
            for exchange in _served(consumer.app):
                order("resume", exchange, True)
                order("take_up_pass", exchange)
        except Retryable as error:  # the connection after this one orders it again
            log.warning("unfinished jobs wait", reason=str(error))


def _begin(sender: Any, **_: Any) -> None:
    order("ensure_partitions")
    for exchange in _served(sender.app):
        order("first_fill", exchange)


def _served(celery: Any) -> list[str]:
    """The exchanges whose queues this worker serves."""
    queues = celery.amqp.queues.consume_from
    return [exchange for exchange in load_settings().exchange_names if queue_of(exchange) in queues]


def _begin_beat(**_: Any) -> None:
    asyncio.run(_told(load_settings()))
    atexit.register(WorkerLoop(_beating).close)


@asynccontextmanager
async def _beating() -> AsyncIterator[None]:
    """Beat has no event loop of its own to tell of itself on."""
    settings = load_settings()
    async with wiring.open_redis(settings) as redis, exporting(settings, redis, "beat") as exporter:
        exporter.show(worker.ORDER_FIGURES, counting.OWN.tell_orders)
        yield


async def _told(settings: Settings) -> None:
    async with wiring.open_redis(settings) as redis:
        await heartbeat.tell_beat(redis, wiring.clock(settings).now_ms())


signals.beat_init.connect(_begin_beat)
signals.celeryd_after_setup.connect(_serve_common_queue)
signals.setup_logging.connect(_log_our_way)
signals.worker_ready.connect(_begin)
app.steps["consumer"].add(TakeUp)
