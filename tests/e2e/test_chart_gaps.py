"""What the chart shows where no candle is: quiet minutes look other than missing ones, and each says why."""

from collections.abc import AsyncIterator, Iterator

import pytest
from redis.asyncio import Redis

from app.stores.candles import CandleStore, StoredCandle
from app.stores.database import Database, open_database
from app.stores.heartbeat import tell
from common.span import MINUTE_MS, Span
from tests.fixtures.browser import Watched, browser_page, chromium
from tests.fixtures.chart import MARKET, PLOT, open_chart
from tests.fixtures.ledger import ASKED, OUT, PLANNED, QUIET, REFUSED, T0, fill_ledger
from tests.fixtures.postgres import Server
from tests.fixtures.web import NOW_MS, SetClock, listening, shared_database, web_deps

#: A chart asks so often whether what is missing has come.
LOOKS_AGAIN_MS = 15_000


@pytest.fixture(scope="module")
def filled_url(postgres_server: Server) -> Iterator[str]:
    chromium()
    with shared_database(postgres_server, fill_ledger) as url:
        yield url


@pytest.fixture
async def address(filled_url: str, redis_client: Redis) -> AsyncIterator[str]:
    await tell(redis_client, "binance", {"state": "connected", "last_candle_ms": NOW_MS})
    database = open_database(filled_url)
    async with listening(web_deps(database, redis_client, SetClock())) as found:
        yield found
    await database.close()


async def points(seen: Watched) -> dict[int, str]:
    """What stands at each minute or bucket, by time in ms: bar, quiet, or the state that it is missing in."""
    rows = await seen.page.evaluate(f"""() => {PLOT}.points.map(({{time, close, quiet, missing}}) =>
        [time * 1000, quiet ? 'quiet' : close !== undefined ? 'bar' : missing])""")
    return dict(rows)


async def whole_history(seen: Watched, address: str) -> dict[int, str]:
    """Of the two days, once the coverage has told why minutes are not there."""
    await open_chart(seen, address, f"?{MARKET}&interval=1m")
    await seen.until(f"""(() => {{
        {PLOT}.chart.timeScale().setVisibleLogicalRange({{from: 0, to: 120}});
        return {PLOT}.points[0].time === {T0 // 1000};
    }})()""")
    await seen.until(f"{PLOT}.points.some(({{missing}}) => missing === 'fetching')")
    return await points(seen)


def kinds(told: dict[int, str], span: Span) -> set[str]:
    return {told[at] for at in range(*span, MINUTE_MS)}


async def test_quiet_minutes_and_missing_ones_are_told_apart(address: str) -> None:
    async with browser_page() as seen:
        told = await whole_history(seen, address)
        assert kinds(told, QUIET) == {"quiet"}
        assert kinds(told, OUT) == {"outage"}
        assert kinds(told, ASKED) == {"fetching"}
        assert kinds(told, REFUSED) == {"failed"}
        assert kinds(told, PLANNED) == {"not_asked"}
        gone = [QUIET, OUT, ASKED, REFUSED, PLANNED]
        bars = {at for at, kind in told.items() if kind == "bar"}
        assert bars.isdisjoint(at for span in gone for at in range(*span, MINUTE_MS))
        assert seen.complaints == []


async def test_a_missing_minute_is_whitespace_in_a_band_and_a_quiet_one_a_flat_candle(address: str) -> None:
    async with browser_page() as seen:
        await whole_history(seen, address)
        at = "data().find(({{time}}) => time === {0})"
        quiet, failed = QUIET.start_ms // 1000, REFUSED.start_ms // 1000
        candle = await seen.page.evaluate(f"{PLOT}.candles.{at.format(quiet)}")
        assert [candle[part] for part in ("open", "high", "low", "close")] == [1, 1, 1, 1]
        assert await seen.page.evaluate(f"{PLOT}.candles.{at.format(failed)}") is None
        place = f"{PLOT}.chart.timeScale().timeToIndex({{}})"
        first, last = [await seen.page.evaluate(place.format(at // 1000)) for at in REFUSED]
        assert last - first == REFUSED.minutes()
        assert (await seen.page.evaluate(f"{PLOT}.band.{at.format(failed)}"))["value"] == 1
        assert await seen.page.evaluate(f"{PLOT}.band.{at.format(quiet)}") is None
        assert seen.complaints == []


async def test_a_wider_bar_says_that_minutes_of_it_are_missing(address: str) -> None:
    async with browser_page() as seen:
        await open_chart(seen, address, f"?{MARKET}&interval=3h")
        await seen.until(f"{PLOT}.points.some(({{missing}}) => missing)")
        rows = await seen.page.evaluate(
            f"{PLOT}.points.slice(0, 5).map(({{close, missing}}) => [close, missing ?? null])"
        )
        assert rows == [[1, None], [1, "outage"], [1, "failed"], [1, "not_asked"], [1, None]]
        assert seen.complaints == []


async def test_bars_that_were_missing_appear_when_they_have_been_fetched(
    database: Database, redis_client: Redis
) -> None:
    chromium()
    await fill_ledger(database)
    await tell(redis_client, "binance", {"state": "connected", "last_candle_ms": NOW_MS})
    async with (
        listening(web_deps(database, redis_client, SetClock())) as address,
        browser_page() as seen,
    ):
        await seen.page.clock.install()
        told = await whole_history(seen, address)
        assert kinds(told, REFUSED) == {"failed"}
        await seen.page.evaluate("window.sameDocument = true")
        rows = [StoredCandle(1, at, 3, 4, 2, 3, 1, None, None, 3) for at in range(*REFUSED, MINUTE_MS)]
        await CandleStore(database).write(rows, cover=[(1, REFUSED)])
        await seen.page.clock.fast_forward(LOOKS_AGAIN_MS)
        await seen.until(f"{PLOT}.points.filter(({{close}}) => close === 3).length === {REFUSED.minutes()}")
        assert kinds(await points(seen), REFUSED) == {"bar"}
        assert await seen.page.evaluate("window.sameDocument")
        assert seen.complaints == []
