"""Whoever is killed, at whatever moment: `resume` ends with the truth, and asks again only for what was lost.

`make test` plays three rounds, one of each exchange; `make faults ROUNDS=50 SEED=1000` as many as one likes.
"""

import asyncio
import json
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.migrate import upgrade
from app.stores.database import open_database
from tests.faults.judge import asked_again, judge_database
from tests.faults.plan import round_of
from tests.faults.play import Play, fast_clock
from tests.faults.servers import running_servers
from tests.fixtures.simulator import running_simulator

ROUNDS, SEED = int(os.environ.get("ROUNDS", "3")), int(os.environ.get("SEED", "2"))


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that the servers' user can enter."""
    with tempfile.TemporaryDirectory(prefix="candlehouse-faults-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(SEED, SEED + ROUNDS))
async def test_a_round_of_kills_ends_with_the_truth_and_asks_again_only_for_what_was_in_flight(
    seed: int, folder: Path
) -> None:
    round_, began = round_of(seed), time.monotonic()
    with running_simulator(fast_clock(), enforce_limits=True) as simulator:
        async with running_servers(folder) as servers:
            await asyncio.to_thread(upgrade, servers.database_url)
            play = Play(round_, simulator, servers, folder)
            await play.run()
            database = open_database(servers.database_url)
            try:
                candles = await judge_database(database, simulator, round_.exchange, round_.span)
            finally:
                await database.close()
        log = simulator.log()
    again = asked_again(log, round_.exchange)
    told = {"seed": seed, "exchange": round_.exchange, "kills": [kill.victim.value for kill in round_.kills]}
    told |= {"requests": len(log), "candles": candles, "in_flight": play.in_flight, "asked_again": again}
    print(json.dumps(told | {"s": round(time.monotonic() - began, 1)}))
    assert again <= play.in_flight
