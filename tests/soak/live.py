"""Days of live candles with a disconnect a minute, and what they cost in memory: `make soak-live`.

CLOCK_RATE=60      market seconds in a real one
HOURS=72           of market time
EXCHANGE=binance

Two streams share the exchange; updater, worker, beat, web and a WebSocket client run beside them. In the end
every minute is compared with the truth. Prints one JSON line, and a sentence for each promise that was broken;
exit status 1 if there is any. How much memory each role had at each look is written to a file beside the logs.
"""

import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import redis.asyncio

from app.migrate import upgrade
from common.clock import Clock
from common.span import MINUTE_MS, floor_minute
from tests.faults.front import Front
from tests.faults.live_client import MARKETS
from tests.faults.live_plan import Round
from tests.faults.live_play import LivePlay
from tests.faults.servers import running_servers
from tests.faults.test_live_faults import Rows, agree, heard_wrongly, ready
from tests.fixtures.simulator import Simulator, running_simulator

#: Market minutes between two looks at the memory.
LOOK_MINUTES = 15
#: What comes before is a program that has not met everything yet: caches fill, pools open.
WARM_SHARE = 1 / 3
#: What 72 hours may add, of what a role has.
GROWTH = 0.03
#: Real seconds for what was corrected last to reach the client.
HEAR_LIMIT_S = 10
MiB = 1024 * 1024

#: By role, MiB at each look, in market hours since the beginning.
Looks = dict[str, list[tuple[float, float]]]


async def run(exchange: str, rate: float, hours: float, folder: Path) -> dict[str, Any]:
    """The figures."""
    with running_simulator(Clock(rate, int(time.time() * 1000))) as simulator:
        async with running_servers(folder) as servers, Front(simulator.port, folder).running() as front:
            await asyncio.to_thread(upgrade, servers.database_url)
            async with LivePlay(Round(exchange, []), simulator, servers, front, folder) as play:
                await ready(play, simulator)
                play.start_ms = floor_minute(simulator.clock.now_ms()) + MINUTE_MS
                looks, disconnects = await soak(play, simulator, hours)
                play.end_ms = floor_minute(simulator.clock.now_ms())
                found, wanted = await agree(play, simulator)
                wrong, ended = await heard(play, wanted), play.ended()
    (folder / "memory.json").write_text(json.dumps(looks))
    return {
        "soak": f"live {exchange}",
        "clock_rate": rate,
        "hours": hours,
        "disconnects": disconnects,
        "minutes": sum(map(len, wanted.values())),
        "minutes_wrong": sum(len(_differ(found[one], wanted[one])) for one in MARKETS),
        "heard_wrong": wrong,
        "ended": ended,
        "memory": {role: slope(looks_) for role, looks_ in looks.items()},
    }


async def heard(play: LivePlay, wanted: Rows) -> list[tuple[Any, Any]]:
    """Closed bars that the client was told wrongly, each with the truth, when it has had time to hear of it."""
    until_s = time.monotonic() + HEAR_LIMIT_S
    while (wrong := heard_wrongly(play, wanted)) and time.monotonic() < until_s:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.2)
    return wrong


async def soak(play: LivePlay, simulator: Simulator, hours: float) -> tuple[Looks, int]:
    """Cut every connection once a market minute; what each role takes meanwhile, and how often they were cut."""
    clock, looks, minutes = simulator.clock, Looks(), round(hours * 60)
    began_ms = clock.now_ms()
    for minute in range(1, minutes + 1):
        await clock.sleep(max(0, began_ms + minute * MINUTE_MS - clock.now_ms()) / 1000)
        await asyncio.to_thread(simulator.fault, play.round.exchange, "disconnect")
        if minute % LOOK_MINUTES == 0:
            for role, mib in (await memory(play)).items():
                looks.setdefault(role, []).append((minute / 60, round(mib, 2)))
            await asyncio.to_thread(simulator.clear_log)
        if minute % 360 == 0:
            print(f"{minute // 60} of {hours:g} hours", file=sys.stderr, flush=True)
    return looks, minutes


async def memory(play: LivePlay) -> dict[str, float]:
    """MiB of each role's processes, and of what Redis holds."""
    taken = {role: _resident(one.process.pid) / MiB for role, one in play.running.items()}
    async with redis.asyncio.Redis.from_url(play.servers.redis_url) as client:
        taken["redis"] = (await client.info("memory"))["used_memory"] / MiB
    return taken


def _resident(pid: int) -> float:
    """Shared pages count once only: proportionally."""
    total = 0
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        for one in [process, *process.children(recursive=True)]:
            total += one.memory_full_info().pss
    return total


def slope(looks: list[tuple[float, float]]) -> dict[str, float]:
    """What is there when warm, and what 72 hours would add by the straight line through the looks since then."""
    warm = looks[int(len(looks) * WARM_SHARE) :]
    if len(warm) < 3:
        return {"mib": looks[-1][1], "mib_in_72h": 0, "noise_mib": 0}
    line = statistics.linear_regression(*zip(*warm, strict=True))
    rests = [mib - (line.intercept + line.slope * hour) for hour, mib in warm]
    return {
        "mib": round(statistics.median(mib for _, mib in warm), 1),
        "mib_in_72h": round(line.slope * 72, 2),
        "noise_mib": round(statistics.pstdev(rests), 2),
    }


def _differ(found: list[list[float]], wanted: list[list[float]]) -> set[float]:
    """Minutes that are missing, wrong or too many."""
    return {row[0] for row in set(map(tuple, found)) ^ set(map(tuple, wanted))}


def broken(figures: Mapping[str, Any]) -> list[str]:
    """A sentence for each promise that was not kept."""
    sentences = [
        f"{role} grows by {one['mib_in_72h']} MiB in 72 hours, of {one['mib']}."
        for role, one in figures["memory"].items()
        if one["mib_in_72h"] > max(GROWTH * one["mib"], 2 * one["noise_mib"])
    ]
    if figures["minutes_wrong"] or figures["heard_wrong"]:
        sentences.append(
            f"{figures['minutes_wrong']} minutes are not the truth, {len(figures['heard_wrong'])} as told."
        )
    if figures["ended"]:
        sentences.append(f"Ended by themselves: {figures['ended']}.")
    return sentences


def main() -> int:
    folder = Path(tempfile.mkdtemp(prefix="candlehouse-soak."))
    folder.chmod(0o755)  # the servers have a user of their own
    print(f"Logs are in {folder}.", file=sys.stderr, flush=True)
    exchange, rate = os.environ.get("EXCHANGE", "binance"), float(os.environ.get("CLOCK_RATE", "60"))
    figures = asyncio.run(run(exchange, rate, float(os.environ.get("HOURS", "72")), folder))
    print(json.dumps(figures))
    sentences = broken(figures)
    print(*sentences, sep="\n", end="\n" if sentences else "", file=sys.stderr)
    return 1 if sentences else 0


if __name__ == "__main__":
    sys.exit(main())
