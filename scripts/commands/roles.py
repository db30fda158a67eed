"""Run a job that never ends by itself until the process is asked to stop."""

import asyncio
import gc
import signal
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

import uvloop

from app import log
from app.settings import Settings


def run_until_stopped(settings: Settings, job: Coroutine[Any, Any, None], log_filename: str | None) -> None:
    """SIGTERM and Ctrl-C cancel the job, which then has its last words; the log goes to a file or the terminal."""
    log.configure(settings.log_level, file=log_filename)
    gc.freeze()  # what was imported stays: to look through it again and again took a quarter of the updater's time
    with suppress(asyncio.CancelledError), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_stoppable(job))


async def _stoppable(job: Coroutine[Any, Any, None]) -> None:
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    await job
