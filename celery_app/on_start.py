"""What a worker does when it starts: its queues, its log, work that a stop left behind; and beat's first word."""

import asyncio
import logging
from typing import Any

from celery import signals

from app import log, wiring
from app.settings import Settings, load_settings
from app.stores import heartbeat
from celery_app.configuration import COMMON_QUEUE, queue_of
from celery_app.orders import order


def _serve_common_queue(sender: str, instance: Any, **_: Any) -> None:
    """`-Q bitfinex_rest` names an exchange's queue; what belongs to no exchange must run somewhere too."""
    instance.app.amqp.queues.select_add(COMMON_QUEUE)


def _log_our_way(loglevel: int, logfile: str | None, **_: Any) -> None:
    log.configure(logging.getLevelName(loglevel), file=logfile)


def _take_up(sender: Any, **_: Any) -> None:
    served = sender.app.amqp.queues.consume_from
    order("ensure_partitions")
    for exchange in load_settings().exchange_names:
        if queue_of(exchange) in served:
            order("resume", exchange, True)
            order("first_fill", exchange)


def _tell_beat(**_: Any) -> None:
    asyncio.run(_told(load_settings()))


async def _told(settings: Settings) -> None:
    async with wiring.open_redis(settings) as redis:
        await heartbeat.tell_beat(redis, wiring.clock(settings).now_ms())


signals.beat_init.connect(_tell_beat)
signals.celeryd_after_setup.connect(_serve_common_queue)
signals.setup_logging.connect(_log_our_way)
signals.worker_ready.connect(_take_up)
