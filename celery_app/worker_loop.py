"""Each worker process owns one event loop in a thread, with one database pool and one HTTP client on it."""

import asyncio
import gc
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from celery import signals
from redis.asyncio import Redis

from app import wiring
from app.metrics import requests, worker
from app.metrics.exporting import exporting
from app.metrics.worker import WorkFigures
from app.settings import Settings, load_settings
from app.stores.latest import LiveSink
from celery_app import counting
from celery_app.celery_main import app
from celery_app.configuration import queue_of
from common.clock import Clock
from common.ports import Exchange, Priority
from fetchers.history import Get
from fetchers.http import HttpClient

#: The garbage collector's thresholds in a worker.
COLLECT = (200_000, 20, 100)
#: Requests for one answer before the worker turns to something else: a feed that reconnects meanwhile is to be
#: healed within 10 s, and between three requests there are 3 s at most.
ATTEMPTS = {Priority.LIVE: 2, Priority.HISTORY: 3}

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Resources:
    """What a task works with; opened once a process."""

    settings: Settings
    clock: Clock
    redis: Redis
    http: HttpClient
    stores: wiring.Stores
    sink: LiveSink
    figures: WorkFigures = field(default_factory=WorkFigures)

    def get(self, exchange: Exchange, priority: Priority = Priority.HISTORY) -> Get:
        attempts = ATTEMPTS[priority]
        return lambda request: self.http.get_retrying(exchange, request, attempts, priority)


@asynccontextmanager
async def open_resources(
    settings: Settings | None = None, figures: WorkFigures | None = None
) -> AsyncIterator[Resources]:
    """Nothing connects before its first use."""
    settings = settings or load_settings()
    clock, redis = wiring.clock(settings), wiring.open_redis(settings)
    http = wiring.open_http(settings, redis)
    try:
        async with wiring.open_stores(settings, role="worker") as stores:
            sink = LiveSink(redis, clock)
            yield Resources(settings, clock, redis, http, stores, sink, figures or WorkFigures())
    finally:
        await http.close()
        await redis.aclose()


@asynccontextmanager
async def _working() -> AsyncIterator[Resources]:
    """The same for a process that tells of its work."""
    settings, queues = load_settings(), sorted(app.amqp.queues.consume_from)
    served = ",".join(name for name in settings.exchange_names if queue_of(name) in queues)
    async with (
        open_resources(settings, counting.OWN) as resources,
        exporting(settings, resources.redis, "worker", served, queues) as exporter,
    ):
        exporter.show(worker.FIGURES, resources.figures.tell)
        exporter.show(requests.FIGURES, requests.requests_of(resources.http))
        yield resources


class WorkerLoop(Generic[T]):
    """An event loop in a thread that keeps `open_()` open; `run` is called from any other thread."""

    def __init__(self, open_: Callable[[], AbstractAsyncContextManager[T]]) -> None:
        self._open = open_
        self._loop = asyncio.new_event_loop()
        self._resources: asyncio.Future[T] = self._loop.create_future()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._live, name="worker loop", daemon=True)
        self._thread.start()

    def run(self, job: Callable[[T], Awaitable[R]]) -> R:
        """Wait for `job`; whatever interrupts the waiting ends the job too."""

        async def with_resources() -> R:
            return await job(await asyncio.shield(self._resources))

        future = asyncio.run_coroutine_threadsafe(with_resources(), self._loop)
        try:
            result: R = future.result()
        except BaseException:
            future.cancel()
            raise
        return result

    def close(self, limit_s: float = 10) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(limit_s)

    def _live(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._keep_open())

    async def _keep_open(self) -> None:
        try:
            async with self._open() as resources:
                self._resources.set_result(resources)
                await self._stop.wait()
        except BaseException as error:
            if self._resources.done():
                raise
            self._resources.set_exception(error)  # each task tells it; the loop stays for them to ask on
            await self._stop.wait()


_lock = threading.Lock()
_own: WorkerLoop[Resources] | None = None


def run(job: Callable[[Resources], Awaitable[R]]) -> R:
    """Run `job` on this process's loop, which is made at the latest now."""
    return _started().run(job)


def _begun(**_: Any) -> None:
    """A worker makes millions of rows, none part of a cycle: looking for cycles takes a fifth of its time."""
    gc.freeze()
    gc.set_threshold(*COLLECT)
    counting.begin_anew()
    _started()


def _started() -> WorkerLoop[Resources]:
    global _own
    with _lock:
        if _own is None:
            _own = WorkerLoop(_working)
        return _own


def _closed(**_: Any) -> None:
    global _own
    with _lock:
        if _own is not None:
            _own.close()
            _own = None


signals.worker_process_init.connect(_begun)
signals.worker_process_shutdown.connect(_closed)
