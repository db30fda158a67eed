"""The rate budget of one exchange: no window of a minute ever holds more than its weight.

What was spent is kept by the second of the shared Clock. A request passes when it and the spending of the last 61
seconds fit the limit; a window of 60 s touches at most 61 of those seconds, so none is ever overspent.
"""

import random

from redis.asyncio import Redis

from app.stores.redis_errors import translated
from common.clock import Clock

SECONDS = 61
#: Looked at again after this long at the latest, since a window may also free itself early.
LONGEST_NAP_S = 10.0
#: So that many who wait do not all ask in the same instant.
JITTER_S = 0.2

_KEPT_S = 2 * SECONDS

_ACQUIRE = """
local key, now, weight, limit, ttl = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local second, used, paused, spent = math.floor(now / 1000), 0, 0, {}
local fields = redis.call('HGETALL', key)
for i = 1, #fields, 2 do
  local at, value = tonumber(fields[i]), tonumber(fields[i + 1])
  if not at then
    paused = value
  elseif at <= second - 61 then
    redis.call('HDEL', key, fields[i])
  else
    used = used + value
    spent[#spent + 1] = {at, value}
  end
end
if paused > now then return paused - now end
if used == 0 or used + weight <= limit then
  redis.call('HINCRBY', key, second, weight)
  redis.call('PEXPIRE', key, ttl)
  return 0
end
table.sort(spent, function(a, b) return a[1] < b[1] end)
local excess, free = used + weight - limit, second
for _, one in ipairs(spent) do
  excess, free = excess - one[2], one[1] + 61
  if excess <= 0 then break end
end
return free * 1000 - now
"""

_REPORT = """
local key, now, told, ttl = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local second, ours = math.floor(now / 1000), 0
local fields = redis.call('HGETALL', key)
for i = 1, #fields, 2 do
  local at = tonumber(fields[i])
  if at and math.floor(at / 60) == math.floor(second / 60) then ours = ours + tonumber(fields[i + 1]) end
end
if told > ours then
  redis.call('HINCRBY', key, second, told - ours)
  redis.call('PEXPIRE', key, ttl)
end
"""

_PAUSE = """
local key, until_ms, ttl = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])
local paused = tonumber(redis.call('HGET', key, 'paused_until') or '0')
if until_ms > paused then redis.call('HSET', key, 'paused_until', until_ms) end
if ttl > redis.call('PTTL', key) then redis.call('PEXPIRE', key, ttl) end
"""


class RedisBudget:
    """Shared by every process that asks this exchange anything."""

    def __init__(self, redis: Redis, exchange: str, weight_per_minute: int, clock: Clock) -> None:
        self._keys = [f"candlehouse:budget:{exchange}"]
        self._limit = weight_per_minute
        self._clock = clock
        self._acquire, self._report, self._pause = map(redis.register_script, (_ACQUIRE, _REPORT, _PAUSE))

    async def acquire(self, weight: int) -> None:
        """Return when `weight` may be spent. What is heavier than the limit waits for an empty window."""
        while wait_ms := await self._ask(weight):
            await _nap(self._clock, wait_ms)

    async def report(self, used_weight: int) -> None:
        """Others may spend from the same address: where the server counts more than we do, it is right."""
        with translated():
            await self._report(keys=self._keys, args=[self._clock.now_ms(), used_weight, self._ttl_ms(_KEPT_S)])

    async def pause(self, seconds: float) -> None:
        until_ms = self._clock.now_ms() + round(seconds * 1000)
        with translated():
            await self._pause(keys=self._keys, args=[until_ms, self._ttl_ms(seconds + _KEPT_S)])

    async def _ask(self, weight: int) -> int:
        """Spend, or say how many milliseconds to wait."""
        args = [self._clock.now_ms(), weight, self._limit, self._ttl_ms(_KEPT_S)]
        with translated():
            return int(await self._acquire(keys=self._keys, args=args))

    def _ttl_ms(self, seconds: float) -> int:
        """Redis counts real time."""
        return round(seconds * 1000 / self._clock.rate)


class MemoryBudget:
    """The same promises within one process."""

    def __init__(self, weight_per_minute: int, clock: Clock) -> None:
        self._limit = weight_per_minute
        self._clock = clock
        self._spent: dict[int, int] = {}
        self._paused_until_ms = 0

    async def acquire(self, weight: int) -> None:
        while wait_ms := self._ask(weight):
            await _nap(self._clock, wait_ms)

    async def report(self, used_weight: int) -> None:
        second = self._clock.now_ms() // 1000
        ours = sum(weight for at, weight in self._spent.items() if at // 60 == second // 60)
        if used_weight > ours:
            self._spent[second] = self._spent.get(second, 0) + used_weight - ours

    async def pause(self, seconds: float) -> None:
        self._paused_until_ms = max(self._paused_until_ms, self._clock.now_ms() + round(seconds * 1000))

    def _ask(self, weight: int) -> int:
        now_ms = self._clock.now_ms()
        second = now_ms // 1000
        self._spent = {at: spent for at, spent in sorted(self._spent.items()) if at > second - SECONDS}
        if self._paused_until_ms > now_ms:
            return self._paused_until_ms - now_ms
        used = sum(self._spent.values())
        if not used or used + weight <= self._limit:
            self._spent[second] = self._spent.get(second, 0) + weight
            return 0
        excess, free = used + weight - self._limit, second
        for at, spent in self._spent.items():
            excess, free = excess - spent, at + SECONDS
            if excess <= 0:
                break
        return free * 1000 - now_ms


async def _nap(clock: Clock, wait_ms: int) -> None:
    await clock.sleep(min(wait_ms / 1000, LONGEST_NAP_S) + random.uniform(0, JITTER_S))
