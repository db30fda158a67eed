"""A Redis stream read by a consumer group that acknowledges what it is done with."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from app.stores.redis_errors import translated
from common.errors import Malformed

T = TypeVar("T")

# What any group has not acknowledged stays: neither its oldest pending entry nor what it was not yet given goes.
_ACK = """
local key, group, kept = KEYS[1], ARGV[1], nil
if redis.call('EXISTS', key) == 0 then return 0 end
redis.call('XACK', key, group, unpack(ARGV, 2))
local function before(a, b)
  local ams, an = string.match(a, '(%d+)-(%d+)')
  local bms, bn = string.match(b, '(%d+)-(%d+)')
  if tonumber(ams) ~= tonumber(bms) then return tonumber(ams) < tonumber(bms) end
  return tonumber(an) < tonumber(bn)
end
for _, info in ipairs(redis.call('XINFO', 'GROUPS', key)) do
  local of = {}
  for i = 1, #info, 2 do of[info[i]] = info[i + 1] end
  local pending = redis.call('XPENDING', key, of['name'])
  local first = pending[1] > 0 and pending[2] or of['last-delivered-id']
  if not kept or before(first, kept) then kept = first end
end
return kept and redis.call('XTRIM', key, 'MINID', kept) or 0
"""


class GroupStream(Generic[T]):
    """As `consumer`: whoever starts again under the same name finds what it had not finished.

    `decode` makes an entry's fields a value, or Malformed.
    """

    def __init__(
        self,
        redis: Redis,
        stream: str,
        group: str,
        consumer: str,
        decode: Callable[[Mapping[bytes, bytes]], T | Malformed],
        *,
        since: str = "0",
        trims: bool = True,
    ) -> None:
        self._redis: Any = redis
        self._stream, self._group, self._consumer = stream, group, consumer
        self._decode = decode
        self._since = since
        self._trims = trims
        self._ack = redis.register_script(_ACK)

    async def ensure_group(self) -> None:
        """A new group begins at the stream's oldest entry, or where it was told to."""
        with translated():
            try:
                await self._redis.xgroup_create(self._stream, self._group, id=self._since, mkstream=True)
            except ResponseError as error:
                if "BUSYGROUP" not in str(error):
                    raise

    async def read(self, count: int, block_ms: int) -> list[tuple[str, T | Malformed]]:
        """New entries, waiting up to `block_ms` for the first. What cannot be decoded comes as Malformed."""
        return await self._read(">", count, block_ms)

    async def pending(self, count: int, after: str = "0-0") -> list[tuple[str, T | Malformed]]:
        """Entries once given to this consumer and never acknowledged."""
        return await self._read(after, count, None)

    async def claim_stale(self, min_idle_ms: int, count: int = 1000) -> list[tuple[str, T | Malformed]]:
        """Take over what another consumer was given longer ago and never acknowledged."""
        claim = self._redis.xautoclaim(self._stream, self._group, self._consumer, min_idle_ms, count=count)
        claimed = await self._of_group(claim)
        return self._entries(claimed[1]) if claimed else []

    async def ack(self, ids: Sequence[str]) -> None:
        """These are done; the stream loses what everybody is done with, unless somebody else trims it."""
        with translated():
            for at in range(0, len(ids), 1000):
                if not self._trims:
                    await self._redis.xack(self._stream, self._group, *ids[at : at + 1000])
                    continue
                await self._ack(keys=[self._stream], args=[self._group, *ids[at : at + 1000]])

    async def _read(self, after: str, count: int, block_ms: int | None) -> list[tuple[str, T | Malformed]]:
        streams = {self._stream: after}
        read = self._redis.xreadgroup(self._group, self._consumer, streams, count, block_ms or None)
        return [entry for _, entries in await self._of_group(read) or () for entry in self._entries(entries)]

    async def _of_group(self, command: Awaitable[Any]) -> Any:
        """The command's answer; None when Redis was emptied, and then the group is made again."""
        with translated():
            try:
                return await command
            except ResponseError as error:
                if "NOGROUP" not in str(error):
                    raise
                await self.ensure_group()
                return None

    def _entries(self, raw: Iterable[tuple[bytes, dict[bytes, bytes] | None]]) -> list[tuple[str, T | Malformed]]:
        return [(entry.decode(), self._decode(fields or {})) for entry, fields in raw]
