"""Show how far jobs are: a bar an exchange on a terminal, JSON for programs, nothing elsewhere."""

import time
from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TaskProgressColumn, TextColumn

from app.stores.plan import Progress as Stored

#: Real seconds between lines of JSON; over which rates are taken.
JSON_EVERY_S, RATES_OVER_S = 1.0, 30.0


class Rate(NamedTuple):
    """Of the last half minute, in real time; `eta_s` is None while nothing moves."""

    candles_per_s: float = 0
    pages_per_min: float = 0
    eta_s: float | None = None


class Standing(NamedTuple):
    """An exchange's jobs together. `waiting` is a sentence, often empty; `absent` that no worker serves it."""

    exchange: str
    progress: Stored
    rate: Rate = Rate()
    waiting: str = ""
    absent: bool = False


class Rates:
    """Remembers how one exchange's jobs stood, to tell how fast they go."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, Stored]] = deque()

    def of(self, progress: Stored) -> Rate:
        now_s = time.monotonic()
        self._seen.append((now_s, progress))
        while now_s - self._seen[0][0] > RATES_OVER_S:
            self._seen.popleft()
        then_s, then = self._seen[0]
        passed_s = now_s - then_s
        if passed_s < 1:
            return Rate()
        done = then.minutes_left - progress.minutes_left
        eta_s = progress.minutes_left * passed_s / done if done > 0 else None
        rows, pages = progress.rows_written - then.rows_written, progress.requests - then.requests
        return Rate(rows / passed_s, 60 * pages / passed_s, eta_s)


class Display(Protocol):
    """Told again and again how things stand, one standing an exchange, and what to say about it."""

    def __enter__(self) -> "Display": ...
    def __exit__(self, *_: object) -> None: ...
    def show(self, standings: Sequence[Standing]) -> None: ...
    def say(self, sentence: str, **facts: Any) -> None: ...


def display(console: Console, *, json: bool = False) -> Display:
    if json:
        return _Json(console)
    return _Bars(console) if console.is_terminal else _Quiet(console)


class _Quiet:
    """Only what is said."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def __enter__(self) -> "Display":
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def show(self, standings: Sequence[Standing]) -> None:
        pass

    def say(self, sentence: str, **_: Any) -> None:
        self._console.print(sentence, soft_wrap=True, highlight=False, markup=False)


class _Bars(_Quiet):
    def __init__(self, console: Console) -> None:
        super().__init__(console)
        name, facts = TextColumn("{task.description}"), TextColumn("{task.fields[facts]}")
        self._bars = Progress(SpinnerColumn(), name, BarColumn(16), TaskProgressColumn(), facts, console=console)
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> "Display":
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def show(self, standings: Sequence[Standing]) -> None:
        for one in standings:
            if one.exchange not in self._tasks:
                self._tasks[one.exchange] = self._bars.add_task(one.exchange, total=None, facts="")
            total, left = one.progress.minutes_total, one.progress.minutes_left
            self._bars.update(self._tasks[one.exchange], total=total, completed=total - left, facts=facts(one))


class _Json(_Quiet):
    """One object a line: `event` is progress, or said."""

    _next_s = 0.0

    def show(self, standings: Sequence[Standing]) -> None:
        now_s = time.monotonic()
        over = all(one.progress.state not in ("queued", "running") for one in standings)
        if now_s < self._next_s and not over:
            return
        self._next_s = now_s + JSON_EVERY_S
        for one in standings:
            told = {**one.progress._asdict(), **one.rate._asdict()}
            told |= {"waiting": one.waiting, "no_worker": one.absent}
            self._print({"event": "progress", "exchange": one.exchange, **told})

    def say(self, sentence: str, **facts: Any) -> None:
        self._print({"event": "said", "text": sentence, **facts})

    def _print(self, line: dict[str, Any]) -> None:
        self._console.out(msgspec.json.encode(line).decode(), highlight=False)


def facts(one: Standing) -> str:
    """`1,440 candles · 900/s · 0:02 left`: beside a bar on a terminal of 80 columns."""
    if waits(one.progress):
        return "waiting for a worker" + (f" · {one.waiting}" if one.waiting else "")
    told = [counted(one.progress.rows_written, "candle")]
    if one.rate.candles_per_s:
        told.append(f"{one.rate.candles_per_s:,.0f}/s")
    if one.rate.eta_s is not None and one.progress.minutes_left:
        told.append(f"{duration(one.rate.eta_s)} left")
    if one.progress.errors:
        told.append(f"{one.progress.errors} failed")
    if one.waiting:
        told.append(one.waiting)
    if one.absent:
        told.append("no worker at the moment")
    return " · ".join(told)


def duration(seconds: float) -> str:
    """`0:07`, `2:03:09`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def counted(number: int, what: str) -> str:
    """`1 candle`, `1,440 candles`."""
    return f"{number:,} {what}{'s' * (number != 1)}"


def waits(progress: Stored) -> bool:
    """Nobody has taken up the work."""
    return not progress.requests and not progress.leased and progress.minutes_left > 0
