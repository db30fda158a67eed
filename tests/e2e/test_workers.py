"""The commands that the README prints, run as they stand, against the simulator."""

import asyncio
import re
import signal
import sys
import time
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from common.clock import Clock
from common.span import DAY_MS, MINUTE_MS, Span
from tests.fixtures.instance import is_candle_request, until
from tests.fixtures.postgres import free_port
from tests.fixtures.simulator import Simulator, running_simulator, simulator
from tests.fixtures.workers import celery, environment, program, rest, run, worker

__all__ = ["simulator"]

DAY = Span(1_789_171_200_000, 1_789_171_200_000 + DAY_MS)
A_DAY = ("--start", "2026-09-12T00:00:00", "--end", "2026-09-13T00:00:00")
#: A worker that starts sooner than the printed one.
LEAN = ("-c", "1", "--without-mingle", "--without-gossip")
TWO = ("--symbols", "BTC/USDT,ethusdt")


async def query(url: str, statement: str, *values: Any) -> list[Any]:
    connection = await asyncpg.connect(url)
    try:
        return [tuple(row) for row in await connection.fetch(statement, *values)]
    finally:
        await connection.close()


async def stored(url: str, exchange: str, base: str) -> list[list[float]]:
    rows = await query(
        url,
        "SELECT (extract(epoch FROM time) * 1000)::bigint, open, high, low, close, volume FROM ohlcvs"
        " WHERE exchange = $1 AND base_id = $2 AND quote_id = 'USDT' ORDER BY time",
        exchange,
        base,
    )
    return [list(row) for row in rows]


def candle_requests(simulator: Simulator) -> list[str]:
    return [f"{one['path']}?{one['query']}" for one in simulator.log() if is_candle_request(one)]


async def test_the_printed_commands_fill_a_day_and_a_second_run_asks_for_nothing(
    simulator: Simulator, postgres_url: str, redis_url: str, tmp_path: Path
) -> None:
    env = environment(simulator, postgres_url, redis_url, tmp_path)
    async with worker(env, tmp_path / "worker.log", "bitfinex"):
        done = await rest(env, "fetch", "--exchange", "bitfinex", *A_DAY, *TWO)
        assert (done.status, done.errors) == (0, "") and "Complete: 2 markets of bitfinex" in done.output
        for base in ("BTC", "ETH"):
            assert await stored(postgres_url, "bitfinex", base) == simulator.truth("bitfinex", base, "USDT", *DAY)
        asked = candle_requests(simulator)
        again = await rest(env, "fetch", "--exchange", "bitfinex", *A_DAY, *TWO)
        assert again.status == 0 and "Already complete" in again.output
        assert candle_requests(simulator) == asked and len(asked) == 2
        nothing = await rest(env, "resume", "--exchange", "bitfinex")
        assert (nothing.status, nothing.output) == (0, "Nothing to resume: no job of bitfinex is unfinished.\n")


async def test_without_a_worker_fetch_says_so_and_the_next_one_takes_the_job_up_and_fills_the_last_hours(
    simulator: Simulator, postgres_url: str, redis_url: str, tmp_path: Path
) -> None:
    env = environment(simulator, postgres_url, redis_url, tmp_path, FIRST_FILL_HOURS="2")
    alone = await rest(env, "fetch", "--exchange", "bittrex", *A_DAY, "--symbols", "XRP/USDT")
    assert alone.status == 1 and "No worker serves the queue bittrex_rest. Job 1 will start" in alone.output
    assert await query(postgres_url, "SELECT state FROM fetch_jobs") == [("queued",)]
    async with worker(env, tmp_path / "worker.log", "bittrex", *LEAN):
        await job_states(postgres_url, ["done", "done"])
    assert await stored(postgres_url, "bittrex", "XRP") == simulator.truth("bittrex", "XRP", "USDT", *DAY)
    recent = await stored(postgres_url, "bittrex", "ETH")
    span = Span(int(recent[0][0]), int(recent[-1][0]) + MINUTE_MS)
    assert recent == simulator.truth("bittrex", "ETH", "USDT", *span) and span.minutes() == 120


async def job_states(url: str, wanted: list[str], limit_s: float = 60) -> None:
    async with asyncio.timeout(limit_s):
        while True:
            if await query(url, "SELECT state FROM fetch_jobs") == [(state,) for state in wanted]:
                return
            await asyncio.sleep(0.1)


async def test_a_worker_killed_in_the_middle_loses_nothing_and_a_page_is_asked_at_most_once_again(
    postgres_url: str, redis_url: str, tmp_path: Path
) -> None:
    """A fast clock lets the dead worker's leases run out while the test waits."""
    clock = Clock(60, int(time.time() * 1000))
    with running_simulator(clock) as simulator:
        simulator.fault("binance", "slow", seconds=30)
        env = environment(simulator, postgres_url, redis_url, tmp_path, FETCH_CONCURRENCY="2")
        span = Span(DAY.start_ms - 4 * DAY_MS, DAY.end_ms)
        five_days = ("--start", "2026-09-08", "--end", "2026-09-13")
        await rest(env, "fetch", "--exchange", "binance", *five_days, *TWO, "--detach")
        async with worker(env, tmp_path / "first.log", "binance", *LEAN) as first:
            await until(lambda: len(candle_requests(simulator)) > 6)
            first.kill()
        ((state,),) = await query(postgres_url, "SELECT state FROM fetch_jobs")
        held = await query(postgres_url, "SELECT symbol_id, span FROM fetch_leases")
        assert state == "running" and held
        async with worker(env, tmp_path / "second.log", "binance", *LEAN):
            await job_states(postgres_url, ["done"])
        for base in ("BTC", "ETH"):
            assert await stored(postgres_url, "binance", base) == simulator.truth("binance", base, "USDT", *span)
        asked = candle_requests(simulator)
        # Only what the dead worker held is asked again, and that once.
        assert max(map(asked.count, asked)) <= 2 and len(asked) - len(set(asked)) <= len(held)
        assert len(set(asked)) == 16


