"""`make up`: everything on one machine, from the servers to the page, and back down to nothing."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, TypeVar

from pydantic import SecretStr

from app import disk, embedded, readiness, roles, running
from app.ports import must_be_free
from app.processes import Process, stop_leftovers
from app.running import Running
from app.settings import Settings, child_environment
from app.settings_shared import connections, shared_environment
from app.supervisor import Role, Supervisor
from common.clock import Clock
from common.errors import BadInput, Retryable

#: Real seconds that a server or a one-time command may take; both are normally done in a few.
SERVER_S, COMMAND_S = 60, 600

#: Real seconds for the roles to end by themselves, then for the servers: together below ten.
STOP_ROLES_S, STOP_SERVERS_S = 5.5, 3.5

#: One-time commands of ours, done once the servers answer.
FIRST = (["db", "upgrade"],)

MakeRoles = Callable[[Settings, Mapping[str, str]], list[Role]]
Say = Callable[[str], None]
#: Called once every role is started; what it tells is for people.
Announce = Callable[[Running], Awaitable[None]]
#: What the web at an address still waits for; it may want a token.
Missing = Callable[[str, SecretStr | None], str]
Result = TypeVar("Result")


async def run(
    settings: Settings,
    demo: bool,
    say: Say,
    *,
    first: Sequence[list[str]] = FIRST,
    make_roles: MakeRoles = roles.all_roles,
    missing: Missing = readiness.missing,
    announce: Announce | None = None,
) -> None:
    """Start everything, say so once it is ready, and stop everything on the first SIGINT, SIGTERM or SIGHUP.

    `announce` says it another way than to whoever started this in a terminal.
    """
    lock = _lock(settings.data_dir)
    if lock is None:
        say(_already(settings))
        return
    with lock, contextlib.suppress(asyncio.CancelledError):
        _stop_on_signals()
        await _Start(settings, demo, say, first, make_roles, missing, announce).run()
    say("Everything is stopped.")


class _Start:
    """One run of the supervisor, from empty ports to empty ports."""

    def __init__(
        self,
        settings: Settings,
        demo: bool,
        say: Say,
        first: Sequence[list[str]],
        make_roles: MakeRoles,
        missing: Missing,
        announce: Announce | None,
    ) -> None:
        self._announce = announce or self._say_ready
        self._settings, self._say = settings, say
        self._first, self._make_roles, self._missing = first, make_roles, missing
        self._folder = settings.data_dir / "demo" if demo else settings.data_dir
        self._supervisor = Supervisor(self._changed)
        self._state = Running(running.this_process(), demo, _web_url(settings), settings.data_dir)

    async def run(self) -> None:
        settings, state = self._settings, self._state
        if left := running.read(settings.data_dir):
            await asyncio.to_thread(stop_leftovers, list(left.children.values()), 8)
        self._check_ports()
        self._folder.mkdir(exist_ok=True)
        servers = await asyncio.to_thread(embedded.prepare, settings, self._folder)
        self._state = replace(
            state,
            environment=shared_environment(settings),
            connections=connections(settings),
            postgres=servers.postgres.server if servers.postgres else None,
            redis=servers.redis.server if servers.redis else None,
        )
        running.write(settings.data_dir, self._state)
        try:
            async with self._supervisor:
                await self._start(servers)
        finally:
            running.clear(settings.data_dir)

    async def _start(self, servers: embedded.Servers) -> None:
        """Returns never: a signal cancels it, wherever it is."""
        settings = self._settings.model_copy(update={"instance": self._state})
        names = []
        try:
            for role, until_ready in servers.roles(settings.log_dir):
                names.append(role.name)
                self._supervisor.start(role)
                await _within(SERVER_S, until_ready(), f"{role.name} does not answer; its log is {role.log}")
            environment = child_environment(settings)
            for command in self._first:
                await _once(command, environment)
            for role in self._make_roles(settings, environment):
                self._supervisor.start(role)
            await self._announce(self._state)
            await disk.watch(settings, Clock(settings.clock_rate, settings.clock_anchor_ms))
            await asyncio.Event().wait()
        finally:
            await self._supervisor.stop_all_but(names, STOP_ROLES_S)
            await self._supervisor.stop_all_but([], STOP_SERVERS_S)

    def _check_ports(self) -> None:
        settings = self._settings
        must_be_free("WEB_PORT", settings.web_port, settings.listen)
        must_be_free("CELERY_PORT", settings.celery_port, settings.listen)
        if self._state.demo:
            must_be_free("SIMULATOR_PORT", settings.simulator_port)

    def _changed(self, children: dict[str, Process]) -> None:
        """Written at each change, so that a start after our sudden death knows whom to stop."""
        self._state = replace(self._state, children=children)
        running.write(self._settings.data_dir, self._state)

    async def _say_ready(self, state: Running) -> None:
        url, told = state.web_url, ""
        while waiting := await asyncio.to_thread(self._missing, url, self._settings.web_token):
            if waiting != told:
                self._say(f"Waiting for {waiting} …")
                told = waiting
            await asyncio.sleep(1)
        kind = " with simulated exchanges" if state.demo else ""
        self._say(f"Candlehouse is ready{kind}: {url}/view/wschart (Ctrl-C stops it)")


async def _once(arguments: list[str], environment: Mapping[str, str]) -> None:
    """Run one of our own commands to its end; its last line is the reason when it fails."""
    command, name = [sys.executable, "-m", "scripts.cli", *arguments], f"`candlehouse {' '.join(arguments)}`"
    done = await asyncio.create_subprocess_exec(
        *command, env=dict(environment), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        said, _ = await _within(COMMAND_S, done.communicate(), f"{name} takes too long")
    finally:
        if done.returncode is None:
            done.kill()
    if done.returncode:
        raise Retryable(f"{name} failed: {_last_line(said)}")


def _last_line(said: bytes) -> str:
    lines = said.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"


async def _within(seconds: float, work: Awaitable[Result], sentence: str) -> Result:
    try:
        async with asyncio.timeout(seconds):
            return await work
    except TimeoutError:
        raise Retryable(f"{sentence}.") from None


def _stop_on_signals() -> None:
    """The first signal cancels this task; later ones change nothing, for the way down is already short."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None

    def stop() -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, lambda: None)
        task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop)


def _lock(data_dir: Path) -> IO[str] | None:
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        return running.lock(data_dir)
    except OSError as error:
        sentence = f"DATA_DIR {data_dir} cannot be written: {error.strerror}."
        raise BadInput("DATA_DIR", sentence, "a folder that you may write") from error


def _already(settings: Settings) -> str:
    state = running.alive(settings.data_dir)
    if state is None:
        return f"Candlehouse is already starting or stopping under {settings.data_dir}."
    kind = "The demo" if state.demo else "Candlehouse"
    return f"{kind} is already running at {state.web_url} (process {state.supervisor.pid})."


def _web_url(settings: Settings) -> str:
    host = settings.listen
    return f"http://{'127.0.0.1' if host in ('0.0.0.0', '::') else host}:{settings.web_port}"
