"""Indicators and the other exchange on the chart, against values computed here from their definitions."""

import statistics
from collections.abc import AsyncIterator, Callable, Sequence
from itertools import pairwise
from typing import Any

import pytest
from redis.asyncio import Redis

from app.stores.database import open_database
from app.stores.heartbeat import tell
from common.market import Bar
from tests.fixtures.browser import Watched, browser_page
from tests.fixtures.chart import (
    BARS,
    MARKET,
    MINUTE,
    OTHER,
    OTHER_BARS,
    QUERY,
    drawn,
    filled_url,
    lines,
    open_chart,
    stream,
)
from tests.fixtures.web import NOW_MS, SetClock, listening, web_deps

__all__ = ["filled_url"]

DAY_MS = 86_400_000
Values = dict[int, float]


@pytest.fixture
async def address(filled_url: str, redis_client: Redis) -> AsyncIterator[str]:
    for exchange in ("binance", "bittrex"):
        await tell(redis_client, exchange, {"state": "connected", "last_candle_ms": NOW_MS})
    database = open_database(filled_url)
    async with listening(web_deps(database, redis_client, SetClock())) as found:
        yield found
    await database.close()


def closes(bars: Sequence[Bar]) -> list[float]:
    return [bar.close for bar in bars]


def windows(bars: Sequence[Bar], length: int, of: Callable[[list[float]], float]) -> Values:
    """`of` the newest closes at each bar that has so many."""
    return {bars[i].open_ms: of(closes(bars[i - length + 1 : i + 1])) for i in range(length - 1, len(bars))}


def exponential(values: Values, length: int, weight: float) -> Values:
    """Seeded by a plain mean."""
    times, found = list(values), {}
    mean = statistics.fmean(values[at] for at in times[:length])
    for at in times[length - 1 :]:
        if found:
            mean = (1 - weight) * mean + weight * values[at]
        found[at] = mean
    return found


def ema(bars: Sequence[Bar], length: int) -> Values:
    return exponential({bar.open_ms: bar.close for bar in bars}, length, 2 / (length + 1))


def rsi(bars: Sequence[Bar], length: int) -> Values:
    pairs = list(pairwise(bars))
    up = {new.open_ms: max(0.0, new.close - old.close) for old, new in pairs}
    down = {new.open_ms: max(0.0, old.close - new.close) for old, new in pairs}
    gains, losses = exponential(up, length, 1 / length), exponential(down, length, 1 / length)
    return {at: 100 - 100 / (1 + gains[at] / losses[at]) for at in gains}


def macd(bars: Sequence[Bar]) -> list[Values]:
    fast, slow = ema(bars, 12), ema(bars, 26)
    line = {at: fast[at] - slow[at] for at in slow}
    signal = exponential(line, 9, 0.2)
    return [line, signal, {at: line[at] - signal[at] for at in signal}]


def vwap(bars: Sequence[Bar]) -> Values:
    """Of each UTC day whose first minute is there."""
    found: Values = {}
    for day in {bar.open_ms // DAY_MS for bar in bars}:
        of_day = [bar for bar in bars if bar.open_ms // DAY_MS == day]
        if of_day[0].open_ms % DAY_MS:
            continue
        for i, bar in enumerate(of_day, 1):
            money = sum((one.high + one.low + one.close) / 3 * one.volume for one in of_day[:i])
            found[bar.open_ms] = money / sum(one.volume for one in of_day[:i])
    return found


def bollinger(bars: Sequence[Bar]) -> list[Values]:
    middle, spread = windows(bars, 20, statistics.fmean), windows(bars, 20, statistics.pstdev)
    return [middle, *({at: middle[at] + side * spread[at] for at in middle} for side in (2, -2))]


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        ("sma:7", lambda bars: [windows(bars, 7, statistics.fmean)]),
        ("ema:21", lambda bars: [ema(bars, 21)]),
        ("bb:20:2", bollinger),
        ("rsi:14", lambda bars: [rsi(bars, 14)]),
        ("macd:12:26:9", macd),
        ("vwap:1D", lambda bars: [vwap(bars)]),
    ],
)
async def test_an_indicator_is_drawn_as_it_is_defined(address: str, written: str, wanted: Any) -> None:
    async with browser_page() as seen:
        await open_chart(seen, address, f"?{MARKET}&interval=1m&ind={written}")
        if written.startswith("vwap"):  # the day's first minutes are loaded for it
            await seen.until("+document.getElementById('chart').dataset.bars >= 1000")
        bars = await drawn(seen)
        assert bars[-1][:6] == BARS[-1][:6]
        for line, values in zip(await lines(seen), wanted(bars), strict=True):
            assert line.keys() == values.keys()
            assert line == pytest.approx(values, rel=1e-9, abs=1e-6)
        assert seen.complaints == []


