"""What people need who see little, use no mouse, or want no motion, on every page and in both themes."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from redis.asyncio import Redis

from app.stores.database import open_database
from app.stores.heartbeat import tell
from tests.fixtures.browser import DESKTOP, Theme, Watched, browser_page, chromium
from tests.fixtures.chart import MARKET, fill
from tests.fixtures.postgres import Server
from tests.fixtures.web import NOW_MS, SetClock, listening, shared_database, web_deps

#: Each page, and what is true once it shows everything.
PAGES = {
    f"/view/wschart?{MARKET}&interval=1m&ind=sma:20,rsi:14,macd:12:26:9,vwap:1D,ema:9,bb:20:2&vs=bittrex": (
        "document.querySelectorAll('#legend .ink').length === 7"
    ),
    "/view/analytics/general": "document.querySelectorAll('.figure canvas').length === 3",
    "/view/coverage?from=2024-05-13&to=2024-05-15": "document.querySelector('#map .empty, #map td')",
    "/view/status": "document.querySelectorAll('#exchanges tbody tr').length > 0",
    "/sign-in": "true",
}
#: Text with less contrast to what is behind it than WCAG AA wants: 4.5, or 3 where it is large.
FAINT = """() => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgba = (text) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = text;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const over = (top, under) =>
    [0, 1, 2].map(i => top[i] * top[3] / 255 + under[i] * (1 - top[3] / 255)).concat(255);
  const behind = (element) => {
    if (!element) return [255, 255, 255, 255];
    const own = rgba(getComputedStyle(element).backgroundColor);
    return own[3] === 255 ? own : over(own, behind(element.parentElement));
  };
  const light = (colour) => {
    const [r, g, b] = colour.slice(0, 3).map(part => part / 255)
      .map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (one, other) => {
    const [low, high] = [light(one), light(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const faint = [];
  for (const element of document.querySelectorAll('body *')) {
    const own = [...element.childNodes].filter(node => node.nodeType === 3);
    const text = own.map(node => node.data.trim()).join('');
    if (!text || !element.checkVisibility({ visibilityProperty: true })) continue;
    if (element.closest(':disabled, .chart, .visually-hidden, .skip, noscript')) continue;
    const style = getComputedStyle(element);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    const back = behind(element);
    const found = ratio(over(rgba(style.color), back), back);
    if (found < (large ? 3 : 4.5)) faint.push(`${text.slice(0, 40)}: ${found.toFixed(2)} (${element.className})`);
  }
  return faint;
}"""
#: What can be operated and says nothing to a screen reader.
NAMELESS = """() => [...document.querySelectorAll('a, button, input, select, [role=region], [tabindex="0"]')]
  .filter(element => element.checkVisibility())
  .filter(element => !(element.getAttribute('aria-label') || element.getAttribute('aria-labelledby')
    || element.labels?.length || element.textContent.trim() || element.title))
  .map(element => element.outerHTML.slice(0, 120))"""


@pytest.fixture(scope="module")
def filled_url(postgres_server: Server) -> Iterator[str]:
    chromium()
    with shared_database(postgres_server, fill) as url:
        yield url


@pytest.fixture
async def address(filled_url: str, redis_client: Redis) -> AsyncIterator[str]:
    now: dict[Any, Any] = {"state": "connected", "last_candle_ms": NOW_MS}
    await tell(redis_client, "binance", now)
    database = open_database(filled_url)
    async with listening(web_deps(database, redis_client, SetClock(), token=None, is_public=False)) as found:
        yield found
    await database.close()


async def open_page(seen: Watched, address: str, path: str) -> None:
    await seen.page.goto(f"http://{address}{path}")
    await seen.until(PAGES[path])


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("path", PAGES)
async def test_text_stands_out_and_everything_that_can_be_used_has_a_name(
    address: str, path: str, theme: Theme
) -> None:
    async with browser_page(DESKTOP, theme) as seen:
        await open_page(seen, address, path)
        assert await seen.page.evaluate(FAINT) == []
        assert await seen.page.evaluate(NAMELESS) == []
        assert await seen.page.evaluate("document.querySelectorAll('h1').length") == 1


@pytest.mark.parametrize("path", PAGES)
async def test_the_tab_key_reaches_everything_and_shows_where_it_is(address: str, path: str) -> None:
    async with browser_page() as seen:
        await open_page(seen, address, path)
        count = await seen.page.locator("a:visible, button:visible:enabled, select:visible:enabled").count()
        reached, hidden = set(), []
        for _ in range(count + 25):
            await seen.page.keyboard.press("Tab")
            name, shown = await seen.page.evaluate("""() => {
              const element = document.activeElement, style = getComputedStyle(element);
              const around = getComputedStyle(element.parentElement ?? element, '::after');
              const ring = style.outlineStyle !== 'none' || around.borderStyle === 'solid';
              return [element.outerHTML.slice(0, 90), ring || element === document.body];
            }""")
            reached.add(name)
            if not shown:
                hidden.append(name)
        assert hidden == []
        assert len(reached) >= min(count, 8)


async def test_whoever_wants_no_motion_gets_none(address: str) -> None:
    async with browser_page() as seen:
        await seen.page.emulate_media(reduced_motion="reduce")
        await open_page(seen, address, next(iter(PAGES)))
        moving = """[...document.querySelectorAll('*')].map(element => getComputedStyle(element))
            .filter(style => style.transitionDuration !== '0s' || style.animationName !== 'none').length"""
        assert await seen.page.evaluate(moving) == 0
        kinetic = "document.getElementById('chart').plot.chart.options().kineticScroll.touch"
        assert await seen.page.evaluate(kinetic) is False
