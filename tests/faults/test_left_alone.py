"""What heals without anybody's word."""

import asyncio
from pathlib import Path

from app.migrate import upgrade
from tests.e2e.test_workers import A_DAY, DAY, LEAN, TWO, candle_requests, job_states, stored
from tests.faults.play import fast_clock
from tests.faults.servers import running_servers
from tests.faults.test_faults import folder
from tests.fixtures.instance import until
from tests.fixtures.simulator import running_simulator
from tests.fixtures.workers import environment, rest, worker

__all__ = ["folder"]


async def test_a_worker_whose_redis_was_killed_goes_on_with_its_job_without_beat_and_without_resume(
    folder: Path,
) -> None:
    with running_simulator(fast_clock()) as simulator:
        simulator.fault("binance", "slow", seconds=10)
        async with running_servers(folder) as servers:
            await asyncio.to_thread(upgrade, servers.database_url)
            env = environment(simulator, servers.database_url, servers.redis_url, folder, FETCH_CONCURRENCY="1")
            async with worker(env, folder / "worker.log", "binance", *LEAN):
                await rest(env, "fetch", "--exchange", "binance", *A_DAY, *TWO, "--detach")
                await until(lambda: len(candle_requests(simulator)) > 1)
                servers.redis.kill()
                await servers.redis.start()
                await job_states(servers.database_url, ["done"])
            for base in ("BTC", "ETH"):
                truth = simulator.truth("binance", base, "USDT", *DAY)
                assert await stored(servers.database_url, "binance", base) == truth
