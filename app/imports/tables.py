"""Rows of CSV and Parquet files, each with the line or the row that it stands in."""

import csv
import gzip
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import IO, Any, NamedTuple

from common.errors import BadInput

Numbered = tuple[int, Sequence[Any]]

_PARQUET_ROWS = 50_000


class Table(NamedTuple):
    """`header` is None where the first row is data already; `place` is what a row's number is called."""

    header: list[str] | None
    rows: Iterator[Numbered]
    place: str


def open_csv(path: Path) -> Table:
    """Comma, semicolon or tab between fields, UTF-8, packed by gzip or not. Raises BadInput for what is no CSV."""
    rows = _csv_rows(path)
    first = next(rows, None)
    if first is None:
        raise BadInput("file", f"{path} is empty.")
    if _is_data(first[1]):
        return Table(None, chain([first], rows), "line")
    return Table([str(name) for name in first[1]], rows, "line")


def _csv_rows(path: Path) -> Iterator[Numbered]:
    try:
        with _open_text(path) as file:
            start = file.readline()
            file.seek(0)
            delimiter = max(",;\t", key=start.count)
            reader = csv.reader(file, delimiter=delimiter)
            yield from ((reader.line_num, row) for row in reader if row)
    except (OSError, EOFError) as error:
        raise BadInput("file", f"{path} cannot be read: {error}.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadInput("file", f"{path} is no CSV in UTF-8: {error}.") from error


def _open_text(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _is_data(row: Sequence[Any]) -> bool:
    """Whether it holds prices, not names."""
    try:
        return bool([float(value) for value in row[1:5]])
    except ValueError:
        return False


def open_parquet(path: Path) -> Table:
    """Raises BadInput for what is no Parquet file. Imports pyarrow, which takes 60 MB of memory."""
    import pyarrow
    from pyarrow.parquet import ParquetFile

    try:
        file = ParquetFile(path)
    except (OSError, pyarrow.ArrowException) as error:
        raise BadInput("file", f"{path} cannot be read as Parquet: {error}.") from error
    return Table(list(file.schema_arrow.names), _parquet_rows(pyarrow, file), "row")


def _parquet_rows(arrow: Any, file: Any) -> Iterator[Numbered]:
    number = 0
    for batch in file.iter_batches(batch_size=_PARQUET_ROWS):
        columns = [_plain(arrow, column) for column in batch.columns]
        for row in zip(*columns, strict=True):
            number += 1
            yield number, row


def _plain(arrow: Any, column: Any) -> list[Any]:
    """A column's values; timestamps of any unit and zone as milliseconds."""
    if arrow.types.is_timestamp(column.type):
        column = column.cast(arrow.timestamp("ms", tz=column.type.tz), safe=False).cast(arrow.int64())
    return list(column.to_pylist())
