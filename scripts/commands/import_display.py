"""Tell how an import of archives goes: files and a bar on a terminal, lines of JSON for machines, else little."""

import time
from collections import Counter
from typing import Any, Protocol

import msgspec
from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from app.imports.vision import State, Told
from scripts.commands.progress import counted

#: Said file by file on a terminal; the others are only counted.
_WORTH_A_LINE = (State.IMPORTED, State.REFUSED)
#: What one core stores in a second, and a candle with its share of indexes and bars takes, for estimates.
_ROWS_A_SECOND, _BYTES_A_ROW = 100_000, 160


class Sums:
    """What was told so far."""

    def __init__(self) -> None:
        self.files: Counter[State] = Counter()
        self.rows = self.changed = self.bytes = 0
        #: By symbol id, where the oldest archive that is published begins.
        self.first_ms: dict[int, int] = {}
        self._began_s = time.monotonic()

    def add(self, told: Told) -> None:
        self.files[told.state] += 1
        self.rows += told.rows
        self.changed += told.changed
        self.bytes += told.bytes
        if told.state is not State.MISSING:
            start_ms = told.archive.span.start_ms
            self.first_ms[told.market.id] = min(start_ms, self.first_ms.get(told.market.id, start_ms))

    def seconds(self) -> float:
        return time.monotonic() - self._began_s

    def sentence(self) -> str:
        """`Imported 12 archives: 525,600 candles, …`"""
        took_s = self.seconds()
        rate = f"{self.rows / max(took_s, 0.001):,.0f} a second"
        done = (
            f"Imported {counted(self.files[State.IMPORTED], 'archive')}: {counted(self.rows, 'candle')},"
            f" {self.changed:,} new or changed, in {took_s:.1f} s ({rate})."
        )
        return f"{done} {self._others()}"

    def estimate(self) -> str:
        """What an import would do, in a sentence."""
        files = self.files[State.NEW] + self.files[State.CHANGED]
        return (
            f"Would import {counted(files, 'archive')} ({decimal(self.bytes)}):"
            f" about {counted(self.rows, 'candle')}, {decimal(self.rows * _BYTES_A_ROW)} in the database,"
            f" {self.rows / _ROWS_A_SECOND:,.0f} s beyond the download. {self._others()} Nothing was changed."
        )

    def _others(self) -> str:
        states = (State.UNCHANGED, State.MISSING, State.REFUSED)
        return ", ".join(f"{self.files[state]:,} {state}" for state in states) + "."


class Display(Protocol):
    """Hears of each archive, and says sentences."""

    sums: Sums

    def __enter__(self) -> "Display": ...
    def __exit__(self, *_: object) -> None: ...
    def tell(self, told: Told) -> None: ...
    def month_over(self) -> None: ...
    def say(self, sentence: str, **facts: Any) -> None: ...


def display(console: Console, months: int, *, json: bool, every_file: bool) -> Display:
    """`months` are asked for; `every_file` gives each a line also where nobody watches."""
    if json:
        return _Json(console)
    return _Text(console, months, _WORTH_A_LINE if not every_file else tuple(State))


class _Json:
    """One object a line: `event` is archive, or what a sentence is about."""

    def __init__(self, console: Console) -> None:
        self.sums = Sums()
        self._console = console

    def __enter__(self) -> "_Json":
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def tell(self, told: Told) -> None:
        self.sums.add(told)
        names = {"market": told.market.instrument.symbol, "file": told.archive.name, "state": told.state.value}
        counts = {"rows": told.rows, "changed": told.changed, "bytes": told.bytes, "reason": told.reason}
        self._print({"event": "archive", **names, **counts})

    def month_over(self) -> None:
        return None

    def say(self, sentence: str, **facts: Any) -> None:
        self._print({"event": "said", "text": sentence, **facts})

    def _print(self, line: dict[str, Any]) -> None:
        self._console.out(msgspec.json.encode(line).decode(), highlight=False)


class _Text:
    def __init__(self, console: Console, months: int, worth_a_line: tuple[State, ...]) -> None:
        self.sums = Sums()
        self._console = console
        self._worth_a_line = worth_a_line if console.is_terminal or len(worth_a_line) > 2 else (State.REFUSED,)
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        self._bar = Progress(*columns, console=console, disable=not console.is_terminal, transient=True)
        self._task = self._bar.add_task("months", total=months)

    def __enter__(self) -> "_Text":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def tell(self, told: Told) -> None:
        self.sums.add(told)
        if told.state in self._worth_a_line:
            self.say(_line(told))

    def month_over(self) -> None:
        rate = self.sums.rows / max(self.sums.seconds(), 0.001)
        self._bar.update(self._task, advance=1, description=f"months, {rate:,.0f} candles/s")

    def say(self, sentence: str, **_: Any) -> None:
        self._console.print(sentence, soft_wrap=True, highlight=False, markup=False)


def _line(told: Told) -> str:
    facts = [counted(told.rows, "candle")] if told.rows else []
    facts += [f"{told.changed:,} new or changed"] if told.state is State.IMPORTED else []
    facts += [decimal(told.bytes)] if told.bytes else []
    facts += [told.reason] if told.reason else []
    return f"{told.archive.name}: " + ", ".join([told.state.value, *facts])
