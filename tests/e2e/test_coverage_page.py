"""The coverage page as a person sees and uses it, in a real browser."""

import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from redis.asyncio import Redis

from app.stores.database import Database, open_database
from tests.fixtures.browser import DESKTOP, PHONE, Size, Theme, Watched, browser_page, chromium
from tests.fixtures.ledger import fill_ledger
from tests.fixtures.postgres import Server
from tests.fixtures.web import SetClock, listening, shared_database, web_deps

PATH = "/view/coverage?from=2024-05-13&to=2024-05-15"
CELLS = "document.querySelectorAll('#map td[tabindex]').length"


@pytest.fixture(scope="module")
def filled_url(postgres_server: Server) -> Iterator[str]:
    chromium()
    with shared_database(postgres_server, fill_ledger) as url:
        yield url


@pytest.fixture
async def address(filled_url: str, redis_client: Redis) -> AsyncIterator[str]:
    database = open_database(filled_url)
    async with listening(web_deps(database, redis_client, SetClock())) as found:
        yield found
    await database.close()


async def open_map(seen: Watched, address: str, path: str = PATH) -> None:
    await seen.page.goto(f"http://{address}{path}")
    await seen.until(f"{CELLS} > 0")


def cell(row: int, column: int) -> str:
    return f"#map tbody tr:nth-child({row}) td:nth-child({column + 1})"


async def test_each_market_has_a_cell_a_day_that_says_its_states_in_words(address: str) -> None:
    async with browser_page() as seen:
        await open_map(seen, address)
        assert await seen.page.evaluate(CELLS) == 2 * 3
        assert await seen.page.get_attribute(cell(1, 1), "aria-label") == (
            "BTC/USDT on binance, 13 May 2024. Nothing known"
        )
        assert await seen.page.get_attribute(cell(1, 2), "aria-label") == (
            "BTC/USDT on binance, 14 May 2024. "
            "Candle stored: 1,110 minutes · 77 %, No trades: 60 minutes · 4.1 %, "
            "Exchange outage: 30 minutes · 2 %, Being fetched: 60 minutes · 4.1 %, "
            "Failed: 120 minutes · 8.3 %, Not asked for yet: 60 minutes · 4.1 %"
        )
        style = str(await seen.page.get_attribute(cell(1, 2), "style"))
        states = ["present", "empty", "outage", "fetching", "failed", "not_asked"]
        assert [name for name in states if f"--fill-{name}" in style] == states
        heights = [int(px) for px in re.findall(r"100% (\d+)px", style)]
        assert (len(heights), min(heights), sum(heights)) == (6, 3, 28)  # what is rare is still to be seen
        assert await seen.page.locator("#states li").count() == len(states)
        assert seen.complaints == []


async def test_arrows_move_enter_opens_the_day_and_its_reasons_are_text(address: str) -> None:
    async with browser_page() as seen:
        await open_map(seen, address)
        await seen.page.focus("#map td[tabindex='0']")
        assert "15 May" in await seen.text("#tip")
        await seen.page.keyboard.press("ArrowLeft")
        assert "1,110 minutes" in await seen.text("#tip")
        await seen.page.keyboard.press("ArrowDown")
        assert "ETH/USDT" in await seen.text("#tip")
        await seen.page.keyboard.press("ArrowUp")
        await seen.page.keyboard.press("Enter")
        await seen.until("document.querySelectorAll('#day tbody tr').length > 0")
        rows = [row.split("\t") for row in (await seen.text("#day tbody")).split("\n")]
        assert [row[0].strip() for row in rows] == [
            *("01:00 – 01:59", "03:00 – 03:29", "05:00 – 05:59", "07:00 – 08:59", "10:00 – 10:59"),
        ]
        assert rows[3][3] == "Malformed: no array but <b>text</b>"
        assert await seen.page.evaluate("document.activeElement.id") == "day-title"
        assert await seen.page.get_attribute("#day header a", "href") == (
            "/view/wschart?exchange=binance&base_id=BTC&quote_id=USDT"
        )
        await seen.page.click("#day button")
        assert await seen.page.is_hidden("#day")
        assert seen.complaints == []


async def test_filters_choose_and_stay_in_the_address(address: str) -> None:
    async with browser_page() as seen:
        await open_map(seen, address)
        await seen.page.fill("#market", "eth")
        assert await seen.page.locator("#map tbody tr:visible").count() == 1
        await seen.page.fill("#from", "2024-05-15")
        await seen.until(f"{CELLS} === 2")
        await seen.page.select_option("#exchange", "bitfinex")
        await seen.until("document.querySelector('#map .empty')")
        assert (await seen.text("#map")).startswith("No minute of any market was wanted yet")
        assert seen.page.url.endswith("?exchange=bitfinex&market=eth&from=2024-05-15&to=2024-05-15")
        await seen.page.select_option("#exchange", "binance")
        await seen.until(f"{CELLS} === 2")
        assert await seen.page.locator("#map tbody tr:visible").count() == 1
        assert seen.complaints == []


async def test_what_cannot_be_shown_is_said_in_a_sentence(address: str) -> None:
    async with browser_page() as seen:
        await seen.page.goto(f"http://{address}/view/coverage?from=2024-05-15&to=2024-05-13")
        await seen.until("document.querySelector('#map .empty').textContent.includes('after the last')")
        await seen.page.goto(f"http://{address}/view/coverage?from=2023-01-01&to=2024-05-13")
        await seen.until("document.querySelector('#map .empty').textContent.includes('At most 93 days at once.')")
        assert await seen.text("#map button") == "Try again"


async def test_a_platform_without_history_says_how_it_comes(database: Database, redis_client: Redis) -> None:
    chromium()
    async with listening(web_deps(database, redis_client, SetClock())) as address, browser_page() as seen:
        await seen.page.goto(f"http://{address}/view/coverage")
        await seen.until("document.querySelector('#map .empty').textContent.startsWith('No minute')")
        assert seen.complaints == []


async def test_the_map_fits_a_phone_and_a_desktop_in_both_themes(address: str, tmp_path: Any) -> None:
    looks: dict[str, tuple[Size, Theme]] = {"phone": (PHONE, "light"), "desktop": (DESKTOP, "dark")}
    for name, look in looks.items():
        async with browser_page(*look) as seen:
            await open_map(seen, address)
            await seen.page.click(cell(1, 2))
            await seen.until("document.querySelectorAll('#day tbody tr').length > 0")
            assert not await seen.is_wider_than_its_window()
            await seen.page.screenshot(path=tmp_path / f"{name}.png", full_page=True)
            assert (tmp_path / f"{name}.png").stat().st_size > 20_000
            assert seen.complaints == []
