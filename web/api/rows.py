"""Bars as GET /api/ohlcvs answers them in JSON: by row, or by column."""

from bisect import bisect_right
from collections.abc import Sequence

import msgspec

from common.market import Bar
from common.span import Span
from common.timeframe import Timeframe
from web.deps import Stored
from web.window import Gap


class Row(msgspec.Struct, frozen=True, gc=False):
    """A bar as it is served; `time` starts its bucket. Null in a bucket without a bar, with fill=null."""

    time: int
    open: float | None
    high: float | None
    low: float | None
    close: float | None
    volume: float | None


class DetailedRow(Row, frozen=True, gc=False):
    """`partial`: not all minutes of the bucket are known, so the bar may still change."""

    quote_volume: float | None
    trades: int | None
    partial: bool


class Columns(msgspec.Struct, frozen=True, omit_defaults=True):
    """The same bars in lists of equal length; the last three with details alone."""

    time: list[int]
    open: list[float | None]
    high: list[float | None]
    low: list[float | None]
    close: list[float | None]
    volume: list[float | None]
    quote_volume: list[float | None] | None = None
    trades: list[int | None] | None = None
    partial: list[bool] | None = None


class MarketBars(msgspec.Struct, frozen=True):
    """One market of several: its names, and what would be answered for it alone."""

    exchange: str
    base_id: str
    quote_id: str
    bars: Sequence[Row] | Columns


class MarketRows(msgspec.Struct, frozen=True):
    """MarketBars in rows, as it is described."""

    exchange: str
    base_id: str
    quote_id: str
    bars: list[Row]


class MarketColumns(msgspec.Struct, frozen=True):
    """MarketBars in columns, as it is described."""

    exchange: str
    base_id: str
    quote_id: str
    bars: Columns


def names_of(market: Stored) -> tuple[str, str, str]:
    one = market.instrument
    return one.exchange, one.base, one.quote


def rows(bars: Sequence[Bar | Gap], *, mls: bool) -> list[Row]:
    """`mls`: times in milliseconds, otherwise in seconds."""
    unit_ms = 1 if mls else 1000
    return [Row(bar[0] // unit_ms, bar[1], bar[2], bar[3], bar[4], bar[5]) for bar in bars]


def detailed_rows(
    bars: Sequence[Bar | Gap], timeframe: Timeframe, known: Sequence[Span], *, mls: bool
) -> list[DetailedRow]:
    starts = [span.start_ms for span in known]
    found = []
    for row, bar in zip(rows(bars, mls=mls), bars, strict=True):
        place = bisect_right(starts, bar.open_ms) - 1
        partial = place < 0 or known[place].end_ms < timeframe.after(bar.open_ms)
        five = (row.open, row.high, row.low, row.close, row.volume)
        found.append(DetailedRow(row.time, *five, bar.quote_volume, bar.trades, partial))
    return found


def columns(found: Sequence[Row], *, details: bool) -> Columns:
    kind = DetailedRow if details else Row
    return Columns(*([getattr(row, name) for row in found] for name in kind.__struct_fields__))
