"""Live candles into Redis: the newest one of each market, its channel, and the streams that others read."""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any

from redis.asyncio import Redis

from app.messages import CandleMessage, encode
from app.stores.redis_errors import translated
from common.clock import Clock
from common.market import Instrument

CLOSED_CANDLES = "closed_candles"
EPOCH = "candlehouse:epoch"
#: Where writers that know no instruments find a market's other spellings, a line for each.
ALIASES = "candlehouse:aliases"
#: How far back `live_{exchange}` can be read, in the Clock's time.
KEPT_MS = 600_000

# One script a batch: its parts become visible together, a hash never goes back in time whoever writes, and it
# costs the sender an eighth of pipelined commands. Nor does a volume shrink within a minute but by the word of the
# exchange: two streams may hold a market for a moment. Entry ids are Redis's own time, so trimming is by that.
_WRITE = """
local live, closed, epoch, told = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
for i = 3, #ARGV, 10 do
  local name, alias, time, source, message = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]
  local send = 'ws_send_' .. name
  local stored = redis.call('HMGET', send, 'time', 'volume')
  local ahead = stored[1] and tonumber(time) - tonumber(stored[1]) or 1
  if ahead > 0 or ahead == 0 and (tonumber(source) > 1 or tonumber(ARGV[i + 9]) >= tonumber(stored[2])) then
    local function set(key)
      redis.call('HSET', key, 'time', time, 'open', ARGV[i + 5], 'high', ARGV[i + 6], 'low', ARGV[i + 7],
        'close', ARGV[i + 8], 'volume', ARGV[i + 9])
    end
    set(send)
    set('ws_serve_' .. name)
    redis.call('HSET', told, name, message)
    for other in string.gmatch(alias, '[^\\n]+') do
      set('ws_send_' .. other)
      set('ws_serve_' .. other)
    end
  end
  redis.call('PUBLISH', send, message)
  for other in string.gmatch(alias, '[^\\n]+') do
    redis.call('PUBLISH', 'ws_send_' .. other, message)
  end
  redis.call('XADD', live, '*', 'candle', message)
  if source ~= '0' then redis.call('XADD', closed, '*', 'candle', message) end
end
local now = redis.call('TIME')
redis.call('XTRIM', live, 'MINID', '~', now[1] * 1000 - ARGV[2])
redis.call('SET', epoch, ARGV[1], 'NX')
return redis.call('GET', epoch)
"""


class LiveSink:
    """`instruments` are the markets that this writer knows; without them the spelling is looked up in Redis."""

    def __init__(self, redis: Redis, clock: Clock, instruments: Iterable[Instrument] | None = None) -> None:
        self._redis: Any = redis
        self._script = redis.register_script(_WRITE)
        self._kept_ms = round(KEPT_MS / clock.rate)
        self._own = None if instruments is None else aliases(instruments)
        self._plain: list[str] = []
        self._epoch = b""

    def know(self, instruments: Sequence[Instrument]) -> None:
        """These are the markets that this writer knows from now on."""
        self._own, self._epoch = aliases(instruments), b""
        self._plain = [name for name in map(name_of, instruments) if name not in self._own]

    async def write(self, messages: Sequence[CandleMessage]) -> None:
        """All of them, in order. Raises Retryable when Redis does not take them; all may then be tried again."""
        with translated():
            known = self._own if self._own is not None else await self._read_aliases()
            for exchange, batch in groupby(messages, attrgetter("exchange")):
                await self._write(exchange, batch, known)

    async def _write(self, exchange: str, batch: Iterable[CandleMessage], known: Mapping[str, str]) -> None:
        args: list[str | bytes | int] = [secrets.token_hex(4), self._kept_ms]
        for one in batch:
            name = _name(one.exchange, one.market_type, one.base, one.quote)
            prices = repr(one.open), repr(one.high), repr(one.low), repr(one.close), repr(one.volume)
            args += (name, known.get(name, ""), one.time, int(one.source), encode(one), *prices)
        keys = [live_stream(exchange), CLOSED_CANDLES, EPOCH, newest_messages(exchange)]
        epoch = await self._script(keys=keys, args=args)
        if self._own and epoch != self._epoch:
            await self._redis.hset(ALIASES, mapping={**self._own})
        if self._plain and epoch != self._epoch:
            await self._redis.hdel(ALIASES, *self._plain)
        self._epoch = epoch

    async def _read_aliases(self) -> dict[str, str]:
        found = await self._redis.hgetall(ALIASES)
        return {name.decode(): alias.decode() for name, alias in found.items()}


def live_stream(exchange: str) -> str:
    return f"live_{exchange}"


def newest_messages(exchange: str) -> str:
    """The hash of the newest message of each of an exchange's markets, by `name_of`."""
    return f"candlehouse:newest:{exchange}"


def newest_key(exchange: str, base: str, quote: str, market_type: str = "spot") -> str:
    """The hash of a market's newest candle, and its channel."""
    return f"ws_send_{_name(exchange, market_type, base, quote)}"


def aliases(instruments: Iterable[Instrument]) -> dict[str, str]:
    """Under what else each market is found, a line for each: the exchange's spelling, and what it was before.

    A name that another market bears is left to that one, and no name is given twice.
    """
    known = list(instruments)
    taken = {name_of(one) for one in known}
    spelled: dict[str, list[str]] = {}
    for one in known:
        for name in dict.fromkeys([_native_name(one), *map(name_of, one.former), *map(_native_name, one.former)]):
            if name not in taken:
                taken.add(name)
                spelled.setdefault(name_of(one), []).append(name)
    return {name: "\n".join(others) for name, others in spelled.items()}


def name_of(one: Instrument) -> str:
    """What a market is called in keys and hashes."""
    return _name(one.exchange, one.market_type, one.base, one.quote)


def _native_name(one: Instrument) -> str:
    return _name(one.exchange, one.market_type, one.native_base or one.base, one.native_quote or one.quote)


def _name(exchange: str, market_type: str, base: str, quote: str) -> str:
    where = exchange if market_type == "spot" else f"{exchange}.{market_type}"
    return f"{where};;{base};;{quote}"
