"""Messages to the workers: which task, on whose queue, and whether anybody listens there."""

import asyncio
from typing import Any

from kombu.exceptions import OperationalError
from redis.asyncio import Redis

from app.stores.redis_errors import translated
from celery_app import chain
from celery_app.celery_main import app
from celery_app.configuration import COMMON_QUEUE, queue_of
from common.errors import Retryable


def order(task: str, exchange: str | None = None, *args: Any, after_s: float = 0) -> None:
    """Send a message for one of celery_app.tasks; Retryable when the broker cannot be reached."""
    queue = queue_of(exchange) if exchange else COMMON_QUEUE
    given = (exchange, *args) if exchange else args
    try:
        app.send_task(f"celery_app.tasks.{task}", given, queue=queue, countdown=after_s or None, retry=False)
    except OperationalError as error:
        raise _unreachable(error) from error


async def order_work(redis: Redis, exchange: str, job_id: int, *, even_if_worked_on: bool = True) -> bool:
    """Have a job worked on by a new chain of messages; False where one lives that need not end."""
    begin = chain.begin if even_if_worked_on else chain.begin_alone
    with translated():
        token = await begin(redis, chain.of_job(job_id))
    if token is None:
        return False
    await asyncio.to_thread(order, "work", exchange, job_id, token)
    return True


def served_queues(timeout_s: float) -> set[str]:
    """The queues of all workers that answer within `timeout_s`."""
    try:
        replies = app.control.inspect(timeout=timeout_s).active_queues() or {}
    except OperationalError as error:
        raise _unreachable(error) from error
    return {queue["name"] for queues in replies.values() for queue in queues}


def _unreachable(error: OperationalError) -> Retryable:
    return Retryable(f"Redis, which carries the workers' messages, cannot be reached: {error}")
