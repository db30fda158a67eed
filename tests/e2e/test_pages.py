"""The pages as a person sees them, in a real browser."""

import json
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import pytest
from redis.asyncio import Redis

from common.interval import Interval
from common.market import Bar
from tests.fixtures.browser import DESKTOP, PHONE, Size, Theme, browser_page
from tests.fixtures.chart import BARS, MARKET, MINUTE, address, deps, filled_url, open_chart, stream
from tests.fixtures.web import aggregate, listening
from web.deps import Deps, FetchProgress

__all__ = ["address", "deps", "filled_url"]


#: How many pixels of the candles' canvas have about the colour of a CSS variable.
PIXELS = """name => {
  const [r, g, b] = getComputedStyle(document.documentElement).getPropertyValue(name).trim()
    .slice(1).match(/../g).map(part => parseInt(part, 16));
  return [...document.querySelectorAll('#chart canvas')].reduce((sum, canvas) => {
    if (!canvas.width || !canvas.height) return sum;
    const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    for (let i = 0; i < data.length; i += 4) {
      sum += Math.abs(data[i] - r) + Math.abs(data[i + 1] - g) + Math.abs(data[i + 2] - b) < 6;
    }
    return sum;
  }, 0);
}"""


#: How far what was shown has moved, as the Layout Instability API measures it, which calls a tenth good.
JUMPS = """window.jumped = 0;
new PerformanceObserver(list => { for (const { value } of list.getEntries()) window.jumped += value; })
  .observe({ type: 'layout-shift', buffered: true });"""
LITTLE = 0.02


async def test_the_chart_draws_candles_indicators_and_the_legend_of_the_newest_bar(address: str) -> None:
    async with browser_page() as seen:
        await open_chart(seen, address, "?exchange=binance&base_id=BTC&quote_id=USDT&range=1h&ind=sma:10")
        assert await seen.text("#symbol") == "BTC/USDT"
        last = BARS[-1]
        wanted = {"O": last.open, "H": last.high, "L": last.low, "C": last.close}
        wanted["SMA 10"] = sum(bar.close for bar in BARS[-10:]) / 10
        for part, value in wanted.items():
            assert await seen.text(f"#legend [data-part='{part}']") == f"{part}{value:,.2f}"
        assert seen.complaints == []
        for colour in ("--up", "--down", "--study-1"):
            assert await seen.page.evaluate(PIXELS, colour) > 200, colour


async def test_a_market_is_shown_and_found_by_the_name_that_it_had(address: str) -> None:
    async with browser_page() as seen:
        await open_chart(seen, address, "?exchange=binance&base_id=OLDPEPE&quote_id=USDT&range=1h")
        assert await seen.text("#symbol") == "PEPE/USDT"
        await seen.page.fill("#search", "oldpepe")
        await seen.until("document.querySelector('#found [role=option] span')?.textContent === 'PEPE/USDT'")
        assert seen.complaints == []


async def test_each_range_button_shows_its_interval(address: str) -> None:
    async with browser_page() as seen:
        await open_chart(seen, address)
        for name, interval in [
            ("1h", "1m"),
            ("6h", "5m"),
            ("1D", "15m"),
            ("3D", "30m"),
            ("7D", "1h"),
            ("1M", "6h"),
            ("3M", "12h"),
            ("1Y", "1D"),
            ("3Y", "7D"),
        ]:
            await seen.page.click(f"#ranges [data-range='{name}']")
            bars = min(500, len(aggregate(BARS, Interval(interval))))
            await seen.until(f"document.getElementById('chart').dataset.bars === '{bars}'")
            pressed = "[...document.querySelectorAll('.buttons [aria-pressed=true]')].map(b => b.textContent)"
            assert await seen.page.evaluate(pressed) == [interval, name]
        assert seen.complaints == []


async def test_a_part_of_a_name_finds_a_market_and_its_prices_keep_their_decimals(
    address: str,
) -> None:
    async with browser_page() as seen:
        await open_chart(seen, address)
        await seen.page.fill("#search", "binance pe")
        await seen.until("document.querySelectorAll('#found [role=option]').length === 1")
        assert await seen.page.locator("#found [role=option]").all_inner_texts() == ["PEPE/USDT\nbinance"]
        await seen.page.press("#search", "Enter")
        await seen.until("document.getElementById('symbol').textContent === 'PEPE/USDT'")
        await seen.until("document.getElementById('price').textContent.startsWith('0.0000')")
        assert len(await seen.text("#price")) == len("0.00001234")
        assert "base_id=PEPE" in seen.page.url
        assert seen.complaints == []


