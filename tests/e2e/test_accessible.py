"""What people need who see little, use no mouse, or want no motion, on every page and in both themes."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis

from app.stores.database import open_database
from app.stores.heartbeat import tell
from tests.fixtures.browser import DESKTOP, Theme, Watched, browser_page
from tests.fixtures.chart import MARKET, filled_url
from tests.fixtures.contrast import faint
from tests.fixtures.web import NOW_MS, SetClock, listening, web_deps

__all__ = ["filled_url"]

#: Each page, and what is true once it shows everything.
PAGES = {
    f"/view/wschart?{MARKET}&interval=1m&ind=sma:20,rsi:14,macd:12:26:9,vwap:1D,ema:9,bb:20:2&vs=bittrex": (
        "document.querySelectorAll('#legend .ink').length === 7"
    ),
    "/view/analytics/general": "document.querySelectorAll('.figure canvas').length === 3",
    "/view/coverage?from=2024-05-13&to=2024-05-15": "document.querySelector('#map[aria-busy=false]')",
    "/view/status": "document.querySelectorAll('#exchanges tbody tr').length > 0",
    "/view/nothing": "true",
    "/sign-in": "true",
}
#: What can be operated and says nothing to a screen reader.
NAMELESS = """() => [...document.querySelectorAll('a, button, input, select, [role=region], [tabindex="0"]')]
  .filter(element => element.checkVisibility())
  .filter(element => !(element.getAttribute('aria-label') || element.getAttribute('aria-labelledby')
    || element.labels?.length || element.textContent.trim() || element.title))
  .map(element => element.outerHTML.slice(0, 120))"""


#: What is to be reached by the Tab key and has not been; of radio buttons the chosen one alone is.
STOPS = """() => [...document.querySelectorAll('a[href], button, input, select, summary, [tabindex]')]
  .filter(element => element.tabIndex >= 0 && !element.disabled && element.type !== 'hidden')
  .filter(element => element.checkVisibility({ visibilityProperty: true }) && !element.closest('[inert]'))
  .filter(element => element.type !== 'radio' || element.checked)
  .filter(element => !element.wasReached)
  .map(element => element.outerHTML.slice(0, 120))"""


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
        assert await faint(seen.page) == []
        assert await seen.page.evaluate(NAMELESS) == []
        assert await seen.page.evaluate("document.querySelectorAll('h1').length") == 1


@pytest.mark.parametrize("path", PAGES)
async def test_the_tab_key_reaches_everything_and_shows_where_it_is(address: str, path: str) -> None:
    async with browser_page() as seen:
        await open_page(seen, address, path)
        hidden = []
        for _ in range(len(await seen.page.evaluate(STOPS)) + 25):
            await seen.page.keyboard.press("Tab")
            name, shown = await seen.page.evaluate("""() => {
              const element = document.activeElement, style = getComputedStyle(element);
              const around = getComputedStyle(element.parentElement ?? element, '::after');
              const ring = style.outlineStyle !== 'none' || around.borderStyle === 'solid';
              element.wasReached = true;
              return [element.outerHTML.slice(0, 90), ring || element === document.body];
            }""")
            if not shown:
                hidden.append(name)
        assert hidden == []
        assert await seen.page.evaluate(STOPS) == [], "not reached"


async def test_whoever_wants_no_motion_gets_none(address: str) -> None:
    async with browser_page() as seen:
        await seen.page.emulate_media(reduced_motion="reduce")
        await open_page(seen, address, next(iter(PAGES)))
        moving = """[...document.querySelectorAll('*')].map(element => getComputedStyle(element))
            .filter(style => style.transitionDuration !== '0s' || style.animationName !== 'none').length"""
        assert await seen.page.evaluate(moving) == 0
        kinetic = "document.getElementById('chart').plot.chart.options().kineticScroll.touch"
        assert await seen.page.evaluate(kinetic) is False
