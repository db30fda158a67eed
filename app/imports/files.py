"""Candles from files of a table: read once to tell what they hold and what is wrong, once more to store them."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

from app.imports.checks import fault_of
from app.imports.columns import Columns, by_names, without_names
from app.imports.moments import Moments, moments_of
from app.imports.tables import Table
from app.jobs.asked import EARLIEST_MS
from common.errors import BadInput
from common.market import Instrument
from common.span import MINUTE_MS, Span

#: open_ms, open, high, low, close, volume, quote volume, trades
Values = tuple[int, float, float, float, float, float, float | None, int | None]

#: Faults that are named; the others are counted.
NAMED = 5


class Checked(NamedTuple):
    """A row by its number: its values, or why it is no candle."""

    number: int
    values: Values | None
    fault: str = ""


@dataclass(slots=True)
class Findings:
    """What a file holds. `repeated` rows tell a minute once more; `named` are the first faults, in words."""

    path: Path
    how: str
    place: str
    rows: int = 0
    good: int = 0
    repeated: int = 0
    backward: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    named: list[str] = field(default_factory=list)
    span: Span | None = None

    @property
    def bad(self) -> int:
        return self.rows - self.good

    @property
    def order(self) -> str:
        """In which order the minutes come."""
        if not self.backward:
            return "oldest first"
        return "newest first" if self.backward >= self.good - self.repeated - 1 else "in no order"

    @property
    def absent(self) -> int:
        """Minutes between the first and the last that it does not hold."""
        return self.span.minutes() - (self.good - self.repeated) if self.span else 0


class File(NamedTuple):
    """A file that can be read again and again; `told` are columns that a person named."""

    path: Path
    open: Callable[[Path], Table]
    told: Mapping[str, str]
    market: Instrument

    def read(self, now_ms: int) -> tuple[str, str, Iterator[Checked]]:
        """How it is written, what a row's number is called, and its rows, checked; BadInput for no table."""
        table = self.open(self.path)
        first = next(table.rows, None)
        if first is None:
            raise BadInput("file", f"{self.path} holds no row.")
        names = self.market.base, self.market.quote
        try:
            header = table.header
            columns = without_names(len(first[1])) if header is None else by_names(header, self.told, *names)
            moments = _moments(columns, first[1])
        except BadInput as error:
            raise BadInput(error.field, f"{self.path}: {error.sentence}", error.allowed) from error
        rows = _checked(chain([first], table.rows), columns, moments, now_ms)
        return f"times in {moments.name}; {columns.names}", table.place, rows


def _moments(columns: Columns, row: Sequence[Any]) -> Moments:
    value = row[columns.places[0] or 0]
    try:
        return moments_of(value)
    except ValueError as error:
        sentence = f"Its first time, {value!r}, is neither a number since 1970 nor ISO 8601."
        raise BadInput("time", sentence) from error


def _checked(
    rows: Iterator[tuple[int, Sequence[Any]]], columns: Columns, moments: Moments, now_ms: int
) -> Iterator[Checked]:
    for number, row in rows:
        try:
            values = _values(row, columns.places, moments)
        except (ValueError, TypeError, IndexError, OverflowError):
            yield Checked(number, None, "a value is missing or no number")
            continue
        fault = fault_of(now_ms, *values[:6])
        yield Checked(number, None if fault else values, fault or "")


def _values(row: Sequence[Any], places: Sequence[int | None], moments: Moments) -> Values:
    at = [None if place is None else row[place] for place in places]
    open_, high, low, close, volume = map(float, at[1:6])  # type: ignore[arg-type]  # float refuses what is none
    quote_volume = None if at[6] in (None, "") else float(at[6])
    trades = None if at[7] in (None, "") else int(float(at[7]))
    return moments.ms(at[0]), open_, high, low, close, volume, quote_volume, trades


def examine(file: File, now_ms: int) -> Findings:
    """Read all of it and change nothing. Takes 2 MB, however long it is."""
    how, place, rows = file.read(now_ms)
    found, seen, before_ms = Findings(file.path, how, place), bytearray(), -1
    seen.extend(bytes((now_ms - EARLIEST_MS) // MINUTE_MS // 8 + 2))
    first_ms, last_ms = now_ms, 0
    for row in rows:
        found.rows += 1
        if row.values is None:
            found.faults[row.fault] += 1
            if len(found.named) < NAMED:
                found.named.append(f"{place} {row.number}: {row.fault}")
            continue
        open_ms = row.values[0]
        byte, bit = divmod((open_ms - EARLIEST_MS) // MINUTE_MS, 8)
        found.good += 1
        found.repeated += seen[byte] >> bit & 1
        found.backward += open_ms < before_ms
        seen[byte] |= 1 << bit
        first_ms, last_ms, before_ms = min(first_ms, open_ms), max(last_ms, open_ms), open_ms
    if found.good:
        found.span = Span(first_ms, last_ms + MINUTE_MS)
    return found