async def test_a_markets_name_is_never_read_as_html(address: str) -> None:
    async with browser_page() as seen:
        await open_chart(seen, address)
        await seen.page.fill("#search", "onerror")
        await seen.page.press("#search", "Enter")
        await seen.until("document.getElementById('symbol').textContent.includes('onerror')")
        await seen.page.goto(f"http://{address}/view/analytics/general")
        await seen.until("document.querySelectorAll('#wr-table tr').length > 1")
        assert await seen.page.locator("img[src=x]").count() == 0
        assert seen.complaints == []


async def test_live_bars_move_the_chart_without_a_reload(address: str, redis_client: Redis) -> None:
    async with browser_page() as seen:
        await open_chart(seen, address)
        before = await seen.page.get_attribute("#chart", "data-bars")
        await stream(redis_client, Bar(MINUTE, 50_000.0, 70_000.0, 40_000.0, 65_432.1, 1.0))
        await seen.until("document.getElementById('price').textContent === '65,432.10'")
        assert await seen.page.get_attribute("#chart", "data-bars") == str(int(before or 0) + 1)
        assert (await seen.text("#connection")).startswith("Live")
        assert seen.complaints == []


async def test_a_lost_connection_is_shown_and_comes_back_by_itself(deps: Deps, redis_client: Redis) -> None:
    async with AsyncExitStack() as stack, browser_page() as seen:
        first = await stack.enter_async_context(AsyncExitStack())
        address = await first.enter_async_context(listening(deps))
        await open_chart(seen, address)
        await first.aclose()
        await seen.until("document.getElementById('connection').dataset.state === 'waiting'")
        assert " ".join((await seen.text("#connection")).split()).startswith("Reconnecting ")
        await stack.enter_async_context(listening(deps, port=int(address.rpartition(":")[2])))
        await stream(redis_client, Bar(MINUTE, 50_000.0, 70_000.0, 40_000.0, 61_234.5, 1.0))
        await seen.until("document.getElementById('connection').dataset.state === 'live'")
        await seen.until("document.getElementById('price').textContent === '61,234.50'")


async def test_the_progress_of_fetches_is_shown(deps: Deps) -> None:
    async def jobs() -> list[FetchProgress]:
        return [FetchProgress(1, "binance", "running", 20_000, 5_000, 15_000, 15, 0)]

    async with listening(replace(deps, jobs=jobs)) as address, browser_page() as seen:
        await open_chart(seen, address)
        await seen.until("document.querySelector('#fills progress')")
        wanted = "Filling the history of binance\n75 % · 15,000 of 20,000 minutes"
        assert (await seen.text("#fills")).replace("\n\n", "\n") == wanted


async def test_a_market_without_candles_says_so(address: str) -> None:
    async with browser_page() as seen:
        await seen.page.goto(f"http://{address}/view/wschart?exchange=bitfinex&base_id=BTC&quote_id=USDT")
        await seen.until("document.getElementById('cover').textContent.includes('No candles')")
        assert await seen.text("#cover") == "No candles of BTC/USDT on bitfinex are stored yet."


async def test_an_address_of_an_unknown_market_says_so_and_leads_to_the_list(address: str) -> None:
    async with browser_page() as seen:
        name = "exchange=binance&base_id=%3Cimg+src=x%3E&quote_id=USDT&range=6h"
        await seen.page.goto(f"http://{address}/view/wschart?{name}")
        await seen.until("document.getElementById('cover').textContent.includes('no market')")
        wanted = "binance has no market <img src=x>/USDT."
        assert await seen.text("#cover p") == wanted
        assert (await seen.text("#symbol"), await seen.page.is_hidden("#exchange")) == ("Unknown market", True)
        await seen.until("document.getElementById('connection').innerText.trim() === 'No market'")
        assert await seen.page.get_attribute("#chart", "data-bars") == "0"
        await seen.page.click("#cover button")
        await seen.page.click("#found [role=option]:has-text('PEPE')")
        await seen.until("+document.getElementById('chart').dataset.bars > 0")
        pressed = await seen.text("#intervals [aria-pressed=true]")
        assert (await seen.text("#symbol"), pressed) == ("PEPE/USDT", "5m")
        assert all("404" in told for told in seen.complaints)


