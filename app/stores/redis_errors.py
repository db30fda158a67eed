"""Redis's troubles in the program's own words."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from redis.exceptions import RedisError

from common.errors import Retryable


@contextmanager
def translated() -> Iterator[None]:
    """Raise Retryable for whatever keeps Redis from answering: away, full, loading, read-only.

    redis-py sends through `asyncio.wait_for`, which before Python 3.12 can swallow a cancellation that comes as
    the sending ends. The task would live on, and whoever stops the program would wait: so it is noticed here.
    """
    task = _current_task()
    cancellations = task.cancelling() if task else 0
    try:
        yield
    except (RedisError, OSError) as error:
        raise Retryable(f"Redis does not serve: {error or type(error).__name__}") from error
    finally:
        if task and task.cancelling() > cancellations:
            raise asyncio.CancelledError


def _current_task() -> asyncio.Task[Any] | None:
    """None outside of a loop too: Celery's own threads order work without one."""
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None
