"""The status page as a person sees and uses it, in a real browser."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis

from app.happening import Kind, happening
from app.keys import Scope, Wish, digest, new_key
from app.stores.database import Database
from app.stores.events import EventStore
from app.stores.heartbeat import tell
from app.stores.keys import KeyStore
from app.stores.plan import PlanStore
from common.market import Instrument
from common.span import DAY_MS, Span
from tests.fixtures.browser import DESKTOP, PHONE, Size, Theme, Watched, browser_page, chromium
from tests.fixtures.contrast import faint
from tests.fixtures.web import BTC, NOW_MS, PEPE, SetClock, listening, store, web_deps

PATH = "/view/status?exchange=binance&symbols=BTC/USDT&from=2024-05-01&to=2024-05-15"
READY = "document.querySelectorAll('#exchanges tbody tr').length > 0"
LONG = Instrument("bitfinex", "A" * 40, "USD", "LONG", "LONG", "USD")


@pytest.fixture
async def address(database: Database, redis_client: Redis) -> AsyncIterator[str]:
    chromium()
    for market in (BTC, PEPE, LONG):
        await store(database, market, [])
    now: dict[Any, Any] = {"state": "connected", "last_candle_ms": NOW_MS, "symbols": 2, "connections": 1}
    await tell(redis_client, "binance", now)
    words = 'one <b>of</b> many words, "quoted", ' + "and_without_a_blank" * 12
    told = [happening(Kind.LOST, "binance", NOW_MS - 60_000, words), happening(Kind.CONNECTED, "binance", NOW_MS)]
    await EventStore(database).write(told)
    async with listening(web_deps(database, redis_client, SetClock())) as found:
        yield found


async def write_key(database: Database) -> str:
    key = new_key()
    await KeyStore(database).add(Wish("writer", Scope.WRITE, 1000, 0), digest(key), NOW_MS)
    return key


async def open_status(seen: Watched, address: str, path: str = PATH) -> None:
    await seen.page.goto(f"http://{address}{path}")
    await seen.until(READY)


async def test_each_exchange_and_event_is_told_in_words(address: str) -> None:
    async with browser_page() as seen:
        await open_status(seen, address)
        await seen.until("document.getElementById('verdict').dataset.state === 'well'")
        assert (await seen.text("#exchanges [data-exchange=binance] .state")).strip() == "Live"
        assert (await seen.text("#exchanges [data-exchange=bitfinex] .state")).strip() == "Not streamed"
        kinds = await seen.page.locator("#events .state").all_inner_texts()
        assert [kind.strip() for kind in kinds] == ["Connected", "Connection lost"]
        assert await seen.page.locator("#events b").count() == 0
        await seen.page.select_option("#events-of", "bitfinex")
        await seen.until("document.getElementById('events').textContent === 'Nothing has happened yet.'")
        assert seen.complaints == []


async def test_a_fetch_is_begun_after_signing_in_with_what_was_typed_and_can_be_stopped(
    address: str, database: Database
) -> None:
    async with browser_page() as seen:
        await open_status(seen, address)
        await seen.page.click("#fetch button")
        await seen.until("document.getElementById('fetch-said').textContent.includes('a key that may write')")
        await seen.page.click("#fetch-said a")
        await seen.page.fill("#token", await write_key(database))
        await seen.page.click("button[type=submit]")
        await seen.until(READY)
        values = [await seen.page.input_value(f"[name={name}]") for name in ("exchange", "symbols", "from", "to")]
        assert values == ["binance", "BTC/USDT", "2024-05-01", "2024-05-15"]
        await seen.page.click("#fetch button")
        await seen.until("document.getElementById('fetch-said').textContent === 'Fetch 1 of 1 market is planned.'")
        await seen.until("document.querySelector('#jobs [data-job=\"1\"] progress')")
        (job,) = await PlanStore(database, SetClock()).unfinished()
        first = 1_714_521_600_000  # 2024-05-01
        assert (job.exchange, job.span) == ("binance", Span(first, NOW_MS // 60_000 * 60_000))
        await seen.page.click("#jobs button")
        await seen.until("document.querySelector('#jobs .state').textContent === 'Cancelled'")
        assert await PlanStore(database, SetClock()).unfinished() == []
        await seen.page.fill("[name=symbols]", "BTC/USTD")
        await seen.page.click("#fetch button")
        await seen.until("document.getElementById('fetch-said').textContent.includes('did you mean')")
        assert all("401" in told or "422" in told for told in seen.complaints)


async def test_how_far_a_fetch_is_moves_without_a_reload(address: str, database: Database) -> None:
    plan = PlanStore(database, SetClock())
    day = Span(NOW_MS // DAY_MS * DAY_MS - DAY_MS, NOW_MS // DAY_MS * DAY_MS)
    number = await plan.create("binance", [1], day)
    async with browser_page() as seen:
        await open_status(seen, address)
        card = f"document.querySelector('#jobs [data-job=\"{number}\"]')"
        await seen.until(f"{card}?.textContent.includes('Waiting for a worker')")
        await seen.until(f"{card}.textContent.includes('0 % of 1,440 minutes')")
        await plan.give_up(number, "the exchange is away")
        await seen.until(f"{card}.textContent.includes('the exchange is away')")
        assert seen.complaints == []


async def test_a_server_that_is_away_is_said_and_what_was_told_stays(
    database: Database, redis_client: Redis
) -> None:
    chromium()
    await store(database, BTC, [])
    async with browser_page() as seen:
        async with listening(web_deps(database, redis_client, SetClock())) as address:
            await open_status(seen, address)
        await seen.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        await seen.until("document.getElementById('verdict').textContent.includes('cannot be reached')")
        await seen.until("document.getElementById('exchanges').classList.contains('old')")
        assert await seen.page.locator("#exchanges tbody tr").count() > 0
        assert await faint(seen.page) == []


async def test_the_page_fits_a_phone_and_a_desktop_in_both_themes(address: str, tmp_path: Any) -> None:
    looks: dict[str, tuple[Size, Theme]] = {"phone": (PHONE, "light"), "desktop": (DESKTOP, "dark")}
    for name, look in looks.items():
        async with browser_page(*look) as seen:
            await open_status(seen, address)
            await seen.until("document.querySelectorAll('#events tbody tr').length === 2")
            assert not await seen.is_wider_than_its_window()
            await seen.page.screenshot(path=tmp_path / f"{name}.png", full_page=True)
            assert seen.complaints == []
