"""Times as people write them: numbers since 1970 in four units, or ISO 8601; the first value tells which."""

from datetime import UTC, datetime
from typing import NamedTuple

#: Below this many it is the unit; each holds until after the year 5000, and none begins before 1973.
_UNITS = ((10**11, "seconds", 1000, 1), (10**14, "milliseconds", 1, 1), (10**17, "microseconds", 1, 1000))
_NANOSECONDS = ("nanoseconds", 1, 1_000_000)


class Moments(NamedTuple):
    """`name` says how times are written; a number times `factor`, divided by `divisor`, is milliseconds."""

    name: str
    factor: int = 0
    divisor: int = 0

    def ms(self, value: object) -> int:
        """UTC milliseconds. Raises ValueError for what is written in another way."""
        if not self.divisor:
            then = datetime.fromisoformat(str(value).strip())
            return round((then if then.tzinfo else then.replace(tzinfo=UTC)).timestamp() * 1000)
        number = value if isinstance(value, int) else float(str(value))
        return int(number * self.factor) // self.divisor


def moments_of(value: object) -> Moments:
    """How `value` is written. Raises ValueError for what is no time."""
    try:
        number = float(str(value))
    except ValueError:
        then = datetime.fromisoformat(str(value).strip())
        return Moments("ISO 8601" if then.tzinfo else "ISO 8601 without a zone, taken as UTC")
    for below, name, factor, divisor in _UNITS:
        if abs(number) < below:
            return Moments(name, factor, divisor)
    return Moments(*_NANOSECONDS)
