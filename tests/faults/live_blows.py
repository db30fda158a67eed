"""How each blow is struck, and taken back."""

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import redis.asyncio

from tests.faults.live_plan import Blow
from tests.fixtures.full import full_redis, unsaved_redis
from tests.fixtures.live import eventually

if TYPE_CHECKING:
    from tests.faults.live_play import LivePlay

#: A minute of the feed lasts so many real seconds.
RATE, MINUTE_S = 20, 3.0
#: Seconds of the clock between the exchange's word and the end of its connections.
NOTICE_S = 120
#: Real seconds after which whoever hangs has lost its leases.
HANGS_S = 8
#: Real seconds after which a role that has just been started holds what it needs.
SETTLED_S = 15
#: Real seconds within which a blow must have met somebody; what PostgreSQL says on a full disk.
STRUCK_S, FULL = 60, "No space left on device"
_CUT = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = current_user AND pid <> pg_backend_pid()
"""


async def strike(play: "LivePlay", blow: Blow, for_s: float) -> None:
    """Returns when it is over; what it did may take longer to heal."""
    async with _struck(play, blow):
        await asyncio.sleep(for_s)


@asynccontextmanager
async def _struck(play: "LivePlay", blow: Blow) -> AsyncIterator[None]:
    exchange, fault = play.round.exchange, play.simulator.fault
    match blow:
        case Blow.DISCONNECT:
            fault(exchange, "disconnect")
            yield
        case Blow.SCHEDULED:
            fault(exchange, "disconnect", notice_s=NOTICE_S)
            await asyncio.sleep(NOTICE_S / RATE)
            yield
        case Blow.SILENCE | Blow.HEARTBEATS:
            fault(exchange, "silence", heartbeats=blow is Blow.HEARTBEATS)
            yield
            fault(exchange, "silence", on=False)
        case Blow.MAINTENANCE:
            fault(exchange, "maintenance")
            yield
            fault(exchange, "maintenance", on=False)
        case Blow.CORRECTIONS:
            fault(exchange, "late_correction", delay_s=20)
            yield
            fault(exchange, "late_correction", on=False)
        case Blow.UNCLOSED:
            fault(exchange, "missing_close")
            yield
            fault(exchange, "missing_close", on=False)
        case Blow.HALF_OPEN | Blow.HALF_ANSWER | Blow.CERTIFICATE | Blow.HANDSHAKE | Blow.NAMES | Blow.CLOCK:
            async with _way_struck(play, blow):
                yield
        case Blow.FULL_LOGS | Blow.FROZEN_STREAM:
            async with _roles_struck(play, blow):
                yield
        case Blow.STREAM | Blow.UPDATE | Blow.WORKER | Blow.BEAT | Blow.WEB:
            role = "stream 1" if blow is Blow.STREAM else blow.name.lower()
            play.running[role].kill()
            yield
            await play.start(role)
        case _:
            async with _server_struck(play, blow):
                yield


@asynccontextmanager
async def _way_struck(play: "LivePlay", blow: Blow) -> AsyncIterator[None]:
    """What stands between the processes and everybody else, and their clock."""
    match blow:
        case Blow.HALF_OPEN:
            play.front.goes_quiet()
            yield
            play.front.speaks()
        case Blow.HALF_ANSWER:
            play.front.stalls(on=True)
            play.simulator.fault(play.round.exchange, "disconnect")
            await eventually(partial(_holds, lambda: play.front.stalled), STRUCK_S)
            yield
            play.front.stalls(on=False)
        case Blow.CERTIFICATE | Blow.HANDSHAKE:
            play.front.is_foreign() if blow is Blow.CERTIFICATE else play.front.breaks_off()
            play.simulator.fault(play.round.exchange, "disconnect")
            before = len(play.simulator.log())
            yield
            assert all(one["method"] != "WS" for one in play.simulator.log()[before:]), "nobody was let in"
            play.front.is_itself()
        case Blow.NAMES:
            play.machine.resolve_names(on=False)
            await _cut_everything(play)
            yield
            play.machine.resolve_names(on=True)
        case Blow.CLOCK:
            for off_s in (60 / RATE, -60 / RATE):
                play.machine.set_clock(off_s)
                await asyncio.sleep(MINUTE_S)
                play.machine.set_clock(0)
                await asyncio.sleep(MINUTE_S)
            yield


@asynccontextmanager
async def _roles_struck(play: "LivePlay", blow: Blow) -> AsyncIterator[None]:
    if blow is Blow.FROZEN_STREAM:
        play.running["stream 2"].freeze()
        await asyncio.sleep(HANGS_S)
        yield
        play.running["stream 2"].thaw()
        return
    await play.start_all_again(Path("/dev/full"))
    yield
    await play.start_all_again()


@asynccontextmanager
async def _server_struck(play: "LivePlay", blow: Blow) -> AsyncIterator[None]:
    postgres, cache = play.servers.postgres, play.servers.redis
    match blow:
        case Blow.POSTGRES:
            postgres.kill()
            yield
            await postgres.start()
        case Blow.HOUR:
            postgres.kill()
            await asyncio.sleep(SETTLED_S)
            before = await play.memory()
            yield
            play.grown = {name: size - before[name] for name, size in (await play.memory()).items()}
            await postgres.start()
        case Blow.REDIS | Blow.EMPTIED_REDIS:
            cache.kill()
            if blow is Blow.EMPTIED_REDIS:
                cache.lose_everything()
            yield
            await cache.start()
        case Blow.FULL_REDIS | Blow.UNSAVED_REDIS:
            refusing = full_redis if blow is Blow.FULL_REDIS else unsaved_redis
            async with redis.asyncio.Redis.from_url(play.servers.redis_url) as client, refusing(client):
                yield
        case Blow.FULL_DISK:
            if play.servers.disk is None:
                play.left_out.append("FULL_DISK: this user may mount no small disk")
                yield
                return
            balloon = _fill(play.servers.disk)
            await eventually(partial(_holds, lambda: FULL in postgres.log.read_text()), STRUCK_S)
            yield
            balloon.unlink()
            if postgres.has_ended():  # a supervisor starts it again
                await postgres.start()


async def _holds(what: Callable[[], object]) -> object:
    return what()


def _fill(folder: Path) -> Path:
    """A file that takes all the room that there is."""
    balloon = folder / "balloon"
    with balloon.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
    os.sync()
    return balloon


async def _cut_everything(play: "LivePlay") -> None:
    """Every connection of the processes ends: to the exchange, the database and Redis."""
    play.simulator.fault(play.round.exchange, "disconnect")
    connection = await asyncpg.connect(play.servers.database_url)
    await connection.execute(_CUT)
    await connection.close()
    async with redis.asyncio.Redis.from_url(play.servers.redis_url) as client:
        for kind in ("normal", "pubsub"):
            await client.client_kill_filter(_type=kind, skipme=True)
