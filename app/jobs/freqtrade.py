"""freqtrade's ways to say which markets, which time and which timeframes, as `fetch` takes them too.

Sources: freqtrade's documentation, "Data Downloading", and what its `download-data` accepts.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from app.jobs import asked
from app.stores.symbols import StoredSymbol
from common.errors import BadInput
from common.interval import Interval
from common.span import DAY_MS, Span, floor_minute
from common.timeframe import parse

TIMERANGE_FORM = "YYYYMMDD-YYYYMMDD"
#: Dates, seconds or milliseconds; either end may be open.
_TIMERANGE = re.compile(r"(\d{8}|\d{10}|\d{13})?-(\d{8}|\d{10}|\d{13})?")
_PATTERN = re.compile(r"[][.*+?^$(){}|\\]")


def parse_span(start: str | None, end: str | None, days: int | None, timerange: str | None, now_ms: int) -> Span:
    """The span that --start and --end, --days or --timerange mean; BadInput where several or none are said."""
    named = {"days": days, "timerange": timerange or None, "start": start or end or None}
    said = [name for name, value in named.items() if value is not None]
    if len(said) > 1:
        both = f"--{said[0]} and --{said[1]} are both there"
        raise BadInput(said[0], f"Say one of --start with --end, --days, or --timerange; {both}.")
    if days is not None:
        if days < 1:
            raise BadInput("days", f"--days {days} is no number of days; say 1 or more.")
        midnight_ms = now_ms - now_ms % DAY_MS
        return Span(max(asked.EARLIEST_MS, midnight_ms - days * DAY_MS), floor_minute(now_ms))
    if timerange:
        return _parse_timerange(timerange, now_ms)
    return asked.parse_span(start, end, now_ms)


def _parse_timerange(text: str, now_ms: int) -> Span:
    found = _TIMERANGE.fullmatch(text.strip())
    if found is None or not any(found.groups()):
        raise BadInput(
            "timerange",
            f"--timerange {text!r} is not understood; write {TIMERANGE_FORM}, such as 20240101-20240201 or"
            " 20240101-, or the same with unix seconds or milliseconds.",
            TIMERANGE_FORM,
        )
    start_ms, end_ms = (_moment(text, part) if part else None for part in found.groups())
    return asked.parse_span(
        asked.time_text(asked.EARLIEST_MS if start_ms is None else start_ms),
        asked.time_text(floor_minute(now_ms) if end_ms is None else end_ms),
        now_ms,
    )


def _moment(text: str, part: str) -> int:
    if len(part) > 8:
        return int(part) * (1000 if len(part) == 10 else 1)
    try:
        return round(datetime.strptime(part, "%Y%m%d").replace(tzinfo=UTC).timestamp() * 1000)
    except ValueError:
        raise BadInput("timerange", f"--timerange {text!r}: {part} is no date.", TIMERANGE_FORM) from None


def choose_pairs(
    pairs: Iterable[str], stored: Mapping[str, StoredSymbol], *, inactive: bool
) -> list[StoredSymbol]:
    """Markets by name in any spelling, or by a regular expression over BASE/QUOTE, each once.

    An expression finds those under trade, or all with `inactive`; a name finds its market in any case.
    """
    chosen: dict[int, StoredSymbol] = {}
    for pair in pairs:
        found = _matching(pair, stored, inactive) if _PATTERN.search(pair) else asked.named(pair, stored)
        chosen |= {one.id: one for one in found}
    return list(chosen.values())


def _matching(pair: str, stored: Mapping[str, StoredSymbol], inactive: bool) -> list[StoredSymbol]:
    try:
        pattern = re.compile(pair, re.IGNORECASE)
    except re.error as error:
        raise BadInput("pairs", f"--pairs {pair!r} is no regular expression: {error}.") from None
    found = [
        one
        for one in stored.values()
        if pattern.fullmatch(one.instrument.symbol) and (inactive or one.instrument.is_trading)
    ]
    if not found:
        raise BadInput("pairs", f"--pairs {pair!r} selects no market; `candlehouse coverage` lists what is known.")
    return found


def is_timeframe(text: str) -> bool:
    """Whether a word means a timeframe, and no market."""
    try:
        parse(text)
    except BadInput:
        return False
    return True


def others_than_minutes(timeframes: Iterable[str]) -> list[str]:
    """Those of `timeframes` that are not 1m; BadInput for what is no timeframe."""
    return [text for text in timeframes if parse(text).stored is not Interval.M1]
