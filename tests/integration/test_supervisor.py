"""The supervisor keeps small programs running, and leaves nothing behind."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import psutil
import pytest
from structlog.testing import capture_logs

from app.processes import Process, identify, stop_leftovers
from app.supervisor import Role, Supervisor

LIMIT_S = 20
FAST = (0.01, 0.05, 60.0)

#: Writes its name to a file when asked to stop, so that an order can be read off.
POLITE = """
import signal, sys, time
def stop(*_):
    open(sys.argv[1], "a").write(sys.argv[2] + "\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
print("up", flush=True)
time.sleep(600)
"""
#: Has a child of its own and does not care about SIGTERM.
STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
time.sleep(600)
"""


class World:
    """A supervisor's surroundings: who lives now, and files to look into."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.living: dict[str, Process] = {}
        self.seen: list[int] = []

    def changed(self, living: dict[str, Process]) -> None:
        self.living = living
        self.seen += [process.pid for process in living.values() if process.pid not in self.seen]

    def role(self, name: str, code: str, *arguments: str) -> Role:
        return Role(name, [sys.executable, "-c", code, *arguments], self.folder / f"{name}.log", dict(os.environ))

    def said(self, name: str) -> list[str]:
        log = self.folder / f"{name}.log"
        return log.read_text().splitlines() if log.exists() else []


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not true():  # noqa: ASYNC110  what we wait for is another process
            await asyncio.sleep(0.01)


async def test_a_killed_role_starts_again(world: World) -> None:
    async with Supervisor(world.changed, FAST) as supervisor:
        supervisor.start(world.role("one", POLITE, str(world.folder / "order"), "one"))
        await until(lambda: world.said("one") == ["up"])
        os.kill(world.living["one"].pid, signal.SIGKILL)
        await until(lambda: world.said("one") == ["up", "up"])
    assert (len(world.seen), world.living) == (2, {})


async def test_a_role_that_cannot_start_is_tried_again_and_harms_no_other(world: World) -> None:
    async with Supervisor(world.changed, FAST) as supervisor:
        supervisor.start(Role("none", ["/nowhere/program"], world.folder / "none.log", {}))
        supervisor.start(world.role("crash", "import sys; print('why', flush=True); sys.exit(3)"))
        supervisor.start(world.role("one", POLITE, str(world.folder / "order"), "one"))
        await until(lambda: world.said("crash").count("why") >= 3 and world.said("one") == ["up"])


async def test_roles_stop_in_reverse_order_and_the_named_ones_stay(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    ask = Process.ask
    monkeypatch.setattr(Process, "ask", lambda process: (asked.append(process.pid), ask(process))[1])
    names = ["database", "first", "second"]
    async with Supervisor(world.changed, FAST) as supervisor:
        for name in names:
            supervisor.start(world.role(name, POLITE, str(world.folder / "order"), name))
            await until(lambda name=name: world.said(name) == ["up"])
        pids = [world.living[name].pid for name in names]
        await supervisor.stop_all_but(["database"], LIMIT_S)
        assert (asked, list(world.living)) == ([pids[2], pids[1]], ["database"])
    assert (world.folder / "order").read_text().split()[2:] == ["database"]


async def test_what_a_dead_role_started_dies_too(world: World) -> None:
    async with Supervisor(world.changed, FAST) as supervisor:
        supervisor.start(world.role("parent", STUBBORN))
        await until(lambda: world.said("parent"))
        grandchild = identify(int(world.said("parent")[0]))
        os.kill(world.living["parent"].pid, signal.SIGKILL)
        await until(lambda: len(world.said("parent")) == 2)
        await until(lambda: not grandchild.alive())
        await supervisor.stop_all_but([], 0.1)
    await until(lambda: all(_gone(int(pid)) for pid in world.said("parent")))


@pytest.mark.parametrize("rotates_log", [False, True])
async def test_a_full_disk_costs_lines_of_the_log_and_no_role(
    world: World, rotates_log: bool, tmp_path: Path
) -> None:
    code = "import sys, time; print('up', flush=True); open(sys.argv[1], 'a').write('x'); time.sleep(600)"
    full = replace(world.role("one", code, str(tmp_path / "lives")), rotates_log=rotates_log)
    full.log.symlink_to("/dev/full")
    with capture_logs() as logs:
        async with Supervisor(world.changed, FAST) as supervisor:
            supervisor.start(full)
            supervisor.start(world.role("other", POLITE, str(tmp_path / "order"), "other"))
            for lives in ("x", "xx"):
                await until(partial(has_lived, tmp_path, lives))
                await until(lambda: "one" in world.living)
                os.kill(world.living["one"].pid, signal.SIGKILL)
            await until(partial(has_lived, tmp_path, "xxx"))
            assert world.said("other") == ["up"]
    told = [one for one in logs if one["event"].startswith("its log cannot be written")]
    assert {(one["role"], one["reason"]) for one in told} == {("one", "No space left on device")}


def has_lived(folder: Path, marks: str) -> bool:
    return (folder / "lives").exists() and (folder / "lives").read_text() == marks


async def test_an_error_in_the_body_stops_everything_and_arrives_as_it_is(world: World) -> None:
    with pytest.raises(ValueError, match="mine"):
        async with Supervisor(world.changed, FAST) as supervisor:
            supervisor.start(world.role("one", POLITE, str(world.folder / "order"), "one"))
            await until(lambda: world.said("one"))
            raise ValueError("mine")
    assert (world.living, (world.folder / "order").read_text()) == ({}, "one\n")


async def test_a_role_does_not_outlive_a_supervisor_killed_in_an_instant(world: World) -> None:
    """On Linux the kernel sees to it; a later start would stop it anyway."""
    code = f"""
import asyncio, os, sys
from pathlib import Path
from app.supervisor import Role, Supervisor
def changed(living):
    for process in living.values():
        print(process.pid, flush=True)
async def main():
    async with Supervisor(changed) as supervisor:
        supervisor.start(Role("one", [sys.executable, "-c", {POLITE!r}, {str(world.folder / "order")!r}, "one"],
                              Path({str(world.folder / "one.log")!r}), dict(os.environ)))
        await asyncio.Event().wait()
asyncio.run(main())
"""
    boss = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
    assert boss.stdout
    role = identify(int(await asyncio.wait_for(boss.stdout.readline(), LIMIT_S)))
    await until(lambda: world.said("one") == ["up"])
    boss.kill()
    await boss.wait()
    if sys.platform == "linux":
        await until(lambda: not role.alive())
        assert (world.folder / "order").read_text() == "one\n"
    else:
        stop_leftovers([role], LIMIT_S)


def test_leftovers_are_known_by_start_time_so_a_strangers_pid_is_safe() -> None:
    me = identify(os.getpid())
    stranger = Process(me.pid, me.started - 1000)
    stop_leftovers([stranger], 0.2)
    assert (me.alive(), stranger.alive()) == (True, False)


def _gone(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
