"""Which connections of a feed are open, which are to come back, and what was missed meanwhile."""

from common.span import floor_minute


class Connections:
    """By their numbers. Times are UTC milliseconds."""

    def __init__(self) -> None:
        self.up: set[int] = set()
        #: Those that are to come back, and when they were last heard.
        self._broken: dict[int, int] = {}
        #: Those that have brought no candle yet, and since when.
        self.unheard: dict[int, int] = {}

    def begin(self, number: int, now_ms: int) -> int | None:
        """It is open; since when nothing was heard, where it was lost before."""
        self.up.add(number)
        self.unheard[number] = now_ms
        return self._broken.pop(number, None)

    def hear_first(self, number: int, now_ms: int) -> bool:
        """Its first candle came; whether a minute ended since it was opened, which was missed as well."""
        return floor_minute(self.unheard.pop(number)) < floor_minute(now_ms)

    def lose(self, number: int, since_ms: int | None) -> bool:
        """It ended, last heard at `since_ms`; whether it had been open at all."""
        was_up = number in self.up
        self.up.discard(number)
        self.unheard.pop(number, None)
        if since_ms is not None:
            self._broken.setdefault(number, since_ms)
        return was_up

    def leave(self, number: int) -> None:
        """It is closed, and will not come back."""
        for kept in (self._broken, self.unheard):
            kept.pop(number, None)
        self.up.discard(number)
