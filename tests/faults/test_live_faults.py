"""Whatever breaks around a live feed, in the end the database, Redis and every client hold the truth.

`make test` plays one round; `make faults ROUNDS=50 SEED=1000` as many others as one likes, a line for each.
"""

import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import redis.asyncio

from app.migrate import upgrade
from app.stores import pulse
from app.stores.latest import live_stream
from common.clock import Clock
from common.span import MINUTE_MS
from tests.faults.front import Front
from tests.faults.live_blows import RATE
from tests.faults.live_client import MARKETS
from tests.faults.live_plan import live_round_of
from tests.faults.live_play import LivePlay
from tests.faults.servers import running_servers, small_disk
from tests.faults.test_faults import SEED, folder
from tests.fixtures.feed import now_ms, told
from tests.fixtures.simulator import Simulator, running_simulator

__all__ = ["folder"]

ROUNDS = int(os.environ.get("ROUNDS", "1"))
#: Real seconds within which everything is right again once nothing breaks any more.
LIMIT_S = 240
#: Bytes that a role, or Redis, may grow by while PostgreSQL is away for an hour. What the failed tasks of a worker
#: leave waits for its lazy collector of garbage: some 75 MB, however long it goes on.
MOST_GROWTH = 128 << 20

Rows = dict[str, list[list[float]]]
_STORED = """
SELECT s.base_id || '/' || s.quote_id, (extract(epoch FROM c.time) * 1000)::bigint, open, high, low, close, volume
FROM candles AS c JOIN symbol_exchange AS s ON s.id = c.symbol_id
WHERE c.time >= to_timestamp($1 / 1000.0) AND c.time < to_timestamp($2 / 1000.0) ORDER BY c.time
"""


def truth(simulator: Simulator, exchange: str, start_ms: int, end_ms: int) -> Rows:
    return {one: simulator.truth(exchange, *one.split("/"), start_ms, end_ms) for one in MARKETS}


async def stored(url: str, start_ms: int, end_ms: int) -> Rows:
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch(_STORED, start_ms, end_ms)
    finally:
        await connection.close()
    found: Rows = {one: [] for one in MARKETS}
    for market, *row in rows:
        found[market].append(row)
    return found


async def agree(play: LivePlay, simulator: Simulator) -> tuple[Rows, Rows]:
    """Wait until the database holds what was traded, and return both as they are in the end."""
    until_s = time.monotonic() + LIMIT_S
    span = play.start_ms, play.end_ms
    while True:
        wanted = truth(simulator, play.round.exchange, *span)
        found = await stored(play.servers.database_url, *span)
        over = simulator.clock.now_ms() > play.end_ms
        if (over and found == wanted) or time.monotonic() > until_s:
            return found, wanted
        await asyncio.sleep(0.5)


async def newest(redis_url: str, exchange: str) -> dict[str, int]:
    """When the newest candle began that Redis shows of each market."""
    keys = {one: f"ws_send_{exchange};;{one.replace('/', ';;')}" for one in MARKETS}
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        found = {one: await client.hget(key, "time") for one, key in keys.items()}
    return {one: int(time_) for one, time_ in found.items() if time_}


async def pulsed(redis_url: str, exchange: str) -> int | None:
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        return await pulse.last_ms(client, exchange)


def heard_wrongly(play: LivePlay, wanted: Rows) -> list[tuple[Any, Any]]:
    """Bars that the client was told as closed since it came back last, and that were not corrected since."""
    true = places(wanted)
    wrong = []
    for place, bar in play.listener.bars.items():
        if bar["closed"] and place in true and place[1] >= play.listener.since_ms:
            values = [bar[name] for name in ("time", "open", "high", "low", "close", "volume")]
            if values != true[place]:
                wrong.append((values, true[place]))
    return wrong


async def told_wrongly(play: LivePlay, wanted: Rows) -> list[tuple[Any, Any]]:
    """Closed minutes whose last word in Redis's stream of the exchange is not what was traded."""
    true, last = places(wanted), dict[tuple[str, int], list[float]]()
    async with redis.asyncio.Redis.from_url(play.servers.redis_url) as client:
        for one in await told(client, live_stream(play.round.exchange)):
            if one.source:
                values = [one.time, one.open, one.high, one.low, one.close, one.volume]
                last[f"{one.base}/{one.quote}", one.time] = values
    return [(last[place], row) for place, row in true.items() if last.get(place, row) != row]


def places(rows: Rows) -> dict[tuple[str, int], list[float]]:
    return {(market, int(row[0])): row for market, found in rows.items() for row in found}


@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(SEED, SEED + ROUNDS))
async def test_whatever_breaks_around_a_live_feed_everybody_ends_with_the_truth(seed: int, folder: Path) -> None:
    round_, began_s = live_round_of(seed), time.monotonic()
    with running_simulator(Clock(RATE, now_ms())) as simulator, small_disk(folder / "servers/postgres") as disk:
        async with (
            running_servers(folder / "servers", disk) as servers,
            Front(simulator.port, folder).running() as front,
        ):
            await asyncio.to_thread(upgrade, servers.database_url)
            async with LivePlay(round_, simulator, servers, front, folder) as play:
                await ready(play, simulator)
                await play.run()
                struck_s = time.monotonic()
                found, wanted = await agree(play, simulator)
                healed_s = time.monotonic() - struck_s
                times = await newest(servers.redis_url, round_.exchange)
                pulse_ms = await pulsed(servers.redis_url, round_.exchange)
                wrong, ended = heard_wrongly(play, wanted), play.ended()
                told_wrong = await told_wrongly(play, wanted)
    blows = [f"{blow.name} {minutes:.1f}" for blow, minutes in round_.blows]
    line: dict[str, Any] = {"seed": seed, "exchange": round_.exchange, "blows": blows}
    line |= {"candles": sum(map(len, found.values())), "heard": len(play.listener.bars)}
    line |= {"healed_s": round(healed_s, 1), "left_out": play.left_out, "grown": play.grown}
    print(json.dumps(line | {"s": round(time.monotonic() - began_s, 1)}))
    assert found == wanted
    assert ended == {}
    assert pulse_ms is not None and pulse_ms > play.start_ms, "the worker takes messages again"
    assert all(times.get(one, 0) >= play.end_ms - 60 * MINUTE_MS for one in MARKETS), times
    assert (wrong, told_wrong, play.listener.doubled, play.looker.went_back) == ([], [], [], [])
    assert all(size < MOST_GROWTH for size in play.grown.values()), play.grown


async def ready(play: LivePlay, simulator: Simulator) -> None:
    """Wait until candles of every market come to the client."""
    async with asyncio.timeout(120):
        while {market for market, _ in play.listener.bars} != set(MARKETS):
            assert play.ended() == {}
            await asyncio.sleep(0.2)
