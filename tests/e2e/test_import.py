"""Archives, then REST for what they lack: one command, one whole history, nothing asked twice."""

import asyncio
import json
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest

from common.span import DAY_MS, MINUTE_MS, Span
from tests.fixtures.simulator import Simulator, clock_at, running_simulator
from tests.fixtures.workers import BIN, ROOT, environment, run, worker

#: A worker that starts sooner than the printed one.
LEAN = ("-c", "1", "--without-mingle", "--without-gossip")


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """The middle of a month, whose days are published and which is not."""
    noon_ms = round(datetime(2026, 9, 16, 12, tzinfo=UTC).timestamp() * 1000)
    with running_simulator(clock_at(1.001, noon_ms)) as running:
        yield running


def text(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")


async def stored(url: str) -> list[list[float]]:
    connection = await asyncpg.connect(url)
    try:
        rows = await connection.fetch(
            "SELECT (extract(epoch FROM time) * 1000)::bigint, open, high, low, close, volume "
            "FROM ohlcvs ORDER BY 1"
        )
    finally:
        await connection.close()
    return [list(row) for row in rows]


async def test_archives_and_rest_together_hold_the_truth(
    simulator: Simulator, postgres_url: str, redis_url: str, tmp_path: Path
) -> None:
    """Of three days one has a bad archive, and today has none yet."""
    env = environment(simulator, postgres_url, redis_url, tmp_path)
    today_ms = simulator.clock.now_ms() // DAY_MS * DAY_MS
    span = Span(today_ms - 2 * DAY_MS, today_ms + 60 * MINUTE_MS)
    simulator.fault("binance", "archive_truncated", start=today_ms - DAY_MS)
    asked = ("--symbols", "BTC/USDT", "--start", text(span.start_ms), "--end", text(span.end_ms))
    command = (str(BIN / "candlehouse"), "import", "binance-vision", *asked)
    async with worker(env, tmp_path / "worker.log", "binance", *LEAN):
        done = await run(env, *command)
        assert done.status == 0 and "Complete: the rest of 1 market, 1,500 candles with 2 requests." in done.output
    assert await stored(postgres_url) == simulator.truth("binance", "BTC", "USDT", *span)
    assert len(simulator.log("/api/v3/klines")) == 2
    again = await run(env, *command, "--json", "--detach")
    states = [json.loads(line).get("state") for line in again.output.splitlines()]
    assert again.status == 0 and states == ["refused", "unchanged", None], again.output


async def test_ctrl_c_stops_an_import_with_a_sentence_and_the_next_one_goes_on(
    simulator: Simulator, postgres_url: str, redis_url: str, tmp_path: Path
) -> None:
    env = environment(simulator, postgres_url, redis_url, tmp_path)
    start_ms = simulator.clock.now_ms() // DAY_MS * DAY_MS - 12 * DAY_MS
    asked = ("--symbols", "BTC/USDT", "--start", text(start_ms), "--end", text(start_ms + 11 * DAY_MS))
    command = (str(BIN / "candlehouse"), "import", "binance-vision", *asked, "--json", "--no-rest")
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, env=env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None and json.loads(await process.stdout.readline())["state"] == "imported"
    process.send_signal(signal.SIGINT)
    async with asyncio.timeout(60):
        _, errors = await process.communicate()
    assert (process.returncode, errors.decode()) == (
        130,
        "Stopped; what was imported stays. The same command goes on from here.\n",
    )
    done = await run(env, *command)
    assert done.status == 0 and '"state":"unchanged"' in done.output
    truth = simulator.truth("binance", "BTC", "USDT", start_ms, start_ms + 11 * DAY_MS)
    assert [row for row in await stored(postgres_url) if row[0] < start_ms + 11 * DAY_MS] == truth
