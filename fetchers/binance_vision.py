"""Binance's public archives of spot candles: which files there are, and what their text says.

Source: github.com/binance/binance-public-data (README). Below `data/spot/{monthly|daily}/klines/BTCUSDT/1m/` lie
`BTCUSDT-1m-2024-01.zip` and `BTCUSDT-1m-2024-01-31.zip`, each beside a `….zip.CHECKSUM` of `<sha256>  <file>`. A
day appears when it is over, a month on the first Monday after it; a file may be issued again with other content.

A zip holds one CSV of REST's twelve columns, one line a minute, oldest first: open time, open, high, low, close,
volume, close time, quote volume, trades, taker volumes, ignore. Newer files may start with the columns' names.
Times are milliseconds, from 2025-01-01 on microseconds (binance-public-data issue 386).
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from common.errors import Malformed
from common.interval import Interval
from common.span import DAY_MS, Span
from fetchers import answers
from fetchers.answers import Amount, Count, Price

URL = "https://data.binance.vision"

#: A month's file appears so long after the month at the latest; an older month without one has none.
MONTHLY_WITHIN_MS = 14 * DAY_MS

#: Milliseconds reach this in the year 5138; microseconds passed it in 1973.
_MICROSECONDS_FROM = 10**14

_DIGEST = re.compile(rb"([0-9a-fA-F]{64})[ \t]+\*?(\S+)\s*")


class Archive(NamedTuple):
    """One file: the minutes of a day, or of a month, of the market that Binance calls `native`."""

    native: str
    span: Span

    @property
    def is_daily(self) -> bool:
        return self.span.end_ms - self.span.start_ms == DAY_MS

    @property
    def name(self) -> str:
        """`BTCUSDT-1m-2024-01.zip`."""
        then = datetime.fromtimestamp(self.span.start_ms / 1000, UTC)
        return f"{self.native}-1m-{then:%Y-%m-%d}.zip" if self.is_daily else f"{self.native}-1m-{then:%Y-%m}.zip"

    @property
    def path(self) -> str:
        """Below the host."""
        period = "daily" if self.is_daily else "monthly"
        return f"data/spot/{period}/klines/{self.native}/1m/{self.name}"


def months(native: str, span: Span) -> list[Archive]:
    """The monthly files that `span` touches, newest first."""
    return [Archive(native, month) for month in _buckets(Interval.MONTH, span)][::-1]


def days(month: Archive, span: Span) -> list[Archive]:
    """The daily files of a month that `span` touches, newest first."""
    return [Archive(month.native, day) for day in _buckets(Interval.D1, month.span.clip(span))][::-1]


def _buckets(interval: Interval, span: Span) -> Iterator[Span]:
    start_ms = interval.floor(span.start_ms)
    while start_ms < span.end_ms:
        end_ms = interval.after(start_ms)
        yield Span(start_ms, end_ms)
        start_ms = end_ms


def parse_checksum(body: bytes, name: str) -> str:
    """The sha256, in lower case, that a CHECKSUM file gives for the file `name`."""
    found = _DIGEST.fullmatch(body)
    if not found or found[2].decode(errors="replace") != name:
        raise Malformed("binance archive's CHECKSUM", f"{body[:120]!r} is not a sha256 and {name}")
    return found[1].decode().lower()


class _Row(msgspec.Struct, array_like=True, gc=False):
    open_time: int
    open: Price
    high: Price
    low: Price
    close: Price
    volume: Amount
    close_time: int
    quote_volume: Amount
    trades: Count


_rows = msgspec.json.Decoder(list[_Row])

#: open_ms, open, high, low, close, volume, quote volume, trades
Values = tuple[int, float, float, float, float, float, float, int]


def parse_lines(lines: bytes) -> list[Values]:
    """The values of whole lines, each with its line feed, in the order of common.market.Candle from `open_ms` on.

    Raises Malformed for a line that is none, and for a candle outside its own range. A CSV's numbers are JSON's,
    so the lines are decoded as one JSON array, ten times as fast as one by one.
    """
    joined = lines.replace(b"\r", b"").strip(b"\n").replace(b"\n", b"],[")
    rows = answers.decode(_rows, b"[[" + joined + b"]]" if joined else b"[]", "binance archive's line")
    unit = 1000 if rows and rows[0].open_time >= _MICROSECONDS_FROM else 1
    values = [
        (r.open_time // unit, r.open, r.high, r.low, r.close, r.volume, r.quote_volume, r.trades)
        for r in rows
        if r.low <= r.open <= r.high and r.low <= r.close <= r.high
    ]
    if len(values) != len(rows):
        wrong = next(r for r in rows if not (r.low <= r.open <= r.high and r.low <= r.close <= r.high))
        raise Malformed("binance archive's candle outside its own range", f"open time {wrong.open_time}")
    return values
