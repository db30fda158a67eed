"""The one clock: it gives now for candles, windows, back-off, leases and limits.

A rate other than 1 makes time run faster for everybody who shares the anchor, which tests and the simulator use.
"""

import asyncio
import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clock:
    """`rate` seconds of candle time pass per real second, counted from the real moment `anchor_ms`."""

    rate: float = 1.0
    anchor_ms: int = 0

    def now_ms(self) -> int:
        """UTC milliseconds."""
        real_ms = time.time_ns() // 1_000_000
        return real_ms if self.rate == 1 else self.anchor_ms + round((real_ms - self.anchor_ms) * self.rate)

    def steady_ms(self) -> int:
        """Milliseconds since some moment, which go on evenly when the machine's time is set: for what lasts."""
        return round(time.monotonic_ns() * self.rate / 1_000_000)

    def of_real_s(self, seconds: float) -> int:
        """Milliseconds of this clock in so many real seconds, which is what servers take for their work."""
        return round(seconds * 1000 * self.rate)

    async def sleep(self, seconds: float) -> None:
        """Wait `seconds` of this clock's time."""
        await asyncio.sleep(seconds / self.rate)
