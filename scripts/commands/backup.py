"""`backup` and `restore`: the whole database in one file, and back."""

import asyncio
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.filesize import decimal
from rich.progress import FileSizeColumn, Progress, SpinnerColumn, TextColumn, TransferSpeedColumn

from app import log, migrate, own_database
from app.backup import archive, dump, target
from app.backup import restore as bring_back
from app.backup.file import partial_of
from app.jobs.asked import time_text
from app.settings import Settings, given_environment, load_settings
from common.clock import Clock
from common.errors import BadInput
from scripts.commands.progress import counted
from scripts.commands.writers import must_not_run

#: Seconds between two looks at how large the file is.
LOOK_EVERY_S = 0.25

FileArgument = Annotated[Path | None, typer.Argument(help="Where to; by default backups/candlehouse-TIME.dump.")]
ReplaceOption = Annotated[
    bool, typer.Option("--replace", help="Also where the database holds candles: drop them.")
]
YesOption = Annotated[bool, typer.Option("--yes", help="With --replace: do not ask.")]


def backup(file: FileArgument = None) -> None:
    """Write all that the database holds to FILE, while everything goes on running."""
    path = file or dump.default_name(Clock().now_ms())
    if file is None:
        path.parent.mkdir(exist_ok=True)
    _finish(_backup(load_settings(), path), lambda: "no backup was written")


def restore(
    file: Annotated[Path, typer.Argument(help="What `candlehouse backup` wrote.")],
    replace: ReplaceOption = False,
    yes: YesOption = False,
) -> None:
    """Put FILE into the database, in one transaction: all of it or nothing."""
    archive.must_be_archive(file)
    course = bring_back.Course(lambda _: None)
    _finish(_restore(load_settings(), file, replace, yes, course), lambda: course.stopped)


async def _backup(settings: Settings, file: Path) -> None:
    async with own_database.answering(settings) as found, asyncio.TaskGroup() as tasks:
        with _shown(f"Writing {file}") as told:
            watching = tasks.create_task(_watch(partial_of(file), told))
            made = await dump.make(found.database_url, given_environment(), file)
            watching.cancel()
    typer.echo(f"{file}: {decimal(made.size)}, {_held(made)}. Restore it with: candlehouse restore {file}")


async def _restore(settings: Settings, file: Path, replace: bool, yes: bool, course: bring_back.Course) -> None:
    await must_not_run(settings)
    async with own_database.answering(settings, even_if_new=True) as found:
        url, given = found.database_url, given_environment()
        there = await target.look(url)
        with TemporaryDirectory() as folder:
            held = await archive.read(file, there.server, given, Path(folder))
            target.must_be_known(held)
            target.must_be_ours(there, held)
            if there.holds_candles:
                _must_be_agreed(file, replace, yes)
            with _shown(f"Restoring {file}") as course.fed:
                await bring_back.restore(url, given, held, there, replace, course)
        await asyncio.to_thread(bring_back.finish, url, there)
        result = await bring_back.settle(url)
    newest = migrate.revisions()[-1]
    brought = f", its schema {held.revision} brought to {newest}" if held.revision != newest else ""
    kind = "simulated " if held.market == "simulated" else ""
    typer.echo(f"Restored {file}: {_held(result, kind)}{brought}.")


def _must_be_agreed(file: Path, replace: bool, yes: bool) -> None:
    if not replace:
        raise BadInput("replace", bring_back.HELD)
    if yes:
        return
    if not sys.stdin.isatty():
        raise BadInput("yes", "--replace drops candles: say --yes as well where nobody can be asked.")
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # asyncio's would wait for the answer
    try:
        typer.confirm(f"Drop all that the database holds, and put {file} in its place?", abort=True)
    finally:
        signal.signal(signal.SIGINT, before)


def _held(what: dump.Made | bring_back.Held, kind: str = "") -> str:
    until = "" if what.until_ms is None else f" until {time_text(what.until_ms)} UTC"
    return f"{counted(what.candles, kind + 'candle')}{until}"


async def _watch(file: Path, told: Callable[[int], None]) -> None:
    while True:
        told(_size(file))
        await asyncio.sleep(LOOK_EVERY_S)


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


@contextmanager
def _shown(title: str) -> Iterator[Callable[[int], None]]:
    """Bytes and their rate, where there is a terminal."""
    console = Console()
    if not console.is_terminal:
        yield lambda _: None
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), FileSizeColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(title, total=None)
        yield lambda size: progress.update(task, completed=size)


def _finish(work: Coroutine[Any, Any, None], stopped: Callable[[], str]) -> None:
    """`stopped` says what is true where it was stopped."""
    log.configure("WARNING")
    try:
        asyncio.run(_stoppable(work))
    except (KeyboardInterrupt, asyncio.CancelledError):
        typer.echo(f"Stopped: {stopped()}.", err=True)
        raise typer.Exit(130) from None


async def _stoppable(work: Coroutine[Any, Any, None]) -> None:
    """Ctrl-C cancels by itself; what else asks a program to end does too, so that it leaves nothing half done."""
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    await work
