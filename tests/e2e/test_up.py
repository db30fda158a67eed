"""`make up DEMO=1`, whole: simulator, servers, every role, a filled day, the page; and then nothing at all."""

import asyncio
import json
import signal
import sys
import urllib.request
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from app.settings import load_settings
from tests.fixtures import start
from tests.fixtures.start import ROOT, World

LIMIT_S = 100
LOGS = {
    "celery/beat.log",
    "celery/binanceRestWorker.log",
    "celery/bitfinexRestWorker.log",
    "celery/bittrexRestWorker.log",
    "celery/flower.log",
    "postgres/postgres.log",
    "redis/redis.log",
    "simulator.log",
    "supervisor.log",
    "web.log",
    "websockets/binance_websocket.log",
    "websockets/bitfinex_websocket.log",
    "websockets/bittrex_websocket.log",
    "websockets/updater_websocket.log",
}


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=20) as answer:
        body = answer.read()
    return json.loads(body) if answer.headers["content-type"].startswith("application/json") else body.decode()


def files(folder: Path, pattern: str) -> dict[str, str]:
    """What is in the files below `folder`, by their path there."""
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob(pattern)}


async def status(world: World) -> tuple[int, str]:
    """What a second terminal sees, which knows nothing but the folder."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "scripts.cli",
        "status",
        cwd=ROOT,
        env={name: world.environ[name] for name in ("PATH", "HOME", "DATA_DIR")},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    return process.returncode or 0, said.decode()


async def stored(world: World, exchange: str, base: str, quote: str) -> list[list[float]]:
    connection = await asyncpg.connect(load_settings(world.environ, "none").database_url, ssl=False)
    try:
        rows = await connection.fetch(
            "SELECT (extract(epoch FROM time) * 1000)::bigint, open, high, low, close, volume FROM ohlcvs"
            " WHERE exchange = $1 AND base_id = $2 AND quote_id = $3 ORDER BY time",
            *(exchange, base, quote),
        )
    finally:
        await connection.close()
    return [list(row) for row in rows]


async def filled(world: World, exchange: str) -> list[list[float]]:
    """Bitcoin's candles, once the first day is there."""
    async with asyncio.timeout(LIMIT_S):
        while len(rows := await stored(world, exchange, "BTC", "USDT")) < 24 * 60:  # noqa: ASYNC110  another process
            await asyncio.sleep(0.5)
    return rows


@pytest.mark.timeout(240)
async def test_the_demo_fills_a_day_streams_three_exchanges_and_leaves_nothing_behind() -> None:
    with start.world("scripts.cli", "up", "--demo") as world:
        async with world.start() as instance:
            line = await instance.line(LIMIT_S)
            while line.startswith("Waiting for "):
                line = await instance.line(LIMIT_S)
            web = f"http://127.0.0.1:{world.ports['WEB_PORT']}"
            ready = f"Candlehouse is ready with simulated exchanges: {web}/view/wschart (Ctrl-C stops it)"
            assert line == ready
            code, said = await status(world)
            live = [line.split()[:2] for line in said.splitlines() if " connected " in line]
            assert (code, [name for name, _ in live]) == (0, ["binance", "bitfinex", "bittrex"])
            assert "wschart.js" in get(f"{web}/view/wschart")
            assert "analytics" in get(f"{web}/view/analytics/general")
            assert get(f"http://127.0.0.1:{world.ports['CELERY_PORT']}/")
            for exchange in ("binance", "bitfinex", "bittrex"):
                rows = await filled(world, exchange)
                market = f"exchange={exchange}&base_id=BTC&quote_id=USDT"
                span = f"start={rows[0][0]}&end={rows[-1][0] + 60_000}"
                truth = {
                    row[0]: row
                    for row in get(f"http://127.0.0.1:{world.ports['SIMULATOR_PORT']}/_sim/truth?{market}&{span}")
                }
                assert [row for row in rows if row != truth[row[0]]] == []
            logs = files(world.folder / "logs", "*.log")
            assert set(logs) == LOGS
            secrets = files(world.folder / "data/demo", "*.password").values()
            assert [word for word in secrets for text in (*logs.values(), said) if word.strip() in text] == []

            code, said = await instance.end(signal.SIGTERM)
            assert (code, said.splitlines()[-1]) == (0, "Everything is stopped.")
        assert world.leftovers() == []
