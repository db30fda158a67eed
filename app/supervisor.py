"""Keeps child processes running: starts them, logs what they say, restarts what dies, stops all in reverse."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil
import structlog

from app.processes import Process, die_with_parent, identify
from app.role_log import RoleLog

#: Real seconds before the first restart; doubled each time up to the second figure, reset by a life of the third.
BACK_OFF_S = (0.5, 30.0, 60.0)

#: Lines of a role's output longer than this are cut.
LONGEST_LINE = 64_000


Changed = Callable[[dict[str, Process]], None]


@dataclass(frozen=True, slots=True)
class Role:
    """A program to keep running. `rotates_log` tells that it rotates `log` itself, so we only append to it."""

    name: str
    command: list[str]
    log: Path
    environment: Mapping[str, str]
    stop_signal: int = signal.SIGTERM
    rotates_log: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)


class Supervisor:
    """An async context: leaving it stops every role. `changed` hears of the living processes at each change."""

    def __init__(self, changed: Changed, back_off_s: tuple[float, float, float] = BACK_OFF_S) -> None:
        self._changed = changed
        self._back_off_s = back_off_s
        self._children: dict[str, _Child] = {}
        self._tasks = asyncio.TaskGroup()

    async def __aenter__(self) -> "Supervisor":
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop_all_but([], 8)
        if isinstance(error, asyncio.CancelledError):
            await self._tasks.__aexit__(kind, error, trace)
        else:  # a TaskGroup would wrap an error of the body in a group
            await self._tasks.__aexit__(None, None, None)

    def start(self, role: Role) -> None:
        """Keep `role` running from now on."""
        child = self._children[role.name] = _Child(role, self._back_off_s, self._note)
        self._tasks.create_task(child.keep(), name=role.name)

    async def stop_all_but(self, names: list[str], limit_s: float) -> None:
        """Ask the others to stop, last started first, and kill what still runs after `limit_s`."""
        chosen = [child for name, child in reversed(self._children.items()) if name not in names]
        for child in chosen:
            child.ask()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                for child in chosen:
                    await child.ended.wait()
        for child in chosen:
            child.end()
        for child in chosen:
            await child.ended.wait()

    def _note(self) -> None:
        self._changed({name: c.process for name, c in self._children.items() if c.process is not None})


class _Child:
    """One role and the process that plays it at the moment."""

    def __init__(self, role: Role, back_off_s: tuple[float, float, float], note: Callable[[], None]) -> None:
        self.process: Process | None = None
        self.ended = asyncio.Event()
        self._role = role
        self._note = note
        self._stopping = asyncio.Event()
        self._first_s, self._most_s, self._healthy_s = back_off_s
        self._warn = structlog.get_logger("supervisor").bind(role=role.name, log=str(role.log)).warning

    async def keep(self) -> None:
        """Run the role until `ask`; whatever ends it otherwise, start it again, each time a little later."""
        delay_s = self._first_s
        try:
            while not self._stopping.is_set():
                life_s, code = await self._run()
                if self._stopping.is_set():
                    return
                delay_s = self._first_s if life_s > self._healthy_s else delay_s
                self._warn("ended and starts again", status=code, again_in_s=delay_s)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), delay_s)
                delay_s = min(delay_s * 2, self._most_s)
        finally:
            self.kill()
            self.ended.set()

    def ask(self) -> None:
        self._stopping.set()
        if self.process is not None:
            self.process.ask()

    def end(self) -> None:
        """Kill what did not stop when it was asked."""
        if not self.ended.is_set():
            self._warn("did not stop in time and is killed")
            self.kill()

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()

    async def _run(self) -> tuple[float, int]:
        """One life: how long it was, and the status it ended with."""
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        async with asyncio.TaskGroup() as life:
            with _pipe() as (ours, theirs):
                try:
                    spawned = await self._spawn(theirs)
                except OSError as error:
                    self._warn("cannot start", reason=str(error))
                    return 0, 127
            life.create_task(_copy(ours, self._log()))
            try:
                self._set(spawned.pid)
                code = await spawned.wait()
            finally:
                self.kill()  # what it started must not outlive it, or the next life would meet its ports taken
                self._set(None)
        return loop.time() - began_s, code

    def _log(self) -> RoleLog:
        def complain(reason: str) -> None:
            self._warn("its log cannot be written; it goes on without", reason=reason)

        return RoleLog(self._role.log, rotates_itself=self._role.rotates_log, complain=complain)

    def _set(self, pid: int | None) -> None:
        self.process = None
        with contextlib.suppress(psutil.Error):  # it may be gone already
            self.process = None if pid is None else identify(pid, self._role.stop_signal)
        self._note()
        if self._stopping.is_set():
            self.ask()

    async def _spawn(self, output: int) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *self._role.command,
            env=dict(self._role.environment),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C in the terminal is for us; we stop the roles in our own order
            preexec_fn=die_with_parent(self._role.stop_signal),
            **self._role.options,
        )


@contextlib.contextmanager
def _pipe() -> Iterator[tuple[int, int]]:
    """Our own pipe, for asyncio's would make waiting for a process wait for its grandchildren too.

    The writing end is closed here afterwards; the reading end too, unless all went well.
    """
    ours, theirs = os.pipe()
    try:
        yield ours, theirs
    except BaseException:
        os.close(ours)
        raise
    finally:
        os.close(theirs)


async def _lines(pipe: int) -> AsyncIterator[bytes]:
    """What comes out of `pipe`, line by line, until nobody holds its other end."""
    reader = asyncio.StreamReader(limit=LONGEST_LINE)
    protocol = asyncio.StreamReaderProtocol(reader)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, os.fdopen(pipe, "rb", 0))
    try:
        while True:
            try:
                yield await reader.readuntil(b"\n")
            except asyncio.IncompleteReadError as rest:
                yield rest.partial
                return
            except asyncio.LimitOverrunError as long:
                yield await reader.read(long.consumed)
    finally:
        transport.close()


async def _copy(pipe: int, log: RoleLog) -> None:
    """Append what a role prints to its log file."""
    with contextlib.closing(log):
        async for line in _lines(pipe):
            if text := line.decode(errors="replace").rstrip("\n"):
                log.write(text)
