"""How fast a replay's time passes."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

#: Nobody waits longer than this without looking at the time again.
LONGEST_SLEEP_S = 3600.0


class Pace:
    """`speed` seconds of the replay pass in a real one; None lets everything go at once."""

    def __init__(self, speed: float | None, start_ms: int, now_s: Callable[[], float] = time.monotonic) -> None:
        self._speed = speed
        self._now_s = now_s
        #: Where the replay was, and when.
        self._from_ms, self._from_s = float(start_ms), now_s()
        self._changed = asyncio.Event()
        #: Set unless it is paused.
        self.going = asyncio.Event()
        self.going.set()

    @property
    def is_free(self) -> bool:
        """Whether nothing has to be waited for."""
        return self._speed is None

    def pause(self) -> None:
        self._from_ms = self._at_ms()
        self.going.clear()
        self._changed.set()

    def go_on(self, speed: float | None) -> None:
        self._from_ms, self._from_s = self._at_ms(), self._now_s()
        self._speed = speed
        self.going.set()
        self._changed.set()

    def pass_by(self, at_ms: int) -> None:
        """What was let go at once reached until there."""
        if self._speed is None:
            self._from_ms = max(self._from_ms, float(at_ms))

    async def until(self, at_ms: int) -> None:
        """Wait until the replay is there."""
        while True:
            self._changed.clear()
            await self.going.wait()
            if self._speed is None:
                self.pass_by(at_ms)
                return
            left_s = (at_ms - self._at_ms()) / 1000 / self._speed
            if left_s <= 0:
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left_s, LONGEST_SLEEP_S)):
                    await self._changed.wait()

    def _at_ms(self) -> float:
        if not self.going.is_set() or self._speed is None:
            return self._from_ms
        return self._from_ms + (self._now_s() - self._from_s) * self._speed * 1000
