"""The chart as a trader uses it, in a real browser: what is drawn is what the database holds."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

import pytest
from redis.asyncio import Redis

from app.stores.database import Database
from app.stores.heartbeat import tell
from common.interval import Interval
from common.market import Bar, Source
from common.span import MINUTE_MS
from common.timeframe import parse
from tests.fixtures.browser import PHONE, browser_page
from tests.fixtures.chart import (
    BARS,
    MARKET,
    MINUTE,
    PLOT,
    QUERY,
    address,
    deps,
    drawn,
    filled_url,
    five,
    open_chart,
    stream,
    visible,
)
from tests.fixtures.web import (
    BTC,
    NOW_MS,
    SetClock,
    aggregate,
    every_minute,
    listening,
    minutes,
    store,
    web_deps,
)
from web.deps import Deps

__all__ = ["address", "deps", "filled_url"]


async def test_every_stored_timeframe_has_a_button_and_draws_the_bars_of_the_database(
    address: str, deps: Deps
) -> None:
    market = await deps.symbols.find("binance", "BTC", "USDT")
    assert market is not None
    async with browser_page() as seen:
        await open_chart(seen, address, f"?{MARKET}")
        for interval in reversed(Interval):
            await seen.page.click(f"#intervals [data-interval='{interval}']")
            stored = await deps.candles.read(market.id, interval, None, NOW_MS, 500)
            await seen.until(f"+document.getElementById('chart').dataset.bars === {len(stored)}")
            await seen.until(f"document.getElementById('chart').ariaLabel.endsWith(' bars of {interval}')")
            await seen.until(f"{QUERY}.includes('interval={interval}')")
            assert five(await drawn(seen)) == five(stored)
        assert seen.complaints == []


@pytest.mark.parametrize(("typed", "name"), [("7m", "7m"), ("120", "2h"), ("3D", "3D"), ("1W", "7D")])
async def test_any_other_timeframe_can_be_typed(address: str, typed: str, name: str) -> None:
    wanted = aggregate(BARS, parse(name))[-500:]
    async with browser_page() as seen:
        await open_chart(seen, address, f"?{MARKET}&interval=1D")
        await seen.page.fill("#other", typed)
        await seen.page.press("#other", "Enter")
        await seen.until(f"{QUERY}.includes('interval={name}')")
        await seen.until(f"+document.getElementById('chart').dataset.bars === {len(wanted)}")
        assert [bar[:5] for bar in await drawn(seen)] == [bar[:5] for bar in wanted]
        assert [bar.volume for bar in await drawn(seen)] == pytest.approx([bar.volume for bar in wanted])
        assert seen.complaints == []


async def test_what_is_no_timeframe_is_said_and_changes_nothing(address: str) -> None:
    async with browser_page() as seen:
        await open_chart(seen, address, f"?{MARKET}&interval=5m")
        for typed in ("0m", "7x", "-1h", "99999999m"):
            await seen.page.fill("#other", typed)
            await seen.page.press("#other", "Enter")
            assert (await seen.text("#other-problem")).startswith("Write a number with m, h, D, W, M or Y")
        assert "interval=5m" in seen.page.url
        assert seen.complaints == []


async def test_scrolling_back_prepends_older_bars_and_keeps_the_view(address: str) -> None:
    async with browser_page() as seen:
        await open_chart(seen, address, f"?{MARKET}&interval=1m")
        assert await seen.page.is_hidden("#realtime")
        for bars in (1000, 1500, 2000):
            await seen.page.evaluate(f"{PLOT}.chart.timeScale().setVisibleLogicalRange({{from: 20, to: 140}})")
            await seen.until("new Promise(requestAnimationFrame)")
            view = await visible(seen)
            await seen.until(f"+document.getElementById('chart').dataset.bars === {bars}")
            assert five(await drawn(seen)) == five(BARS[-bars:])
            assert await visible(seen) == view
        await seen.page.focus("#chart")
        for _ in range(30):
            await seen.page.keyboard.press("ArrowLeft")
            await seen.until("new Promise(requestAnimationFrame)")
        await seen.until("+document.getElementById('chart').dataset.bars >= 2500")
        await seen.page.click("#realtime")
        await seen.until("document.getElementById('realtime').hidden")
        assert seen.complaints == []


async def test_a_late_correction_replaces_the_older_bar_in_place(address: str, redis_client: Redis) -> None:
    async with browser_page() as seen:
        await open_chart(seen, address, f"?{MARKET}&interval=1m")
        view = await visible(seen)
        late = Bar(BARS[-30].open_ms, 50_000.0, 60_000.0, 40_000.0, 54_321.5, 77.0)
        await stream(redis_client, late, source=Source.RECORD, corrected=True)
        await seen.until(f"{PLOT}.candles.data().at(-30).close === 54321.5")
        assert five(await drawn(seen)) == five([*BARS[-500:-30], late, *BARS[-29:]])
        assert await visible(seen) == view
        assert seen.complaints == []


async def test_bars_missed_while_the_server_was_down_are_filled_in_without_a_reload(
    database: Database, redis_client: Redis
) -> None:
    clock = SetClock()
    deps = web_deps(database, redis_client, clock)
    await store(database, BTC, BARS[-600:])
    missed = minutes(every_minute(MINUTE, 700), seed=9)
    async with AsyncExitStack() as stack, browser_page() as seen:
        first = await stack.enter_async_context(AsyncExitStack())
        address = await first.enter_async_context(listening(deps))
        await tell(redis_client, "binance", {"state": "connected", "last_candle_ms": NOW_MS})
        await open_chart(seen, address, f"?{MARKET}&interval=1m")
        await seen.page.evaluate("window.sameDocument = true")
        await first.aclose()
        await seen.until("document.getElementById('connection').dataset.state === 'waiting'")
        await store(database, BTC, missed)
        clock.set(NOW_MS + 700 * MINUTE_MS)
        await stack.enter_async_context(listening(deps, port=int(address.rpartition(":")[2])))
        await seen.until("document.getElementById('connection').dataset.state !== 'waiting'")
        await seen.until("+document.getElementById('chart').dataset.bars === 1200")
        assert five(await drawn(seen)) == five([*BARS[-500:], *missed])
        assert await seen.page.evaluate("window.sameDocument")


async def test_the_running_bar_of_a_typed_timeframe_follows_its_minutes(address: str, redis_client: Redis) -> None:
    async with browser_page() as seen:
        await open_chart(seen, address, f"?{MARKET}&interval=2h")
        minute = Bar(MINUTE, 50_000.0, 990_000.0, 40_000.0, 61_111.5, 1.0)
        await stream(redis_client, minute)
        await seen.until(f"{PLOT}.candles.data().at(-1).close === 61111.5")
        wanted = aggregate([*BARS, minute], parse("2h"))[-1]
        last = (await drawn(seen))[-1]
        assert (last[:5], last.volume) == (wanted[:5], pytest.approx(wanted.volume))
        assert seen.complaints == []


async def test_an_older_bar_that_was_corrected_while_the_server_was_down_is_replaced(
    database: Database, redis_client: Redis
) -> None:
    deps = web_deps(database, redis_client, SetClock())
    await store(database, BTC, BARS[-600:])
    await tell(redis_client, "binance", {"state": "connected", "last_candle_ms": NOW_MS})
    async with AsyncExitStack() as stack, browser_page() as seen:
        first = await stack.enter_async_context(AsyncExitStack())
        address = await first.enter_async_context(listening(deps))
        await open_chart(seen, address, f"?{MARKET}&interval=1m")
        await stream(redis_client, Bar(MINUTE, 50_000.0, 70_000.0, 40_000.0, 65_432.1, 1.0))
        await seen.until(f"{PLOT}.candles.data().at(-1).close === 65432.1")
        await first.aclose()
        late = Bar(BARS[-100].open_ms, 50_000.0, 60_000.0, 40_000.0, 54_321.5, 77.0)
        await store(database, BTC, [late])
        await stream(redis_client, late, source=Source.RECORD, corrected=True)
        await stack.enter_async_context(listening(deps, port=int(address.rpartition(":")[2])))
        await seen.until(f"{PLOT}.candles.data().at(-101).close === 54321.5")


async def test_a_choice_stands_in_the_address_and_the_back_button_takes_it_back(address: str) -> None:
    async with browser_page() as seen:
        await open_chart(seen, address, f"?{MARKET}&interval=1m")
        await seen.page.click("#intervals [data-interval='15m']")
        await seen.until(f"{QUERY}.includes('interval=15m')")
        await seen.page.click("#log")
        await seen.page.focus("#zone")
        await seen.page.select_option("#zone", "Asia/Tokyo")
        query = f"?{MARKET}&interval=15m&tz=Asia/Tokyo&log=1"
        await seen.until(f"{QUERY} === '{query}'")
        await seen.page.evaluate("history.go(-3)")
        await seen.until(f"{QUERY} === '?{MARKET}&interval=1m&tz=UTC'")
        await seen.until("document.querySelector('#intervals [aria-pressed=true]').textContent === '1m'")
        assert await seen.page.get_attribute("#log", "aria-pressed") == "false"
        assert await seen.page.input_value("#zone") == "UTC"
        async with browser_page() as other:
            await open_chart(other, address, query)
            wanted = aggregate(BARS, Interval.M15)[-500:]
            assert [bar[:5] for bar in await drawn(other)] == [bar[:5] for bar in wanted]
            assert await other.page.input_value("#zone") == "Asia/Tokyo"
            assert (await other.text("#legend .when")).endswith("15 May 2024 21:30")
        assert seen.complaints == []


async def test_midnights_on_the_axis_are_those_of_the_chosen_zone(address: str) -> None:
    async with browser_page() as seen:
        await open_chart(seen, address, f"?{MARKET}&interval=15m&tz=Asia/Kathmandu")
        told = await seen.page.evaluate(f"""() => {{
            const axis = {PLOT}.axis;
            const points = {PLOT}.candles.data()
                .map(({{time}}) => ({{time: axis.convertHorzItemToInternal(time), timeWeight: 0}}));
            axis.fillWeightsForPoints(points, 0);
            return points.filter(({{timeWeight}}) => timeWeight >= 50).map(({{time}}) => axis.key(time));
        }}""")
        assert told and all((time + 20_700) % 86_400 == 0 for time in told)


async def test_slash_leads_to_the_search_and_arrows_choose(address: str) -> None:
    async with browser_page() as seen:
        await open_chart(seen, address, f"?{MARKET}&interval=1m")
        await seen.page.keyboard.press("/")
        await seen.page.keyboard.type("usdt")
        await seen.until("document.querySelectorAll('#found [role=option]').length > 2")
        names = await seen.page.locator("#found [role=option] span").all_inner_texts()
        await seen.page.keyboard.press("ArrowDown")
        await seen.page.keyboard.press("Enter")
        await seen.until(f"document.getElementById('symbol').textContent === '{names[1]}'")
        await seen.page.keyboard.press("/")
        await seen.page.keyboard.press("Escape")
        assert await seen.page.is_hidden("#found")
        assert seen.complaints == []


async def test_the_switch_changes_the_theme_and_the_system_is_followed_until_then(address: str) -> None:
    async with browser_page(PHONE, "light") as seen:
        await open_chart(seen, address, f"?{MARKET}")
        assert await seen.page.get_attribute("html", "data-theme") == "light"
        await seen.page.emulate_media(color_scheme="dark")
        await seen.until("document.documentElement.dataset.theme === 'dark'")
        await seen.page.click("#theme")
        await seen.until("document.documentElement.dataset.theme === 'light'")
        colour = "getComputedStyle(document.documentElement).getPropertyValue('--surface').trim()"
        drawn_on = f"{PLOT}.chart.options().layout.background.color"
        assert await seen.page.evaluate(drawn_on) == await seen.page.evaluate(colour) == "#fff"
        await seen.page.reload()
        assert await seen.page.get_attribute("html", "data-theme") == "light"
        assert seen.complaints == []


async def test_a_silent_exchange_and_one_without_a_stream_are_not_called_live(
    deps: Deps, redis_client: Redis
) -> None:
    now: dict[Any, Any] = {"state": "connected", "last_candle_ms": NOW_MS - 600_000}
    await tell(redis_client, "binance", now)
    async with listening(replace(deps)) as address, browser_page() as seen:
        await seen.page.goto(f"http://{address}/view/wschart?{MARKET}")
        await seen.until("document.getElementById('connection').dataset.state === 'stale'")
        assert " ".join((await seen.text("#connection")).split()) == "Stale 10 min"
        await seen.page.goto(f"http://{address}/view/wschart?exchange=bittrex&base_id=BTC&quote_id=USDT")
        await seen.until("document.getElementById('connection').dataset.state === 'stored'")
        assert await seen.text("#connection") == "Stored history"
        assert seen.complaints == []


async def test_bars_that_are_heard_before_the_history_has_come_are_drawn_and_so_is_what_follows(
    address: str, redis_client: Redis
) -> None:
    told = asyncio.Event()

    async def after_the_snapshot(route: Any) -> None:
        await told.wait()
        await route.continue_()

    def listen(socket: Any) -> None:
        socket.on("framereceived", lambda text: '"snapshot"' in str(text) and told.set())

    async with browser_page() as seen:
        seen.page.on("websocket", listen)
        await seen.page.route("**/api/ohlcvs?*", after_the_snapshot)
        await open_chart(seen, address, f"?{MARKET}&interval=1m")
        running = Bar(MINUTE, 50_000.0, 70_000.0, 40_000.0, 65_432.1, 1.0)
        await stream(redis_client, running)
        await seen.until("document.getElementById('price').textContent === '65,432.10'")
        assert five(await drawn(seen)) == five([*BARS[-500:], running])
        assert seen.complaints == []


async def test_what_a_changing_network_breaks_off_is_asked_for_once_more(address: str) -> None:
    broken: set[str] = set()

    async def once(route: Any) -> None:
        if route.request.url in broken:
            return await route.continue_()
        broken.add(route.request.url)
        await route.abort("internetdisconnected")

    async with browser_page() as seen:
        await open_chart(seen, address, f"?{MARKET}&interval=1m")
        await seen.page.route("**/api/symbols/search?*", once)
        await seen.page.fill("#search", "pepe")
        await seen.until("document.querySelector('#found [role=option] span')?.textContent === 'PEPE/USDT'")
        assert any(url.endswith("q=pepe&limit=50") for url in broken)
