"""What a live job says of itself, the bell it rings when its feed may have missed something; beat's first word."""

from collections.abc import Mapping, Sequence
from typing import Any

from redis.asyncio import Redis

from app.stores.redis_errors import translated

#: Real seconds until a process that says nothing any more is forgotten, and between two words of one that lives.
TTL_S, BEAT_S = 30, 5.0
#: An exchange whose newest candle began longer ago than this, in the Clock's time, is not live.
FRESH_MS = 180_000

_BEAT = "candlehouse:beat"
#: The worst first: what several processes make together is as bad as the worst of them.
_STATES = ("connecting", "silent", "connected", "closed")
_SUMS = ("connections", "symbols", "malformed")

_HEALED = """
local since, began = unpack(redis.call('HMGET', KEYS[1], 'since_ms', 'began_ms'))
if not since or not began or tonumber(since) > tonumber(began) then return false end
redis.call('HDEL', KEYS[1], 'since_ms')
return since
"""


async def tell(redis: Redis, exchange: str, fields: Mapping[str, str | int], member: str = "stream") -> None:
    """How the exchange's stream is in the process `member`: the hash `candlehouse:stream:{exchange}:{member}`."""
    client: Any = redis
    with translated():
        async with client.pipeline(transaction=True) as pipe:
            pipe.hset(_stream(exchange, member), mapping=dict(fields))
            pipe.expire(_stream(exchange, member), TTL_S)
            pipe.sadd(_streams(exchange), member)
            await pipe.execute()


async def forget(redis: Redis, exchange: str, member: str) -> None:
    """That process has ended."""
    client: Any = redis
    with translated():
        async with client.pipeline(transaction=True) as pipe:
            pipe.delete(_stream(exchange, member))
            pipe.srem(_streams(exchange), member)
            await pipe.execute()


async def told(redis: Redis, exchange: str) -> dict[str, str]:
    """What all processes that stream the exchange last said, as if they were one; empty where none says a word."""
    client: Any = redis
    with translated():
        members = sorted(await client.smembers(_streams(exchange)))
        async with client.pipeline(transaction=False) as pipe:
            for member in members:
                pipe.hgetall(_stream(exchange, member.decode()))
            found = await pipe.execute()
        if dead := [member for member, fields in zip(members, found, strict=True) if not fields]:
            await client.srem(_streams(exchange), *dead)
    words = [{name.decode(): value.decode() for name, value in fields.items()} for fields in found if fields]
    return _together(_living(words)) if words else {}


def _living(words: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """Without those that missed three beats: another process may have taken over by now."""
    newest_ms = max(int(one.get("updated_ms", 0)) for one in words)
    return [
        one
        for one in words
        if newest_ms - int(one.get("updated_ms", 0)) <= 3 * int(one.get("beat_ms", BEAT_S * 1000))
    ]


def _together(words: Sequence[dict[str, str]]) -> dict[str, str]:
    busy = [one for one in words if one.get("state") != "closed"] or words
    worst = min(busy, key=lambda one: _STATES.index(one.get("state", "closed")))
    sums = {name: str(sum(int(one.get(name, 0)) for one in words)) for name in _SUMS}
    newest = {name: str(max(int(one.get(name, 0)) for one in words)) for name in ("last_candle_ms", "updated_ms")}
    error = next((one["last_error"] for one in [worst, *busy] if one.get("last_error")), "")
    return {**worst, **sums, **newest, "last_error": error, "processes": str(len(words))}


async def ring(redis: Redis, exchange: str, now_ms: int) -> None:
    """A feed begins anew: reconciling is to look soon at what it missed, which the coverage knows."""
    client: Any = redis
    with translated():
        async with client.pipeline(transaction=True) as pipe:
            pipe.set(_bell(exchange), 1)
            pipe.hsetnx(_healing(exchange), "since_ms", now_ms)
            await pipe.execute()


async def rung(redis: Redis, exchange: str) -> bool:
    """Whether the bell rang since the last look."""
    with translated():
        return bool(await redis.getdel(_bell(exchange)))


async def note_pass(redis: Redis, exchange: str, now_ms: int) -> None:
    """From now on REST is asked for what all feeds may have missed by now."""
    client: Any = redis
    with translated():
        await client.hset(_healing(exchange), "began_ms", now_ms)


async def note_end(redis: Redis, exchange: str) -> int | None:
    """REST has answered. Since when that pended; None where nothing did, or only since the pass began."""
    client: Any = redis
    with translated():
        since_ms = await client.eval(_HEALED, 1, _healing(exchange))
    return int(since_ms) if since_ms else None


async def healing_since_ms(redis: Redis, exchange: str) -> int | None:
    """When the first bell rang since REST last answered for everything; None where none did."""
    client: Any = redis
    with translated():
        since_ms = await client.hget(_healing(exchange), "since_ms")
    return int(since_ms) if since_ms else None


async def tell_beat(redis: Redis, now_ms: int) -> None:
    """Beat has begun, and orders from now on."""
    with translated():
        await redis.set(_BEAT, now_ms)


async def beat_began(redis: Redis) -> bool:
    """Whether a beat began since the last `forget_beat`."""
    with translated():
        return bool(await redis.exists(_BEAT))


async def forget_beat(redis: Redis) -> None:
    with translated():
        await redis.delete(_BEAT)


def _streams(exchange: str) -> str:
    return f"candlehouse:stream:{exchange}"


def _stream(exchange: str, member: str) -> str:
    return f"candlehouse:stream:{exchange}:{member}"


def _healing(exchange: str) -> str:
    return f"candlehouse:healing:{exchange}"


def _bell(exchange: str) -> str:
    return f"candlehouse:heal:{exchange}"
