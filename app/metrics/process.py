"""What every process tells of itself: what it uses, and how late its event loop is."""

import asyncio
import platform
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import psutil

from app.metrics.scrape import Collect, Scrape, counter, gauge, spread
from common.histogram import Histogram

#: The names that start with `process_` are Prometheus' own for these, which dashboards of others know, too.
FIGURES = {
    "candlehouse_build_info": gauge("1; its labels tell the version that runs", "version", "python"),
    "process_resident_memory_bytes": gauge("Memory that the process holds"),
    "process_cpu_seconds_total": counter("Processor time that it has used"),
    "process_open_fds": gauge("Files and sockets that it has open"),
    "process_start_time_seconds": gauge("When it started, in seconds since 1970"),
    "candlehouse_event_loop_lag_seconds": spread("How late the event loop is, looked at twice a second"),
}

PROJECT = Path(__file__).parents[2] / "pyproject.toml"
EVERY_S = 0.5


@cache
def version() -> str:
    """The program is a clone, never an installed distribution of its own."""
    return str(tomllib.loads(PROJECT.read_text())["project"]["version"])


@contextmanager
def watched_process() -> Iterator[Collect]:
    """Tells how this process and the running event loop are, for as long as the context lasts."""
    process, lag = psutil.Process(), _Lag(asyncio.get_running_loop())

    def collect(scrape: Scrape) -> None:
        scrape.add("candlehouse_build_info", 1, version=version(), python=platform.python_version())
        with process.oneshot():
            times = process.cpu_times()
            scrape.add("process_resident_memory_bytes", process.memory_info().rss)
            scrape.add("process_cpu_seconds_total", times.user + times.system)
            scrape.add("process_open_fds", process.num_fds())
            scrape.add("process_start_time_seconds", process.create_time())
        scrape.spread("candlehouse_event_loop_lag_seconds", lag.seconds)

    lag.plan()
    try:
        yield collect
    finally:
        lag.stop()


class _Lag:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.seconds = Histogram()

    def plan(self) -> None:
        self._due_s = self._loop.time() + EVERY_S
        self._timer = self._loop.call_at(self._due_s, self._look)

    def stop(self) -> None:
        self._timer.cancel()

    def _look(self) -> None:
        self.seconds.add(max(0.0, self._loop.time() - self._due_s))
        self.plan()
