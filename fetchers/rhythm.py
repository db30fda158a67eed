"""How often each market is heard of, and when its silence is no longer like it.

A market that trades in a share q of its minutes is silent for n of them with chance (1 - q) ** n, so a quiet pair
may rest for hours, while a busy one that says nothing for some minutes has been forgotten by its exchange.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from common.span import MINUTE_MS

#: A silence whose chance is smaller is believed to be none of the market's own.
UNLIKELY = math.log(1e-6)
#: Minutes after which what was heard counts half, so that a night is not measured by the day before.
HALF_LIFE = 180
#: Minutes without a candle that each market is credited with in advance: nobody is judged before he is known.
PRIOR = 10.0
#: Whole minutes of silence before anybody is judged, before one that was never heard of is, and before all are of
#: whom none was.
LEAST, NEVER_HEARD, NONE_HEARD = 2, 3, 15

_DECAY = 0.5 ** (1 / HALF_LIFE)


@dataclass(slots=True)
class _Beats:
    """`active` of `passed` minutes had a candle, both decayed; `minute` is the last that had one."""

    minute: int
    active: float = 0.0
    passed: float = 0.0
    heard: bool = False
    #: Silent minutes when that was last told; told again only after twice as many.
    told: int = 0

    def hear(self, minute: int) -> None:
        decay = _DECAY ** (minute - self.minute)
        self.active = self.active * decay + 1
        self.passed = self.passed * decay + (1 - decay) / (1 - _DECAY)
        self.minute, self.heard, self.told = minute, True, 0

    def chance(self) -> float:
        """The logarithm of the chance that a minute passes without a candle."""
        return math.log1p(-self.active / (self.passed + PRIOR + 1))


class Rhythm:
    """Of some markets, by key. Pure: the time is told, in milliseconds."""

    def __init__(self) -> None:
        self._by_key: dict[str, _Beats] = {}
        self._minute = 0

    def expect(self, keys: Iterable[str], now_ms: int) -> None:
        """These are subscribed to from now on."""
        for key in keys:
            self._by_key.setdefault(key, _Beats(now_ms // MINUTE_MS))

    def forget(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._by_key.pop(key, None)

    def begin(self, now_ms: int) -> None:
        """A new connection: nobody could be heard before."""
        self._minute = now_ms // MINUTE_MS
        for beats in self._by_key.values():
            beats.passed *= _DECAY ** (self._minute - beats.minute)
            beats.active *= _DECAY ** (self._minute - beats.minute)
            beats.minute, beats.told = self._minute, 0

    def hear(self, key: str, now_ms: int) -> None:
        """A candle came."""
        minute = self._minute = now_ms // MINUTE_MS
        beats = self._by_key.get(key)
        if beats is not None and (beats.minute < minute or not beats.heard):
            beats.hear(minute)

    def is_dead(self, now_ms: int) -> bool:
        """Whether it is past belief that none of them had a candle since the last one of any."""
        silent = now_ms // MINUTE_MS - self._minute - 1
        if silent < 1 or not self._by_key:
            return False
        if not any(beats.heard for beats in self._by_key.values()):
            return silent >= NONE_HEARD
        return silent * sum(beats.chance() for beats in self._by_key.values()) < UNLIKELY

    def stale(self, now_ms: int) -> dict[str, int]:
        """The markets whose silence is no longer like them, or that were never heard of, and for how long.

        Each is told now and then while it goes on.
        """
        minute, found = now_ms // MINUTE_MS, dict[str, int]()
        for key, beats in self._by_key.items():
            silent = minute - beats.minute - 1
            if silent < max(LEAST, 2 * beats.told):
                continue
            if silent * beats.chance() < UNLIKELY if beats.heard else silent >= NEVER_HEARD:
                beats.told = silent
                found[key] = silent * MINUTE_MS
        return found
