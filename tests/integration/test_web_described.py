"""The WebSocket's documents: what they promise is what is said, and their examples run."""

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from app import roles
from app.stores.database import Database
from common.span import MINUTE_MS
from tests.fixtures.browser import browser_page
from tests.fixtures.described import is_described_wish
from tests.fixtures.live_web import MINUTE, Live, bar, web_with_stream
from tests.fixtures.postgres import free_port
from tests.fixtures.web import BTC, every_minute, listening, minutes, store
from web.live import limits
from web.live.asyncapi import CLOSE_CODES
from web.live.requests import REQUESTS
from web.live.sockets import LINGER_S

ROOT = Path(__file__).parents[2]
REFERENCE = (ROOT / "docs/reference/websocket.md").read_text()
HOWTO = (ROOT / "docs/howto/follow-live-candles.md").read_text()


@pytest.fixture
async def live(database: Database, redis_client: Redis) -> AsyncIterator[Live]:
    async with web_with_stream(database, redis_client) as web:
        yield web


async def test_the_document_is_served_and_all_of_its_references_lead_somewhere(live: Live) -> None:
    async with httpx.AsyncClient() as client:
        document = (await client.get(f"http://{live.address}/api/asyncapi.json")).json()
    assert (document["asyncapi"], document["channels"]["ohlcvs"]["address"]) == ("3.0.0", "/api/ohlcvs")
    found = re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(document))
    for reference in set(found):
        place: Any = document
        for part in reference.split("/"):
            place = place[part]
    assert len(found) > len(REQUESTS)


def test_every_close_code_event_and_limit_of_the_program_is_in_the_reference() -> None:
    assert set(re.findall(r"^\| (1\d{3}) \|", REFERENCE, re.MULTILINE)) == {*map(str, CLOSE_CODES)}
    told = set(re.findall(r"`([a-z_]+)`", " ".join(re.findall(r"^\| (`[^|]+) \|", REFERENCE, re.MULTILINE))))
    assert {*REQUESTS, "batch", "max_rate", "missed", "replayed", "paused"} <= told
    for number in (
        limits.MOST_CLIENTS,
        limits.MOST_SUBSCRIPTIONS,
        limits.MOST_SNAPSHOTS,
        limits.MOST_MESSAGE,
        limits.MOST_MESSAGES_AT_ONCE,
    ):
        assert f"{number:,}" in REFERENCE
    waiting = f"{limits.MOST_WAITING_BYTES // 1024} KiB for {limits.FULL_FOR_S:.0f} s"
    at_once = f"{limits.MOST_WAITING:,} candles, or anything for {limits.SEND_LIMIT_S:.0f} s"
    assert f"{waiting}, {at_once}" in REFERENCE
    assert f"cut off {limits.CLOSE_LIMIT_S + LINGER_S:.0f} s later" in " ".join(REFERENCE.split())
    assert roles.MOST_MESSAGE_BYTES == 4 * limits.MOST_MESSAGE  # what a character takes at most


def test_every_wish_that_the_documents_show_is_described() -> None:
    shown = re.findall(r'(?:^|`)(\{"event_type".*\})(?:$|`)', REFERENCE + HOWTO, re.MULTILINE)
    assert len(shown) >= 3
    assert [one for one in shown if not is_described_wish(json.loads(one))] == []


def example(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", HOWTO, re.DOTALL)
    return str(found)


#: Until somebody who was dropped tries again.
PATIENCE_S = 30
HOUR = MINUTE - MINUTE % (60 * MINUTE_MS)


async def test_the_example_in_python_tells_each_candle_and_goes_on_after_a_drop(
    live: Live, database: Database, tmp_path: Path
) -> None:
    history = minutes(every_minute(MINUTE - 10 * MINUTE_MS, 10))
    await store(database, BTC, history)
    port = free_port()
    program = tmp_path / "follow.py"
    program.write_text(example("python"))
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(program), f"ws://127.0.0.1:{port}/api/ohlcvs", stdout=asyncio.subprocess.PIPE
    )
    lines: list[str] = []

    async def until(line: str) -> None:
        assert process.stdout is not None
        async with asyncio.timeout(PATIENCE_S):
            while line not in lines:
                lines.append((await process.stdout.readline()).decode().strip())

    try:
        async with listening(live.deps, port):
            await until(f"binance:BTC:USDT@1m {history[-1].open_ms} {history[-1].close} closed")
            assert len(lines) == 3
            for price in (101, 102):
                await live.stream(bar(MINUTE, price))
                await until(f"binance:BTC:USDT@1h {HOUR} {price}.0 running")
        await live.stream(bar(MINUTE, 103), source=2)
        await live.stream(bar(MINUTE + MINUTE_MS, 104))
        async with listening(live.deps, port):
            await until(f"binance:BTC:USDT@1h {HOUR} 104.0 running")
        own = [line.split()[1:] for line in lines if line.startswith("binance:BTC:USDT@1m")]
    finally:
        process.terminate()
        await process.wait()
    told = [[str(MINUTE), f"{price}.0", "running"] for price in (101, 102)]
    told += [[str(MINUTE), "103.0", "closed"], [str(MINUTE + MINUTE_MS), "104.0", "running"]]
    assert own[3:] == told


async def test_the_example_for_a_browser_tells_each_candle_and_goes_on_after_a_drop(
    live: Live, database: Database
) -> None:
    history = minutes(every_minute(MINUTE - 10 * MINUTE_MS, 10))
    await store(database, BTC, history)
    port = free_port()
    begin = "window.seen = []; window.stop = follow(['binance:BTC:USDT@1m'], one => seen.push(one));"
    async with browser_page() as watched:
        async with listening(live.deps, port) as address:
            await watched.page.goto(f"http://{address}/view/coverage")
            await watched.page.evaluate(f"(() => {{ {example('js')} {begin} }})()")
            await watched.until("seen.length === 3")
            await live.stream(bar(MINUTE, 101))
            await watched.until("seen.length === 4")
        await live.stream(bar(MINUTE, 103), source=2)
        await live.stream(bar(MINUTE + MINUTE_MS, 104))
        async with listening(live.deps, port):
            await watched.until("seen.some(one => one.close === 104)")
            seen = await watched.page.evaluate("seen")
            await watched.page.evaluate("stop()")
    told = [(one["time"], one["close"], one["closed"]) for one in seen]
    wanted = [(one.open_ms, one.close, True) for one in history[-3:]]
    wanted += [(MINUTE, 101, False), (MINUTE, 103, True), (MINUTE + MINUTE_MS, 104, False)]
    assert told == wanted
