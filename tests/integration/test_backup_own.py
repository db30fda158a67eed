"""Backups on a machine that runs its own database, and never under somebody who is at work on it."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis.asyncio

from app import running
from app.backup import dump
from app.running import Running
from app.settings import load_settings
from app.stores.closed_stream import ClosedStream
from common.errors import BadInput
from scripts.commands.writers import must_not_run
from tests.fixtures.copies import contents, fill
from tests.fixtures.postgres import Server
from tests.fixtures.start import World, world

HELD = "2,661 candles until 2024-01-01T06:09:00 UTC"


@pytest.fixture
def home() -> Iterator[World]:
    with world("scripts.cli") as found:
        yield found


async def said(home: World, *arguments: str | Path, **environ: str) -> tuple[int, str]:
    async with home.start(*map(str, arguments), **environ) as program:
        return await program.end()


async def test_a_backup_comes_back_where_nothing_runs_and_leaves_nothing_running(
    home: World, postgres_server: Server, postgres_url: str, empty_postgres_url: str
) -> None:
    await asyncio.to_thread(fill, postgres_url)
    ours, theirs = home.folder / "ours.dump", home.folder / "theirs.dump"
    await dump.make(postgres_url, {}, ours)
    assert await said(home, "restore", ours) == (0, f"Restored {ours}: {HELD}.")
    status, told = await said(home, "backup", theirs)
    assert (status, told.partition(": ")[2].partition(", ")[2]) == (
        0,
        f"{HELD}. Restore it with: candlehouse restore {theirs}",
    )
    assert (home.leftovers(), running.read(home.folder / "data")) == ([], None)
    assert await said(home, "restore", theirs, DATABASE_URL=empty_postgres_url) == (
        0,
        f"Restored {theirs}: {HELD}.",
    )
    assert contents(empty_postgres_url) == contents(postgres_url)


async def test_where_nothing_runs_and_nothing_is_there_is_nothing_to_back_up(home: World) -> None:
    remedy = "start it with `make up`, or set DATABASE_URL to a server of yours."
    told = f"Nothing runs under {home.folder}/data: {remedy}"
    assert await said(home, "backup", home.folder / "a.dump") == (2, told)
    assert sorted(home.folder.iterdir()) == []


async def test_a_file_that_is_no_backup_is_refused_before_anything_is_started(home: World) -> None:
    file = home.folder / "a.dump"
    assert await said(home, "restore", file) == (2, f"{file} cannot be read: No such file or directory.")
    file.write_text("SELECT 1;")
    refusal = f"{file} is not a backup: `candlehouse backup` writes other files."
    assert (await said(home, "restore", file), sorted(home.folder.iterdir())) == ((2, refusal), [file])


async def test_an_instance_that_runs_is_not_restored_under(tmp_path: Path) -> None:
    running.write(tmp_path, Running(running.this_process(), False, "http://127.0.0.1:8000", tmp_path))
    settings = load_settings({"DATA_DIR": str(tmp_path)}, tmp_path / "none")
    with pytest.raises(BadInput) as refusal:
        await must_not_run(settings)
    pid = running.this_process().pid
    expected = f"Candlehouse runs (process {pid}): stop it with Ctrl-C there, then restore."
    assert refusal.value.sentence == expected


async def test_an_updater_is_found_also_when_it_has_no_session_in_the_database(
    postgres_url: str,
    redis_url: str,
    redis_client: redis.asyncio.Redis,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # In the environment: Celery reads its own settings, once for the process.
    for name, value in {"DATABASE_URL": postgres_url, "REDIS_URL": redis_url, "DATA_DIR": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    settings = load_settings(dotenv=tmp_path / "none")
    await must_not_run(settings)
    updater = ClosedStream(redis_client, "coin-app")
    await updater.ensure_group()
    await updater.read(1, 1)
    with pytest.raises(BadInput, match=r"^The database is in use by updater coin-app: stop Candlehouse "):
        await must_not_run(settings)
