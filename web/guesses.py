"""How many wrong tokens came lately, so that guessing becomes slow."""

import math
import time
from collections import deque
from collections.abc import Callable

#: So many wrong tokens in so many seconds, and the next has to wait.
MOST, WITHIN_S = 10, 60.0


class Guesses:
    """From anywhere, all counted together: behind a bridge or a proxy every peer has the same address."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._wrong: deque[float] = deque(maxlen=MOST)

    def add(self) -> None:
        self._wrong.append(self._now_s())

    def wait_s(self) -> int:
        """Whole seconds until another may be tried; 0 when it may be now."""
        if len(self._wrong) < MOST:
            return 0
        return max(0, math.ceil(self._wrong[0] + WITHIN_S - self._now_s()))
