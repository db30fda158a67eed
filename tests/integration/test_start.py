"""From one command to everything running, and back to nothing, however it ends."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import Iterator

import asyncpg
import psutil
import pytest

from app.settings import load_settings
from tests.fixtures import start
from tests.fixtures.start import LIMIT_S, ROOT, Instance, World, until


@pytest.fixture
def world() -> Iterator[World]:
    with start.world("tests.fixtures.tiny_instance") as made:
        yield made


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_one_line_tells_that_it_is_ready_and_a_signal_leaves_no_process(world: World, number: int) -> None:
    async with world.start() as instance:
        url = f"http://127.0.0.1:{world.ports['WEB_PORT']}"
        assert await instance.line() == f"Candlehouse is ready: {url}/view/wschart (Ctrl-C stops it)"
        await until(lambda: list(world.children()) == ["postgres", "redis", "update", "web"])
        assert await world.query("SELECT current_user") == "candlehouse"
        assert await instance.end(number) == (0, "Everything is stopped.")
    assert (world.leftovers(), (world.folder / "data/running.json").exists()) == ([], False)


async def test_a_second_start_says_where_the_first_one_is(world: World) -> None:
    async with world.start() as instance:
        await instance.line()
        async with world.start() as second:
            where = f"at http://127.0.0.1:{world.ports['WEB_PORT']} (process {instance.process.pid})"
            assert await second.end() == (0, f"Candlehouse is already running {where}.")
        assert len(world.children()) == 4


async def test_after_kill_9_the_next_start_finds_the_data_and_nobody_in_its_way(world: World) -> None:
    async with world.start() as instance:
        await instance.line()
        await world.query("CREATE TABLE kept AS SELECT 42 AS answer")
        before = world.children()
        await instance.end(signal.SIGKILL)
    async with world.start() as instance:
        assert "is ready" in await instance.line()
        assert [name for name, process in before.items() if process.alive()] == []
        assert await world.query("SELECT answer FROM kept") == 42
        await instance.end(signal.SIGTERM)
    assert world.leftovers() == []


async def test_a_leftover_that_still_runs_is_stopped_by_the_next_start(world: World) -> None:
    """As after kill -9 where the kernel does not end children with their parent."""
    left = await asyncio.create_subprocess_exec("sleep", "600", start_new_session=True)
    (world.folder / "data").mkdir()
    started = psutil.Process(left.pid).create_time()
    state = {"supervisor": {"pid": left.pid, "started": 1.0}, "demo": False, "web_url": "", "data_dir": "/"}
    more = {"environment": {}, "postgres": None, "redis": None}
    children = {"children": {"web": {"pid": left.pid, "started": started, "stop_signal": 15}}}
    (world.folder / "data/running.json").write_text(json.dumps(state | more | children))
    async with world.start() as instance:
        await instance.line()
        assert await asyncio.wait_for(left.wait(), LIMIT_S) == -signal.SIGTERM


async def test_a_killed_database_comes_back(world: World) -> None:
    async with world.start() as instance:
        await instance.line()
        before = world.children()["postgres"]
        os.kill(before.pid, signal.SIGKILL)
        await until(lambda: world.children().get("postgres") not in (None, before))
        async with asyncio.timeout(LIMIT_S):
            while True:
                with contextlib.suppress(OSError, asyncpg.PostgresError):
                    assert await world.query("SELECT 1") == 1
                    break
                await asyncio.sleep(0.05)


@pytest.mark.parametrize("variable", ["WEB_PORT", "CELERY_PORT", "SIMULATOR_PORT"])
async def test_a_taken_port_is_named_with_its_variable_and_nothing_is_left(world: World, variable: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        async with world.start("--demo", **{variable: str(port)}) as instance:
            sentence = f"Port {port} on 127.0.0.1 is taken by another program; set {variable} to a free one."
            assert await instance.end() == (2, sentence)
    assert world.leftovers() == []


async def test_a_wrong_setting_is_one_sentence(world: World) -> None:
    async with world.start(WEB_PORT="web") as instance:
        assert await instance.end() == (2, "WEB_PORT must be a port from 1 to 65535, not 'web'.")


async def test_a_data_folder_that_cannot_be_is_one_sentence(world: World) -> None:
    (world.folder / "file").touch()
    where = world.folder / "file/data"
    async with world.start(DATA_DIR=str(where)) as instance:
        assert await instance.end() == (2, f"DATA_DIR {where} cannot be written: Not a directory.")


async def test_the_demo_keeps_its_data_apart_and_other_terminals_find_it(world: World) -> None:
    async with world.start("--demo") as instance:
        assert "is ready with simulated exchanges" in await instance.line()
        settings = load_settings(world.environ, world.folder / "none")
        assert settings.rest_url("bittrex") == f"http://127.0.0.1:{settings.simulator_port}/bittrex/v3"
        assert settings.exchange_names == ("binance", "bitfinex", "bittrex")
        assert await world.query("SELECT 1") == 1
    assert {path.name for path in (world.folder / "data").iterdir()} == {"demo", "running.lock"}


async def test_a_terminating_make_waits_until_all_is_stopped(world: World) -> None:
    (world.folder / "Makefile").write_text(
        f"up:\n\t@exec {sys.executable} -m tests.fixtures.tiny_instance $(if $(DEMO),--demo)\n"
    )
    assert "\t@exec $(RUN)/candlehouse up" in (ROOT / "Makefile").read_text()
    make = await asyncio.create_subprocess_exec(
        "make", "up", cwd=world.folder, env=world.environ, stdout=asyncio.subprocess.PIPE
    )
    instance = Instance(make)
    assert "is ready" in await instance.line()
    make.terminate()
    assert "Everything is stopped." in (await instance.end())[1]
    assert world.leftovers() == []
