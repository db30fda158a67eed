"""Any timeframe: so many minutes, days or months, in a time zone, counted from a chosen moment."""

import re
import zoneinfo
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from enum import StrEnum
from functools import cache

from common.errors import BadInput
from common.interval import ORIGIN_MS, Interval
from common.span import MINUTE_MS

ALLOWED = "a number of minutes, or a count with m h D W M Q Y, from one minute to ten years: 60 7m 4h 1D 1W 3M 1Y"
_SPELLING = re.compile(r"\s*([0-9]{0,7})\s*([A-Za-z]*(?:-[A-Za-z]{3})?)\s*")
_OFFSET = re.compile(r"([+-])([01][0-9]|2[0-3]):([0-5][0-9])")
_MONDAY = datetime(2000, 1, 3)  # noqa: DTZ001 - midnight of whichever zone
_JANUARY = datetime(2000, 1, 1)  # noqa: DTZ001


class Unit(StrEnum):
    MINUTE = "minute"
    DAY = "day"
    MONTH = "month"


#: Ten years of each.
_MOST = {Unit.MINUTE: 5_256_000, Unit.DAY: 3650, Unit.MONTH: 120}
#: Spellings in which the case of letters decides: a minute or a month.
_EXACT = {"": (1, Unit.MINUTE), "m": (1, Unit.MINUTE), **dict.fromkeys(("M", "MS", "ME"), (1, Unit.MONTH))}
#: Spellings of ccxt, Binance, TradingView, pandas and people, in lower case.
_ANY_CASE = {
    spelling: meaning
    for spellings, meaning in [
        ("t min mins minute minutes", (1, Unit.MINUTE)),
        ("h hr hrs hour hours", (60, Unit.MINUTE)),
        ("d day days", (1, Unit.DAY)),
        ("w w-mon w-sun week weeks", (7, Unit.DAY)),
        ("mo mon month months", (1, Unit.MONTH)),
        ("q qs qe quarter quarters", (3, Unit.MONTH)),
        ("y ys ye year years", (12, Unit.MONTH)),
    ]
    for spelling in spellings.split()
}
_STORED = {
    (Unit.MONTH, 1): Interval.MONTH,
    **{(Unit.MINUTE, stored.ms // MINUTE_MS): stored for stored in Interval if stored.ms},
}


@dataclass(frozen=True, slots=True)
class Timeframe:
    """`zone` matters for days and months alone, whose buckets start when its clocks show the same time again.

    Without `origin_ms` minutes and days are counted from Monday 2000-01-03 00:00, months from January 2000.
    """

    count: int
    unit: Unit
    zone: str = "UTC"
    origin_ms: int | None = None

    def __str__(self) -> str:
        for size, letter, unit in _LETTERS:
            if unit is self.unit and self.count % size == 0:
                return f"{self.count // size}{letter}"
        raise AssertionError(self.unit)

    @property
    def stored(self) -> Interval | None:
        """The stored timeframe that has the very same buckets."""
        if self.origin_ms is not None or (self.unit is not Unit.MINUTE and self.zone != "UTC"):
            return None
        unit, count = (Unit.MINUTE, self.count * 1440) if self.unit is Unit.DAY else (self.unit, self.count)
        return _STORED.get((unit, count))

    def floor(self, ms: int) -> int:
        """The start of the bucket that `ms` falls in."""
        return self._start(self._index(ms))

    def after(self, ms: int) -> int:
        """The start of the bucket that follows the one `ms` falls in."""
        return self._start(self._index(ms) + 1)

    def back(self, ms: int, bars: int) -> int:
        """The start of the bucket `bars` buckets before the one `ms` falls in, or of 1970's first."""
        return self._start(max(self._index(ms) - bars, self._index(0)))

    def _index(self, ms: int) -> int:
        """How many buckets start after the origin's and up to `ms`."""
        if self.unit is Unit.MINUTE:
            return (ms - self._fixed_origin_ms) // (self.count * MINUTE_MS)
        local, origin = _local(ms, self._tzinfo), self._local_origin
        if self.unit is Unit.DAY:
            index = (local - origin) // timedelta(days=self.count)
        else:
            shifted = local - (origin - origin.replace(day=1, hour=0, minute=0))
            index = (_months(shifted) - _months(origin)) // self.count
        while self._start(index) > ms:
            index -= 1
        while self._start(index + 1) <= ms:  # clocks that were put back show a time again
            index += 1
        return index

    def _start(self, index: int) -> int:
        if self.unit is Unit.MINUTE:
            return self._fixed_origin_ms + index * self.count * MINUTE_MS
        origin = self._local_origin
        if self.unit is Unit.DAY:
            return _first_ms(origin + timedelta(days=index * self.count), self._tzinfo)
        month = _months(origin) + index * self.count
        return _first_ms(origin.replace(year=month // 12, month=month % 12 + 1), self._tzinfo)

    @property
    def _fixed_origin_ms(self) -> int:
        return ORIGIN_MS if self.origin_ms is None else self.origin_ms

    @property
    def _tzinfo(self) -> tzinfo:
        return _known_zone(self.zone)

    @property
    def _local_origin(self) -> datetime:
        if self.origin_ms is None:
            return _MONDAY if self.unit is Unit.DAY else _JANUARY
        return _local(self.origin_ms, self._tzinfo)


_LETTERS = [
    (60, "h", Unit.MINUTE),
    (1, "m", Unit.MINUTE),
    (1, "D", Unit.DAY),
    (12, "Y", Unit.MONTH),
    (1, "M", Unit.MONTH),
]


def parse(text: str, zone: str | None = None, origin_ms: int | None = None) -> Timeframe:
    """Raise BadInput, which says what is allowed, for a spelling, a zone or an origin that cannot be."""
    spelled = _SPELLING.fullmatch(text)
    digits, word = spelled.groups() if spelled else ("", "")
    size, unit = _EXACT.get(word) or _ANY_CASE.get(word.lower()) or (0, Unit.MINUTE)
    count = int(digits) * size if digits else size if word else 0
    if not 0 < count <= _MOST[unit]:
        raise BadInput("interval", f"Unknown interval {text!r}; use {ALLOWED}.", ALLOWED)
    zone = re.sub("^ ", "+", zone or "UTC")  # what an unescaped + of an address becomes
    try:
        _known_zone(zone)
    except (LookupError, ValueError, OSError):
        allowed = "a name such as Europe/Berlin, or an offset such as +08:00"
        raise BadInput("tz", f"Unknown tz {zone!r}; use {allowed}.", allowed) from None
    found = Timeframe(count, unit, zone, origin_ms)
    if origin_ms is not None:
        _check_origin(found, origin_ms)
    return found


def _check_origin(timeframe: Timeframe, origin_ms: int) -> None:
    if origin_ms % MINUTE_MS:
        raise BadInput("origin", f"origin must start a minute, and {origin_ms} does not.", f"whole {MINUTE_MS} ms")
    if timeframe.unit is Unit.MONTH and timeframe._local_origin.day > 28:
        raise BadInput(
            "origin", "Months can be counted from a day of 1 to 28.", "a moment on one of the days 1 to 28"
        )


@cache
def _known_zone(zone: str) -> tzinfo:
    if offset := _OFFSET.fullmatch(zone):
        sign = -1 if offset[1] == "-" else 1
        return timezone(sign * timedelta(hours=int(offset[2]), minutes=int(offset[3])))
    if zone == "UTC":
        return UTC
    if zone not in _zone_names():
        raise LookupError(zone)
    return zoneinfo.ZoneInfo(zone)


@cache
def _zone_names() -> set[str]:
    return zoneinfo.available_timezones() - {"localtime", "Factory"}


def _local(ms: int, zone: tzinfo) -> datetime:
    return (datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=ms)).astimezone(zone).replace(tzinfo=None)


def _first_ms(local: datetime, zone: tzinfo) -> int:
    """When clocks first show `local`; where they skip it, the moment at which they skip."""
    return round(local.replace(tzinfo=zone).timestamp() * 1000)


def _months(moment: datetime) -> int:
    return moment.year * 12 + moment.month - 1
