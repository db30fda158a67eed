"""What an archive holds, as rows ready to be stored."""

import operator
from pathlib import Path
from typing import NamedTuple

from app.stores.candles import StoredCandle
from common.errors import Malformed
from common.market import Source
from common.span import MINUTE_MS
from fetchers.binance_vision import Archive, parse_lines
from fetchers.zipped import read_zip

#: A third faster than StoredCandle(…).
_new = tuple.__new__


class Unpacked(NamedTuple):
    """`size` is the file's, in bytes; `rows` are one a minute, ascending, at least one."""

    size: int
    rows: list[StoredCandle]


def unpack(path: Path, archive: Archive, symbol_id: int) -> Unpacked:
    """Raises Malformed for a file that is none, and for one whose candles are not of its day or month.

    A candle off the minute, as after Binance's outage of 2018-02-09, is no minute's and is left out, as in
    fetchers.answers.is_asked; of two for the same minute the later one is kept.
    """

    record = Source.RECORD.value

    def parse(lines: bytes) -> list[StoredCandle]:
        return [_new(StoredCandle, (symbol_id, *values, record)) for values in parse_lines(lines)]

    rows = read_zip(path, parse)
    times = [row[1] for row in rows]
    for open_ms in (min(times), max(times)) if times else ():
        if not archive.span.has(open_ms):
            raise Malformed("archive", f"it holds a candle of {open_ms} ms, which is not of its time")
    if any(open_ms % MINUTE_MS for open_ms in times) or not all(map(operator.lt, times, times[1:])):
        by_minute = {row.open_ms: row for row in rows if row.open_ms % MINUTE_MS == 0}
        rows = [by_minute[open_ms] for open_ms in sorted(by_minute)]
    if not rows:
        raise Malformed("archive", "it holds no candle")
    return Unpacked(path.stat().st_size, rows)