@pytest.mark.parametrize(
    "broken", ["{", "null", "?exchange=binance&base_id=GONE&quote_id=USDT", "?interval=0m&tz=Mars"]
)
async def test_what_the_browser_remembers_wrongly_is_passed_over(address: str, broken: str) -> None:
    async with browser_page() as seen:
        keep = "localStorage.setItem('chart', {0}); localStorage.setItem('theme', {0})"
        await seen.page.add_init_script(keep.format(json.dumps(broken)))
        await open_chart(seen, address)
        assert await seen.text("#symbol") == "BTC/USDT"
        assert await seen.page.get_attribute("html", "data-theme") == "dark"
        assert all("404" in told for told in seen.complaints)


async def test_the_analytics_page_draws_two_tables_a_pie_and_two_histograms(address: str) -> None:
    async with browser_page() as seen:
        await seen.page.goto(f"http://{address}/view/analytics/general")
        await seen.until("document.querySelectorAll('.figure canvas').length === 3")
        for table in ("geodr-table", "wr-table"):
            assert await seen.page.locator(f"#{table} tbody tr").count() > 0
        assert "BTC-USDT" in await seen.text("#volume-key")
        assert seen.complaints == []


async def test_a_table_is_sorted_by_the_column_that_is_chosen_and_back(address: str) -> None:
    async with browser_page() as seen:
        await seen.page.goto(f"http://{address}/view/analytics/general")
        await seen.until("document.querySelectorAll('#wr-table tbody tr').length > 1")
        rows = "#wr-table tbody tr"
        returns = await seen.page.locator(f"{rows} td:last-child").all_inner_texts()
        names = await seen.page.locator(f"{rows} td:nth-child(2)").all_inner_texts()
        await seen.page.click("#wr-table th:last-child button")
        assert await seen.page.locator(f"{rows} td:last-child").all_inner_texts() == returns
        await seen.page.click("#wr-table th:last-child button")
        assert await seen.page.locator(f"{rows} td:last-child").all_inner_texts() == returns[::-1]
        assert await seen.page.get_attribute("#wr-table th:last-child", "aria-sort") == "ascending"
        await seen.page.press("#wr-table th:nth-child(2) button", "Enter")
        assert await seen.page.locator(f"{rows} td:nth-child(2)").all_inner_texts() == sorted(names)
        assert seen.complaints == []


async def test_under_a_path_of_a_proxy_every_page_finds_its_parts(deps: Deps) -> None:
    async with listening(deps, root="/candles") as address, browser_page() as seen:
        await open_chart(seen, f"{address}/candles")
        for page in ("Analytics", "Coverage", "Chart"):
            await seen.page.click(f"nav >> text={page}")
            await seen.until("document.readyState === 'complete'")
            assert seen.page.url.startswith(f"http://{address}/candles/view/")
        await seen.until("+document.getElementById('chart').dataset.bars > 0")
        assert seen.complaints == []


@pytest.mark.parametrize("path", ["/view/wschart", "/view/analytics/general"])
async def test_a_page_fits_a_phone_and_a_desktop_in_both_themes(address: str, path: str, tmp_path: Any) -> None:
    looks: dict[str, tuple[Size, Theme]] = {"phone": (PHONE, "light"), "desktop": (DESKTOP, "dark")}
    for name, look in looks.items():
        async with browser_page(*look) as seen:
            await seen.page.goto(f"http://{address}{path}")
            await seen.page.locator(".widgets").scroll_into_view_if_needed()
            await seen.until("document.querySelectorAll('.figure canvas').length === 3")
            assert not await seen.is_wider_than_its_window()
            await seen.page.screenshot(path=tmp_path / f"{name}.png", full_page=True)
            assert (tmp_path / f"{name}.png").stat().st_size > 20_000
            assert seen.complaints == []


@pytest.mark.parametrize(
    "path",
    [
        f"/view/wschart?{MARKET}&interval=1m&ind=sma:20,rsi:14&vs=bittrex",
        "/view/analytics/general",
        "/view/coverage",
        "/view/status",
    ],
)
async def test_a_page_asks_no_other_host_and_nothing_in_it_jumps(address: str, path: str) -> None:
    asked: list[str] = []
    async with browser_page() as seen:
        seen.page.on("request", lambda request: asked.append(request.url))
        seen.page.on("websocket", lambda socket: asked.append(socket.url))
        await seen.page.add_init_script(JUMPS)
        await seen.page.goto(f"http://{address}{path}")
        await seen.until("performance.getEntriesByType('resource').some(({name}) => name.includes('/api/'))")
        await seen.page.wait_for_load_state("networkidle")
        assert {urlsplit(url).netloc for url in asked if not url.startswith(("data:", "blob:"))} == {address}
        assert await seen.page.evaluate("window.jumped") < LITTLE
        assert seen.complaints == []
