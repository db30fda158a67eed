"""Show how far jobs are: a bar on a terminal, now and then a line elsewhere."""

import time
from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn

from app.stores.plan import Progress as Standing

#: Seconds before the first line, and between lines, where there is no terminal.
FIRST_LINE_S, LINE_EVERY_S = 1.0, 10


class Display(Protocol):
    """Told again and again how things stand, and whether a worker is missing (`absent`)."""

    def __enter__(self) -> "Display": ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def show(self, standing: Standing, *, absent: bool = False) -> None: ...


def display(console: Console, title: str) -> Display:
    return _Bar(console, title) if console.is_terminal else _Lines(console, title)


class _Bar:
    def __init__(self, console: Console, title: str) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[facts]}"),
            TimeRemainingColumn(compact=True),
            console=console,
        )
        self._task = self._progress.add_task(title, total=None, facts="")

    def __enter__(self) -> "_Bar":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, standing: Standing, *, absent: bool = False) -> None:
        task = self._progress.tasks[0]
        done = standing.minutes_total - standing.minutes_left
        self._progress.update(
            self._task,
            total=standing.minutes_total,
            completed=done,
            facts=_facts(standing, task.speed or 0, absent),
        )


class _Lines:
    def __init__(self, console: Console, title: str) -> None:
        self._console, self._title = console, title
        self._began_s = time.monotonic()
        self._next_s = FIRST_LINE_S

    def __enter__(self) -> "_Lines":
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def show(self, standing: Standing, *, absent: bool = False) -> None:
        passed_s = time.monotonic() - self._began_s
        if passed_s < self._next_s:
            return
        self._next_s = passed_s + LINE_EVERY_S
        done = standing.minutes_total - standing.minutes_left
        percent = 100 * done // max(1, standing.minutes_total)
        facts = _facts(standing, done / passed_s if passed_s > 1 else 0, absent)
        self._console.print(f"{self._title}: {percent} % · {facts}", soft_wrap=True, highlight=False)


def _facts(standing: Standing, minutes_a_second: float, absent: bool) -> str:
    if waits(standing):
        return "waiting for a worker"
    facts = [counted(standing.rows_written, "candle"), counted(standing.requests, "request")]
    if minutes_a_second:
        facts.append(f"{minutes_a_second:,.0f} minutes/s")
    if standing.errors:
        facts.append(f"{standing.errors} failed")
    if absent:
        facts.append("no worker at the moment")
    return " · ".join(facts)


def counted(number: int, what: str) -> str:
    """`1 candle`, `1,440 candles`."""
    return f"{number:,} {what}{'s' * (number != 1)}"


def waits(standing: Standing) -> bool:
    """Nobody has taken up the work."""
    return not standing.requests and not standing.leased and standing.minutes_left > 0
