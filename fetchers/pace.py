"""How often connections to an exchange are opened."""

from collections import deque

from common.clock import Clock

#: Added to the minute within which connections are counted, for the way to the exchange takes its time.
MARGIN_MS = 1000


class Pace:
    """Turns for new connections, at most `per_minute` in any minute; shared by all shards of an exchange."""

    def __init__(self, per_minute: int, clock: Clock) -> None:
        self._per_minute = self._most = per_minute
        self._clock = clock
        self._turns: deque[int] = deque(maxlen=per_minute)

    def divide(self, processes: int) -> None:
        """So many processes have to make do with `per_minute` together."""
        self._most = max(1, self._per_minute // processes)

    async def turn(self) -> None:
        now_ms = self._clock.steady_ms()
        is_full = len(self._turns) >= self._most
        turn_ms = max(now_ms, self._turns[-self._most] + 60_000 + MARGIN_MS) if is_full else now_ms
        self._turns.append(turn_ms)
        await self._clock.sleep((turn_ms - now_ms) / 1000)
