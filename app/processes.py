"""Processes known by pid and start time, so that a reused pid is never taken for the old one."""

import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psutil

#: Linux tells a child to end when its parent does, whatever killed the parent.
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Process:
    """`started` is the start time as the system tells it, in seconds; `stop_signal` asks it to end."""

    pid: int
    started: float
    stop_signal: int = signal.SIGTERM

    def alive(self) -> bool:
        """It runs, and is the same process that was recorded."""
        try:
            found = psutil.Process(self.pid)
            return bool(abs(found.create_time() - self.started) < 1 and found.status() != psutil.STATUS_ZOMBIE)
        except psutil.Error:
            return False

    def group(self) -> Iterator[psutil.Process]:
        """What is left of the session that this process leads (it need not live any more itself)."""
        if psutil.pid_exists(self.pid) and not self.alive() and not _is_zombie(self.pid):
            return  # the number belongs to a stranger now
        for process in psutil.process_iter():
            with contextlib.suppress(OSError, psutil.Error):
                if os.getsid(process.pid) == self.pid and process.create_time() >= self.started - 1:
                    yield process

    def ask(self) -> None:
        """Ask it to stop."""
        if self.alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, self.stop_signal)

    def kill(self) -> None:
        """End it and everything it started, at once."""
        for process in self.group():
            with contextlib.suppress(psutil.Error):
                process.kill()


def identify(pid: int, stop_signal: int = signal.SIGTERM) -> Process:
    """The process that has `pid` now."""
    return Process(pid, psutil.Process(pid).create_time(), stop_signal)


def stop_leftovers(processes: list[Process], limit_s: float) -> None:
    """Ask all to stop, last started first, wait up to `limit_s` altogether, and kill what is left."""
    for process in reversed(processes):
        process.ask()
    end_s = time.monotonic() + limit_s
    while time.monotonic() < end_s and any(process.alive() for process in processes):
        time.sleep(0.05)
    for process in reversed(processes):
        process.kill()


def die_with_parent(stop_signal: int) -> Callable[[], None] | None:
    """For subprocess's preexec_fn: the kernel sends `stop_signal` when the parent ends. None where it cannot."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def ask_kernel() -> None:
        prctl(_PR_SET_PDEATHSIG, stop_signal)

    return ask_kernel


def _is_zombie(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
