"""The rate budget of one exchange: no minute, wherever it begins, ever holds more than its weight.

It is a hash in Redis that all processes share; `lua/budget.lua` says what stands in it, and why that is right.
"""

import random
import secrets
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import NamedTuple

from redis.asyncio import Redis
from redis.commands.core import AsyncScript

from app.stores.redis_errors import translated
from common.clock import Clock
from common.errors import Blocked, Retryable
from common.ports import Priority, Spending
from fetchers.http import ANSWER_S, BLOCKED_STATUSES, PATIENCE_S

#: Looked at again after this long at the latest, since a window may also free itself early.
LONGEST_NAP_S = 10.0
#: So that many who wait do not all ask in the same instant.
JITTER_S = 0.2
#: Real seconds for which a request may be under way, and a waiting process be late for its turn.
UNDER_WAY_S, LATE_S = ANSWER_S + 10, 3

_FOLDER = Path(__file__).parent / "lua"


class BudgetState(NamedTuple):
    """How a budget stands. Weight is in the exchange's units; `live` is part of `used`.

    used, live        weight of the last minute, and what is under way
    limit             that nobody has gone beyond; 0 when nobody asked lately
    waiting_…         requests that wait for their turn
    quiet_until_ms    nobody asks before; 0 when everybody may
    reason            why: an HTTP status, or words
    """

    used: int = 0
    live: int = 0
    limit: int = 0
    waiting_live: int = 0
    waiting_history: int = 0
    quiet_until_ms: int = 0
    reason: str = ""

    @property
    def sentence(self) -> str:
        """What keeps requests back: `quiet until 2026-11-25 12:34:56 UTC (418)`; empty when nothing does."""
        if self.quiet_until_ms:
            return f"quiet until {_time_text(self.quiet_until_ms)} ({self.reason})"
        return "waiting for the limit" if self.waiting_live + self.waiting_history else ""


class _Told(NamedTuple):
    """What Redis answered last: it notices by this that it forgot."""

    epoch: str = ""
    seq: int = 0
    quiet_until_ms: int = 0
    reason: str = ""
    said: str = ""


class RedisBudget:
    """Shared by every process that asks this exchange anything from the same address (`egress`, by its name)."""

    def __init__(
        self,
        redis: Redis,
        exchange: str,
        weight_per_minute: int,
        clock: Clock,
        egress: str = "",
        weight_per_second: float | None = None,
    ) -> None:
        self._exchange = exchange
        self._keys = [budget_key(exchange, egress)]
        self._limit = weight_per_minute
        self._a_second = weight_per_second or 0
        self._clock = clock
        self._told = _Told()
        self._acquire, self._settle, self._refuse = (
            script(redis, name) for name in ("acquire", "settle", "refuse")
        )

    async def acquire(self, weight: int, priority: Priority = Priority.HISTORY) -> Spending:
        """As the port says. What is heavier than the limit waits for an empty window."""
        wanted, since_ms = Spending(secrets.token_hex(8), weight, priority), self._clock.now_ms()
        while wait_ms := await self._ask(wanted, since_ms):
            self._check_quiet(wait_ms)
            await nap(self._clock, wait_ms)
        return wanted

    async def settle(self, spending: Spending, used_weight: int | None = None) -> None:
        """Others may spend from the same address: where the server counts more than we do, it is right."""
        told = -1 if used_weight is None else used_weight
        args = (self._clock.now_ms(), spending.id, spending.weight, spending.priority, told)
        with translated():
            await self._settle(keys=self._keys, args=args)

    async def refuse(self, status: int, until_ms: int, sent_ms: int, said: str = "") -> None:
        with translated():
            await self._refuse(keys=self._keys, args=[self._clock.now_ms(), until_ms, status, said, sent_ms])

    async def _ask(self, wanted: Spending, since_ms: int) -> int:
        """Spend, or say how many milliseconds to wait."""
        real_s_ms, told = 1000 * self._clock.rate, self._told
        times = round(UNDER_WAY_S * real_s_ms), round(LONGEST_NAP_S * 1000), round(PATIENCE_S * 1000)
        asked = self._clock.now_ms(), wanted.weight, wanted.priority, self._limit, wanted.id, since_ms
        slack_ms = round(LONGEST_NAP_S * 1000 + LATE_S * real_s_ms)
        args = (*asked, *times, secrets.token_hex(4), *told, slack_ms, self._a_second)
        with translated():
            wait_ms, epoch, seq, quiet_ms, reason, said = await self._acquire(keys=self._keys, args=args)
        self._told = _Told(epoch.decode(), int(seq), int(quiet_ms), reason.decode(), said.decode())
        return int(wait_ms)

    def _check_quiet(self, wait_ms: int) -> None:
        """Raise for a quiet that is not waited out."""
        now_ms, told = self._clock.now_ms(), self._told
        if told.quiet_until_ms <= now_ms:
            return
        if told.reason in BLOCKED_STATUSES:
            raise Blocked(told.said, status=int(told.reason))
        if wait_ms > PATIENCE_S * 1000:
            until = f"quiet until {_time_text(told.quiet_until_ms)} ({told.reason})"
            raise Retryable(f"{self._exchange} is {until}.", retry_after_s=(told.quiet_until_ms - now_ms) / 1000)


async def budget_state(redis: Redis, exchange: str, clock: Clock, egress: str = "") -> BudgetState:
    """How the budget stands that everybody shares who asks this exchange from the same address."""
    with translated():
        found = await script(redis, "state")(keys=[budget_key(exchange, egress)], args=[clock.now_ms()])
    used, live, limit, waiting_live, waiting_history, quiet_until_ms, reason = found
    return BudgetState(used, live, limit, waiting_live, waiting_history, quiet_until_ms, reason.decode())


def budget_key(exchange: str, egress: str) -> str:
    return f"candlehouse:budget:{exchange}" + (f"@{egress}" if egress else "")


def script(redis: Redis, name: str) -> AsyncScript:
    """`lua/budget_{name}.lua`, after what all of them begin with."""
    return redis.register_script(_text(name))


@cache
def _text(name: str) -> str:
    return "\n".join((_FOLDER / f"{part}.lua").read_text() for part in ("budget", f"budget_{name}"))


def _time_text(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


async def nap(clock: Clock, wait_ms: int) -> None:
    """Some of the time to wait."""
    nap_s = min(wait_ms / 1000, LONGEST_NAP_S)
    await clock.sleep(nap_s + random.uniform(0, min(JITTER_S, nap_s)))
