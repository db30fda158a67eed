"""The timeframes a bar can have, and where their buckets start."""

from datetime import UTC, datetime
from enum import StrEnum

from common.errors import BadInput

#: Monday 2000-01-03 00:00 UTC: every bucket of fixed width is counted from here, so weeks start on Mondays.
ORIGIN_MS = 946_857_600_000

_UNIT_MS = {"m": 60_000, "h": 3_600_000, "D": 86_400_000}


class Interval(StrEnum):
    """The stored timeframes: the minute, and the eleven rolled up from it."""

    M1 = "1m"
    M5 = "5m"
    M15 = "15m"
    M30 = "30m"
    H1 = "1h"
    H3 = "3h"
    H6 = "6h"
    H12 = "12h"
    D1 = "1D"
    D7 = "7D"
    D14 = "14D"
    MONTH = "1M"

    @classmethod
    def parse(cls, text: str) -> "Interval":
        """Raise BadInput with the list of what is allowed when `text` names no stored timeframe."""
        try:
            return cls(text)
        except ValueError:
            allowed = ", ".join(cls)
            raise BadInput("interval", f"Unknown interval {text!r}; use one of {allowed}.", allowed) from None

    @property
    def ms(self) -> int | None:
        """The width in milliseconds; None for the calendar month."""
        return None if self is Interval.MONTH else int(self.value[:-1]) * _UNIT_MS[self.value[-1]]

    def floor(self, ms: int) -> int:
        """The start of the bucket that `ms` falls in."""
        if self.ms is None:
            return _month_start(ms, 0)
        return ms - (ms - ORIGIN_MS) % self.ms

    def after(self, ms: int) -> int:
        """The start of the bucket that follows the one `ms` falls in."""
        return _month_start(ms, 1) if self.ms is None else self.floor(ms) + self.ms

    def back(self, ms: int, bars: int) -> int:
        """The start of the bucket `bars` buckets before the one `ms` falls in."""
        if self.ms is None:
            return _month_start(ms, -bars)
        return self.floor(ms) - bars * self.ms


#: The eleven that are rolled up, finest first.
ROLLUPS = tuple(Interval)[1:]


def _month_start(ms: int, months: int) -> int:
    then = datetime.fromtimestamp(ms / 1000, UTC)
    count = then.year * 12 + then.month - 1 + months
    return int(datetime(count // 12, count % 12 + 1, 1, tzinfo=UTC).timestamp() * 1000)
