"""Signing in as a person does it, in a real browser."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import SecretStr
from redis.asyncio import Redis

from app.stores.database import Database
from app.stores.heartbeat import tell
from common.span import MINUTE_MS, floor_minute
from tests.fixtures.browser import DESKTOP, PHONE, Size, Theme, Watched, browser_page
from tests.fixtures.web import BTC, NOW_MS, SetClock, every_minute, listening, minutes, store, web_deps

TOKEN = "a-token-that-nobody-guesses"
CHART = "/view/wschart?exchange=binance&base_id=BTC&quote_id=USDT&interval=1m&range=1h&tz=UTC"


@pytest.fixture
async def address(database: Database, redis_client: Redis) -> AsyncIterator[str]:
    await store(database, BTC, minutes(every_minute(floor_minute(NOW_MS) - 90 * MINUTE_MS, 90)))
    now: dict[Any, Any] = {"state": "connected", "last_candle_ms": NOW_MS}
    await tell(redis_client, "binance", now)
    async with listening(web_deps(database, redis_client, SetClock(), token=SecretStr(TOKEN))) as found:
        yield found


async def shows_the_live_chart(seen: Watched) -> None:
    await seen.until("+document.getElementById('chart')?.dataset.bars > 0")
    await seen.until("document.getElementById('connection').dataset.state === 'live'")


async def enter(seen: Watched, token: str) -> None:
    await seen.page.fill("#token", token)
    await seen.page.press("#token", "Enter")
    await seen.page.wait_for_load_state()


async def test_a_person_signs_in_once_and_comes_to_the_live_chart_that_was_asked_for(address: str) -> None:
    async with browser_page() as seen:
        await seen.page.goto(f"http://{address}{CHART}")
        assert await seen.text("h1") == "Sign in"
        assert await seen.page.evaluate("document.activeElement.id") == "token"
        await enter(seen, TOKEN)
        await shows_the_live_chart(seen)
        assert seen.page.url == f"http://{address}{CHART}"
        assert await seen.page.evaluate("document.cookie") == ""
        assert seen.complaints == []


async def test_a_wrong_token_is_told_and_the_right_one_still_leads_on(address: str) -> None:
    async with browser_page() as seen:
        await seen.page.goto(f"http://{address}{CHART}")
        await enter(seen, "another-token-altogether")
        await seen.until("document.getElementById('problem')")
        assert await seen.text("#problem") == "That is neither the token nor a key."
        assert await seen.page.get_attribute("#token", "aria-invalid") == "true"
        assert await seen.page.input_value("#token") == ""
        await enter(seen, TOKEN)
        await shows_the_live_chart(seen)


async def test_whoever_is_signed_in_may_follow_a_link_from_another_site(address: str) -> None:
    async with browser_page() as seen:
        await seen.page.goto(f"http://{address}/")
        await enter(seen, TOKEN)
        await shows_the_live_chart(seen)
        elsewhere = f"http://localhost:{address.rpartition(':')[2]}"
        await seen.page.goto(f"{elsewhere}/sign-in")
        link = f"const a = document.createElement('a'); a.href = 'http://{address}{CHART}'; a.click()"
        await seen.page.evaluate(link)
        await seen.page.wait_for_url(f"http://{address}{CHART}")
        await shows_the_live_chart(seen)
        assert seen.page.url == f"http://{address}{CHART}"


async def test_signing_out_ends_it_and_an_open_page_leads_to_signing_in(address: str) -> None:
    async with browser_page() as seen:
        await seen.page.goto(f"http://{address}{CHART}")
        await enter(seen, TOKEN)
        await shows_the_live_chart(seen)
        await seen.page.context.clear_cookies()
        await seen.page.click("#ranges [data-range='6h']")
        await seen.until("document.getElementById('token')")
        await enter(seen, TOKEN)
        await shows_the_live_chart(seen)
        await seen.page.click("text=Sign out")
        await seen.until("document.getElementById('token')")
        await seen.page.goto(f"http://{address}{CHART}")
        assert await seen.text("h1") == "Sign in"


@pytest.mark.parametrize(("size", "theme"), [(PHONE, "light"), (DESKTOP, "dark")])
async def test_the_page_fits_its_window(address: str, size: Size, theme: Theme) -> None:
    async with browser_page(size, theme) as seen:
        await seen.page.goto(f"http://{address}/sign-in")
        await enter(seen, "wrong")
        await seen.until("document.getElementById('problem')")
        assert not await seen.is_wider_than_its_window()
        box = await seen.page.locator("form.sign-in").bounding_box()
        assert box and box["x"] >= 0 and box["y"] + box["height"] <= size[1]
