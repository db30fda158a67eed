"""Which minutes an exchange is asked for at once through ccxt, and what of the answer can be believed.

ccxt's `since`, `limit` and `until` mean something else on each exchange: a bound may be inclusive or not, be left
out, or be passed over. So a page asks for a minute more on either side than it speaks for, and an answer has to
prove that it holds the whole page.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from common.errors import Malformed, Rejected
from common.market import Instrument
from common.span import DAY_MS, MINUTE_MS, Span, floor_minute
from fetchers import answers
from fetchers.by_ccxt.rest import Asking, asked

#: Rows of a page where ccxt does not know how many the exchange serves; fewer no exchange is known to.
FEWEST_ROWS = 100
#: Rows of a page at most, however many there might be.
MOST_ROWS = 5000
#: Limits of pages are round numbers, and sometimes one row more.
_ROUND = 50
#: Names of parameters that ask for a number of rows.
_COUNT = re.compile("limit|size|count")
#: A newest row that is no older than this is the newest there is.
_NOW_MS = 3 * MINUTE_MS


@dataclass(frozen=True, slots=True)
class Bounds:
    """What of a page ccxt tells the exchange; `rows` is how many the exchange serves at once at most."""

    rows: int
    has_start: bool
    has_end: bool
    takes_until: bool

    @property
    def minutes(self) -> int:
        """The longest page; one with both ends gives a row on either side away."""
        return self.rows if self.has_start and not self.has_end else self.rows - 2

    @property
    def reach_minutes(self) -> int | None:
        return None if self.has_start or self.has_end else self.rows


Ask = Callable[[int, int, int | None], Any]


def bounds_of(client: Any, ask: Ask, name: str) -> Bounds:
    """Found by asking a few times, without I/O: what does not change the request the exchange is not told."""
    rows = min(_documented_rows(client) or FEWEST_ROWS, MOST_ROWS)
    start_ms = floor_minute(client.now_ms) - 30 * DAY_MS
    until_ms = start_ms + rows // 2 * MINUTE_MS

    def form(start_ms: int, rows: int, until_ms: int | None) -> tuple[str, str | None]:
        asking: Asking = asked(lambda: ask(start_ms, rows, until_ms), name)
        return asking.url, asking.body

    until = form(start_ms, rows, until_ms)
    try:
        plain = form(start_ms, rows, None)
    except Rejected:  # without an end some cannot be asked
        return Bounds(rows, form(start_ms - DAY_MS, rows, until_ms) != until, True, True)
    is_passed_on = f"until={until_ms}" in until[0] and "until=" not in plain[0]
    takes_until = until != plain and not is_passed_on
    has_start = form(start_ms - DAY_MS, rows, until_ms if takes_until else None) != (
        until if takes_until else plain
    )
    rows = _shortened(plain, rows, start_ms)
    # A number of rows is an end only after a beginning.
    has_end = takes_until or (has_start and form(start_ms, rows - 1, None) != plain)
    return Bounds(rows, has_start, has_end, takes_until)


def _shortened(form: tuple[str, str | None], rows: int, start_ms: int) -> int:
    """How many rows are asked for in truth: ccxt shortens what it knows to be too much for the exchange."""
    params = parse_qsl(urlsplit(form[0]).query)
    told = [int(value) for name, value in params if _COUNT.search(name.lower()) and value.isdecimal()]
    seconds = [int(value[:10]) for _, value in params if value.isdecimal() and len(value) in (10, 13)]
    ends = [second for second in seconds if second * 1000 > start_ms + MINUTE_MS]
    told += [(max(ends) * 1000 - start_ms) // MINUTE_MS + 1] if ends else []
    return min([rows, *(count for count in told if count > 2)])


def _documented_rows(client: Any) -> int | None:
    spot = (client.features or {}).get("spot") or {}
    candles = spot.get("fetchOHLCV") if isinstance(spot, dict) else None
    limit = candles.get("limit") if isinstance(candles, dict) else None
    return limit if isinstance(limit, int) and limit > 2 else None


class Pages:
    """The pages of one exchange, as long as it lets them be.

    An answer of a round number of rows that lacks some may have been cut short there. Then its minutes are asked
    for again in pages of that length, and only if one of those is full was it so, for all pages.
    """

    def __init__(self, bounds: Bounds, name: str) -> None:
        self._bounds = bounds
        self._name = name
        self._minutes = bounds.minutes
        self._doubted: dict[str, tuple[Span, int]] = {}
        self._asked_ms = 0

    def span(self, instrument: Instrument, wanted: Span, now_ms: int) -> Span:
        self._asked_ms = now_ms
        minutes = self._minutes
        if (doubted := self._doubted.get(instrument.key)) and doubted[0].has(wanted.end_ms - 1):
            minutes = min(minutes, doubted[1])
        span = answers.newest(wanted, minutes)
        if self._bounds.has_start and not self._bounds.has_end:
            # Such exchanges serve files of a day.
            span = Span(max(span.start_ms, (span.end_ms - 1) // DAY_MS * DAY_MS), span.end_ms)
        return span

    def window(self, span: Span) -> tuple[int, int, int | None]:
        """`since`, `limit` and `until` for ccxt."""
        bounds = self._bounds
        last_ms = floor_minute(span.end_ms - 1)
        is_wider = not bounds.has_start or bounds.has_end
        start_ms = span.start_ms - MINUTE_MS if is_wider else span.start_ms
        end_ms = last_ms + MINUTE_MS if is_wider else last_ms
        return start_ms, (end_ms - start_ms) // MINUTE_MS + 1, end_ms if bounds.takes_until else None

    def check(self, instrument: Instrument, span: Span, times: Sequence[int]) -> None:
        """Raises Rejected or Malformed when these rows, ascending, cannot stand for all of `span`."""
        if not times or times[0] <= span.start_ms:
            is_whole = not times or times[-1] >= floor_minute(span.end_ms - 1)
            if not is_whole:
                self._doubt(instrument, span, len(times))
            return
        rows = self.window(span)[1]
        is_newest = times[-1] >= self._asked_ms - _NOW_MS and len(times) >= rows
        if is_newest or self._bounds.reach_minutes is not None:
            reach = datetime.fromtimestamp(times[0] / 1000, UTC)
            raise Rejected(
                f"{self._name} serves only its newest minutes here, which reach back to {reach:%Y-%m-%d %H:%M} UTC"
            )
        self._doubt(instrument, span, len(times))

    def _doubt(self, instrument: Instrument, span: Span, rows: int) -> None:
        narrower, doubted = rows - 2, self._doubted.get(instrument.key)
        if rows % _ROUND > 1 or narrower < _ROUND - 2 or narrower >= span.minutes() or narrower >= self._minutes:
            return
        if doubted and doubted[0].has(span.start_ms) and doubted[1] <= narrower:
            return
        self._doubted[instrument.key] = span, narrower
        raise Malformed(f"{self._name} page that may be cut short", f"{rows} rows of {span.minutes()} minutes")

    def learn(self, instrument: Instrument, span: Span, rows: int) -> None:
        """`rows` were served of `span`: if that is every minute of a doubted page, the doubt was right."""
        doubted = self._doubted.get(instrument.key)
        if doubted and doubted[0].has(span.start_ms) and rows >= span.minutes() == doubted[1]:
            self._minutes = min(self._minutes, doubted[1])
