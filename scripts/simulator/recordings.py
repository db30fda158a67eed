"""A market played from a folder of recorded candles, at their true times.

Read are Bitfinex `rest_hist_raw_1m_*`, Binance `ohlcv_ccxt_1m_*` and `klines_rest12_*`, and Bittrex
`ohlcv_v3_ccxt_1m_*`. Those whose recorder repeated rows (`…_dirty`, `…_pagedup`) are served with each minute once.
What was not recorded (quote volume and trade count, outside klines_rest12) is served as 0.
"""

import csv
import gzip
import io
import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from common.errors import BadInput
from common.span import MINUTE_MS
from scripts.simulator.listings import BITFINEX_CODES, native_name
from scripts.simulator.market import SERVES_QUIET, Quiet, Row, Symbol, never_quiet

_UNKNOWN = (0.0, 0, 0.0, 0.0)

_QUOTES = ("USDT", "UST", "USD", "BTC", "ETH")


class _Tape:
    """The rows of one symbol, by columns: half a million rows fit in 40 MB."""

    def __init__(self, rows: Iterable[Row]) -> None:
        # The later row of a minute wins, as the exchange's later answer does.
        ordered = sorted({row.open_ms: row for row in rows}.values())
        self.minutes = array("q", (row.open_ms // MINUTE_MS for row in ordered))
        self._columns = [array("d", column) for column in zip(*(row[1:6] for row in ordered), strict=True)]
        self._more = {at: row[6:] for at, row in enumerate(ordered) if row[6:] != _UNKNOWN}

    def row(self, at: int) -> Row:
        ohlcv = [column[at] for column in self._columns]
        return Row._make((self.minutes[at] * MINUTE_MS, *ohlcv, *self._more.get(at, _UNKNOWN)))


class RecordedMarket:
    """Only what was recorded: an absent minute is absent, whatever the exchange does with quiet ones."""

    def __init__(self, tapes: dict[tuple[str, str, str], list[Row]]) -> None:
        self._tapes = {_symbol(*names, rows): _Tape(rows) for names, rows in sorted(tapes.items())}
        self._by_native = {(symbol.exchange, symbol.native): symbol for symbol in self._tapes}
        self.quiet: Quiet = never_quiet

    def symbols(self, exchange: str) -> Sequence[Symbol]:
        return [symbol for symbol in self._tapes if symbol.exchange == exchange]

    def find(self, exchange: str, native: str) -> Symbol | None:
        return self._by_native.get((exchange, native))

    def row(self, symbol: Symbol, minute: int, now_ms: int) -> Row | None:
        return next(self.rows(symbol, minute, minute, now_ms, newest=False), None)

    def rows(self, symbol: Symbol, first: int, last: int, now_ms: int, *, newest: bool) -> Iterator[Row | None]:
        tape = self._tapes[symbol]
        found = range(bisect_left(tape.minutes, first), bisect_right(tape.minutes, min(last, now_ms // MINUTE_MS)))
        for at in reversed(found) if newest else found:
            yield self._served(symbol, tape, at)

    def _served(self, symbol: Symbol, tape: _Tape, at: int) -> Row | None:
        row, before = tape.row(at), at
        while before >= 0 and self.quiet(symbol, tape.minutes[before]) is not None:
            before -= 1
        if before == at:
            return row
        if symbol.exchange not in SERVES_QUIET:
            return None
        close = tape.row(before).close if before >= 0 else row.open
        return Row(row.open_ms, close, close, close, close, 0.0, *_UNKNOWN)


def load_recordings(folder: Path) -> RecordedMarket:
    """Raise BadInput when there is nothing to play in `folder`."""
    if not folder.is_dir():
        raise BadInput("recordings", f"There is no folder {folder}.")
    tapes: dict[tuple[str, str, str], list[Row]] = {}
    for exchange, pattern, read in _FILES:
        for path in sorted((folder / exchange).iterdir() if (folder / exchange).is_dir() else ()):
            if (match := re.match(pattern, path.name)) is not None:
                tapes.setdefault((exchange, *_currencies(match[1])), []).extend(_read(path, read))
    if not tapes:
        raise BadInput("recordings", f"{folder} holds no recorded candles of binance, bitfinex or bittrex.")
    return RecordedMarket(tapes)


def _read(path: Path, read: Callable[[str], Iterable[Row]]) -> list[Row]:
    try:
        body = path.read_bytes()
        return list(read((gzip.decompress(body) if path.suffix == ".gz" else body).decode()))
    except (OSError, EOFError, ValueError, LookupError, TypeError, msgspec.MsgspecError) as error:
        raise BadInput("recordings", f"{path} is not the recording that its name promises: {error}.") from error


def _bitfinex(text: str) -> Iterator[Row]:
    """Recorded bodies, one response a line, or one body alone."""
    bodies = [text] if text.startswith("[") else [msgspec.json.decode(line)["body"] for line in text.splitlines()]
    for body in bodies:
        for open_ms, opened, close, high, low, volume in msgspec.json.decode(body):
            yield _row(open_ms, opened, high, low, close, volume)


def _ccxt(text: str) -> Iterator[Row]:
    """`[[ms, open, high, low, close, volume], …]`, or the same as CSV with a header."""
    if text.startswith("["):
        return (_row(*row) for row in msgspec.json.decode(text))
    return (_row(*row) for row in list(csv.reader(io.StringIO(text)))[1:])


def _rest12(text: str) -> Iterator[Row]:
    """All twelve columns of klines, the open time as UTC text."""
    for line in list(csv.reader(io.StringIO(text)))[1:]:
        opened = datetime.fromisoformat(line[0]).replace(tzinfo=UTC)
        ohlcv = map(float, line[1:6])
        more = float(line[7]), int(line[8]), float(line[9]), float(line[10])
        yield Row._make((int(opened.timestamp()) * 1000, *ohlcv, *more))


def _row(open_ms: Any, *ohlcv: Any) -> Row:
    return Row._make((int(open_ms), *map(float, ohlcv), *_UNKNOWN))


#: Later files win where two tell of one minute.
_FILES: tuple[tuple[str, str, Callable[[str], Iterable[Row]]], ...] = (
    ("bitfinex", r"rest_hist_raw_1m_t([A-Z0-9:]+)_.*\.json(?:l\.gz)?$", _bitfinex),
    ("binance", r"ohlcv_ccxt_1m_([A-Z0-9]+_[A-Z0-9]+?|[A-Z]+)_\d.*\.(?:json|csv)\.gz$", _ccxt),
    ("binance", r"klines_rest12_([A-Z0-9]+)_1m_.*\.csv\.gz$", _rest12),
    ("bittrex", r"ohlcv_v3_ccxt_1m_([A-Z0-9]+_[A-Z0-9]+?)_\d.*\.json\.gz$", _ccxt),
)


def _currencies(name: str) -> tuple[str, str]:
    """`ETH_BTC`, `BTCUSDT` and `DUSK:USD` as the exchange's own two codes."""
    for separator in ("_", ":"):
        if separator in name:
            base, quote = name.split(separator)
            return base, quote
    quote = next((quote for quote in _QUOTES if name.endswith(quote)), name[-3:])
    return name.removesuffix(quote), quote


def _symbol(exchange: str, native_base: str, native_quote: str, rows: Sequence[Row]) -> Symbol:
    codes = BITFINEX_CODES if exchange == "bitfinex" else {}
    decimals = max(-int(Decimal(repr(row.close)).normalize().as_tuple().exponent) for row in rows[:500])
    return Symbol(
        exchange,
        native_name(exchange, native_base, native_quote),
        codes.get(native_base, native_base).upper(),
        codes.get(native_quote, native_quote).upper(),
        native_base,
        native_quote,
        price_decimals=max(0, decimals),
        amount_decimals=8,
    )