async def test_ctrl_c_leaves_the_job_running_and_says_how_to_see_it(
    simulator: Simulator, postgres_url: str, redis_url: str, tmp_path: Path
) -> None:
    simulator.fault("bitfinex", "slow", seconds=2)
    env = environment(simulator, postgres_url, redis_url, tmp_path)
    fetch = [sys.executable, "-m", "scripts.fetchers.rest", "fetch", "--exchange", "bitfinex", *A_DAY, *TWO]
    async with worker(env, tmp_path / "worker.log", "bitfinex", *LEAN):
        async with program(env, tmp_path / "fetch.log", *fetch) as watching:
            await until(lambda: candle_requests(simulator))
            watching.process.send_signal(signal.SIGINT)
            assert await watching.process.wait() == 130
        assert "goes on without this window. `candlehouse status` shows" in (tmp_path / "fetch.log").read_text()
        await job_states(postgres_url, ["done"])
    assert await stored(postgres_url, "bitfinex", "BTC") == simulator.truth("bitfinex", "BTC", "USDT", *DAY)


async def test_cancel_stops_the_workers_within_a_page_and_who_watches_is_told(
    simulator: Simulator, postgres_url: str, redis_url: str, tmp_path: Path
) -> None:
    simulator.fault("binance", "slow", seconds=1)
    env = environment(simulator, postgres_url, redis_url, tmp_path, FETCH_CONCURRENCY="2")
    fetch = [sys.executable, "-m", "scripts.fetchers.rest", "fetch", "--exchange", "binance", "--days", "60", *TWO]
    async with worker(env, tmp_path / "worker.log", "binance", *LEAN):
        async with program(env, tmp_path / "fetch.log", *fetch) as watching:
            await until(lambda: candle_requests(simulator))
            cancelled = await rest(env, "cancel", "--exchange", "binance")
            asked = len(candle_requests(simulator))
            assert await watching.process.wait() == 1
        await until(lambda: re.search(r"tasks\.work\[\S+\] succeeded", (tmp_path / "worker.log").read_text()))
    assert cancelled.output == "Job 1 of binance is cancelled; what it stored stays.\n"
    assert "Job 1 was cancelled: 2 markets of binance, " in (tmp_path / "fetch.log").read_text()
    assert len(candle_requests(simulator)) <= asked + 2
    await job_states(postgres_url, ["cancelled"])


async def test_the_printed_stream_and_update_commands_bring_closed_candles_into_the_database(
    postgres_url: str, redis_url: str, tmp_path: Path
) -> None:
    with running_simulator(Clock(30, int(time.time() * 1000))) as simulator:
        env = environment(simulator, postgres_url, redis_url, tmp_path)
        ws = [sys.executable, "-m", "scripts.fetchers.ws"]
        logs = [tmp_path / "binance_websocket.log", tmp_path / "updater_websocket.log"]
        stream = [*ws, "fetch", "--exchange", "binance", "--log_filename", str(logs[0])]
        update = [*ws, "update", "--log_filename", str(logs[1])]
        async with program(env, tmp_path / "1", *stream) as one, program(env, tmp_path / "2", *update) as two:
            async with asyncio.timeout(40):
                while len(rows := await stored(postgres_url, "binance", "BTC")) < 2:
                    assert one.process.returncode is None and two.process.returncode is None, one.log.read_text()
                    await asyncio.sleep(0.1)
        span = Span(int(rows[0][0]), int(rows[-1][0]) + MINUTE_MS)
        assert rows == simulator.truth("binance", "BTC", "USDT", *span)
        assert "Connected" in logs[0].read_text()


async def test_beat_and_flower_run_as_printed(
    simulator: Simulator, postgres_url: str, redis_url: str, tmp_path: Path
) -> None:
    env = environment(simulator, postgres_url, redis_url, tmp_path)
    port = free_port()
    flower = celery("flower", "--address=127.0.0.1", f"--port={port}")
    async with (
        program(env, tmp_path / "beat.log", *celery("beat", "-l", "INFO")) as beat,
        program(env, tmp_path / "flower.log", *flower) as shown,
    ):
        await beat.says("beat: Starting")
        await shown.says(f"http://127.0.0.1:{port}")
        shown.kill()  # it would first wait for answers of workers that are not there


@pytest.mark.parametrize("module", ["scripts.fetchers.rest", "scripts.fetchers.ws"])
async def test_the_predecessors_command_lines_explain_themselves(module: str, tmp_path: Path) -> None:
    shown = await run({"PATH": "/usr/bin"}, sys.executable, "-m", module, "--help")
    assert shown.status == 0 and "fetch" in shown.output
