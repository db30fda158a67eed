"""How much each key asked lately, so that none takes more than its share."""

import math
import time
from collections.abc import Callable

from app.keys import Key


class Rates:
    """A bucket a key: full it holds a minute's requests, and it fills again within a minute."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._left: dict[int, tuple[float, float]] = {}

    def wait_s(self, key: Key) -> int:
        """Take one request; 0, or whole seconds until there will be one, and then none is taken."""
        now_s, a_second = self._now_s(), key.per_minute / 60
        left, since_s = self._left.get(key.id, (float(key.per_minute), now_s))
        left = min(key.per_minute, left + (now_s - since_s) * a_second)
        taken = 1 if left >= 1 else 0
        self._left[key.id] = left - taken, now_s
        return 0 if taken else math.ceil((1 - left) / a_second)