async def test_an_indicator_follows_live_bars(address: str, redis_client: Redis) -> None:
    async with browser_page() as seen:
        await open_chart(seen, address, f"?{MARKET}&interval=1m&ind=sma:3,rsi:14")
        await stream(redis_client, Bar(MINUTE, 50_000.0, 70_000.0, 40_000.0, 65_432.1, 1.0))
        await seen.until("document.getElementById('price').textContent === '65,432.10'")
        bars = await drawn(seen)
        assert closes(bars)[-1] == 65_432.1
        sma, strength = await lines(seen)
        assert sma == pytest.approx(windows(bars, 3, statistics.fmean), rel=1e-9)
        assert strength == pytest.approx(rsi(bars, 14), rel=1e-9)
        assert seen.complaints == []


async def choose(seen: Watched, kind: str) -> None:
    await seen.page.click(f"#study-kinds [data-kind={kind}]")


async def test_the_menu_adds_changes_and_removes_indicators(address: str) -> None:
    async with browser_page() as seen:
        await open_chart(seen, address, f"?{MARKET}&interval=1m")
        await seen.page.click("#study-open")
        await choose(seen, "sma")
        await choose(seen, "macd")
        await seen.until(f"{QUERY}.endsWith('&ind=sma:20,macd:12:26:9')")
        await seen.page.fill("#study-list [data-study=sma] input", "50")
        await seen.page.press("#study-list [data-study=sma] input", "Enter")
        await seen.until(f"{QUERY}.endsWith('&ind=sma:50,macd:12:26:9')")
        await seen.page.fill("#study-list [data-study=sma] input", "100000")
        await seen.page.press("#study-list [data-study=sma] input", "Enter")
        await seen.until("document.querySelector('[data-study=sma] input').value === '20'")
        await seen.page.click("#study-list [data-study=macd] button")
        await seen.until(f"{QUERY}.endsWith('&ind=sma:20')")
        assert len(await lines(seen)) == 1
        await seen.page.keyboard.press("Escape")
        assert not await seen.page.is_visible("#study-menu")
        assert seen.complaints == []


async def test_the_same_pair_of_another_exchange_is_laid_over_and_follows_live(
    address: str, redis_client: Redis
) -> None:
    async with browser_page() as seen:
        await open_chart(seen, address, f"?{MARKET}&interval=1m")
        await seen.until("!document.getElementById('versus').disabled")
        assert await seen.page.locator("#versus option").all_inner_texts() == [
            "Compare with…",
            "bitfinex",
            "bittrex",
        ]
        await seen.page.select_option("#versus", "bittrex")
        await seen.until(f"{QUERY}.endsWith('&vs=bittrex')")
        await seen.until("document.querySelector('#legend [data-part=versus]')?.textContent.includes('(')")
        assert await lines(seen) == [{bar.open_ms: bar.close for bar in OTHER_BARS}]
        late = Bar(OTHER_BARS[-1].open_ms, 1.0, 2.0, 1.0, 1.5, 3.0)
        await stream(redis_client, late, OTHER)
        told = f"{late.close:.2f}"
        await seen.until(f"document.querySelector('#legend [data-part=versus]').textContent.includes('{told}')")
        assert (await lines(seen))[0][late.open_ms] == late.close
        assert seen.complaints == []
