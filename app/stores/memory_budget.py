"""The rate budget of one exchange within one process, for programs without a Redis; it knows no priorities."""

import secrets
from math import ceil
from typing import NamedTuple

from app.stores.budget import LONGEST_NAP_S, nap
from common.clock import Clock
from common.errors import Retryable
from common.ports import Priority, Spending
from common.span import floor_minute
from fetchers.http import PATIENCE_S

#: As in lua/budget.lua.
WINDOW_MS = 62_000


class _Spent(NamedTuple):
    weight: int
    #: None while it is under way.
    answered_ms: int | None


class MemoryBudget:
    """The same promises as RedisBudget's, as far as one process can keep them."""

    def __init__(self, weight_per_minute: int, clock: Clock, weight_per_second: float | None = None) -> None:
        self._limit = weight_per_minute
        self._a_second = weight_per_second
        self._paced_ms = 0
        self._clock = clock
        self._spent: dict[str, _Spent] = {}
        self._quiet_until_ms = 0

    async def acquire(self, weight: int, priority: Priority = Priority.HISTORY) -> Spending:
        wanted = Spending(secrets.token_hex(8), weight, priority)
        while wait_ms := self._ask(wanted):
            await nap(self._clock, wait_ms)
        return wanted

    async def settle(self, spending: Spending, used_weight: int | None = None) -> None:
        now_ms = self._clock.now_ms()
        self._spent[spending.id] = _Spent(spending.weight, now_ms)
        ours = sum(
            one.weight
            for one in self._spent.values()
            if one.answered_ms is None or floor_minute(one.answered_ms) == floor_minute(now_ms)
        )
        if used_weight is not None and used_weight > ours:
            self._spent[secrets.token_hex(8)] = _Spent(used_weight - ours, now_ms)

    async def refuse(self, status: int, until_ms: int, sent_ms: int, said: str = "") -> None:
        self._quiet_until_ms = max(self._quiet_until_ms, until_ms)

    def _ask(self, wanted: Spending) -> int:
        now_ms = self._clock.now_ms()
        quiet_ms = self._quiet_until_ms - now_ms
        if quiet_ms > PATIENCE_S * 1000:
            raise Retryable(
                f"The exchange wants quiet for {quiet_ms / 1000:.0f} s.", retry_after_s=quiet_ms / 1000
            )
        if quiet_ms > 0:
            return quiet_ms
        self._spent = {
            name: one
            for name, one in self._spent.items()
            if one.answered_ms is None or abs(one.answered_ms - now_ms) < WINDOW_MS  # the clock may be set back
        }
        used = sum(one.weight for one in self._spent.values())
        if not used or used + wanted.weight <= self._limit:
            if self._a_second and 0 < (wait_ms := self._paced_ms - now_ms) <= WINDOW_MS:
                return wait_ms
            if self._a_second:
                self._paced_ms = now_ms + ceil(1000 * wanted.weight / self._a_second)
            self._spent[wanted.id] = _Spent(wanted.weight, None)
            return 0
        answered = sorted(one.answered_ms for one in self._spent.values() if one.answered_ms is not None)
        return answered[0] + WINDOW_MS - now_ms if answered else round(LONGEST_NAP_S * 1000)
