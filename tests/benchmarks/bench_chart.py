"""How long until candles are on the screen, with a year of minutes stored: from asking for the page on."""

import asyncio
import json
import statistics
from typing import Any

import pytest

from common.clock import Clock
from tests.benchmarks.bench_api import fill, running_web
from tests.fixtures.browser import DESKTOP, PHONE, Size, browser_page
from tests.fixtures.chart import MARKET

TIMES = 7
#: The moment, in ms since the page was asked for, at which the frame after the candles' drawing has been shown.
PAINTED = """new PerformanceObserver(() => requestAnimationFrame(() => requestAnimationFrame(() => {
  window.painted ??= performance.now();
}))).observe({ type: 'mark' })"""


async def first_paint_ms(address: str, query: str, size: Size) -> float:
    """In a browser that has never seen the page."""
    async with browser_page(size) as seen:
        await seen.page.add_init_script(PAINTED)
        await seen.page.goto(f"http://{address}/view/wschart?{MARKET}&{query}", wait_until="commit")
        await seen.until("window.painted")
        assert int(str(await seen.page.get_attribute("#chart", "data-bars"))) >= 50
        painted: float = await seen.page.evaluate("window.painted")
        return painted


async def measure(address: str) -> list[dict[str, Any]]:
    found = []
    for name, query, size in (
        ("1m", "interval=1m", DESKTOP),
        ("1m, on a phone", "interval=1m", PHONE),
        ("1D", "interval=1D", DESKTOP),
        ("7m with three indicators", "interval=7m&ind=ema:50,rsi:14,macd:12:26:9", DESKTOP),
    ):
        times = [await first_paint_ms(address, query, size) for _ in range(TIMES)]
        figure = {"name": f"first chart paint, {name}, a year stored, median of {TIMES}"}
        found.append(figure | {"value": round(statistics.median(times)), "unit": "ms", "worst": round(max(times))})
    return found


@pytest.mark.benchmark
@pytest.mark.timeout(600)
def test_first_paint(postgres_url: str, redis_url: str) -> None:
    asyncio.run(fill(postgres_url, Clock().now_ms()))
    with running_web(postgres_url, redis_url) as connection:
        for figure in asyncio.run(measure(f"127.0.0.1:{connection.port}")):
            print(json.dumps(figure))
