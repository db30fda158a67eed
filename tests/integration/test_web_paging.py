"""Walking GET /api/ohlcvs page by page, and asking whether an answer is still the same."""

from collections.abc import AsyncIterator, Iterable, Iterator
from itertools import chain
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from app.stores.candles import LAST_MS, CandleStore
from app.stores.database import Database, open_database
from app.stores.rollups import RollupStore
from app.stores.symbols import SymbolStore
from common.market import Bar
from common.span import MINUTE_MS, floor_minute
from common.timeframe import parse
from tests.fixtures.postgres import Server
from tests.fixtures.web import BTC, NOW_MS, SetClock, every_minute, minutes, rest, shared_database, store, web_deps

END_MS = floor_minute(NOW_MS)
TIMES = sorted(
    {END_MS - n * n * 7 * MINUTE_MS for n in range(1, 120)} | {*every_minute(END_MS - 200 * MINUTE_MS, 150)}
)
BARS = minutes(TIMES)
ASKED: dict[str, Any] = {"exchange": "binance", "base_id": "BTC", "quote_id": "USDT"}
#: Many more than any walk here has.
MOST_PAGES = 50
FRAMES = [("1m", None), ("1h", None), ("7m", None), ("1D", "Europe/Berlin"), ("1M", None)]


async def fill(database: Database) -> None:
    await store(database, BTC, BARS)
    await RollupStore(database).refresh()


@pytest.fixture(scope="module")
def url(postgres_server: Server) -> Iterator[str]:
    with shared_database(postgres_server, fill) as url:
        yield url


@pytest.fixture
async def filled(url: str) -> AsyncIterator[Database]:
    database = open_database(url)
    yield database
    await database.close()


async def truth(database: Database, interval: str, tz: str | None) -> list[list[Any]]:
    symbol = await SymbolStore(database).find("binance", "BTC", "USDT")
    assert symbol is not None
    found = await CandleStore(database).bars(symbol.id, parse(interval, tz), None, LAST_MS, 10_000)
    return [list(bar[:6]) for bar in found]


async def walk(web: httpx.AsyncClient, **asked: Any) -> list[list[list[Any]]]:
    """Every page by its rows."""
    params = {name: one for name, one in {**ASKED, **asked}.items() if one is not None}
    answer = await web.get("/api/ohlcvs", params=params)
    pages = [answer.json()]
    while following := answer.links.get("next"):
        answer = await web.get(answer.url.join(following["url"]))
        assert answer.status_code == 200, answer.text
        pages.append(answer.json())
        assert len(pages) <= MOST_PAGES, "it leads in circles"
    return [[list(row.values()) for row in page] for page in pages]


def joined(pages: Iterable[list[list[Any]]]) -> list[list[Any]]:
    return list(chain.from_iterable(pages))


@pytest.mark.parametrize(("interval", "tz"), FRAMES)
async def test_pages_together_are_every_bar_once_from_either_end(
    filled: Database, redis_client: Redis, interval: str, tz: str | None
) -> None:
    wanted = await truth(filled, interval, tz)
    async with rest(web_deps(filled, redis_client, SetClock())) as web:
        for limit in (len(wanted) // 3, len(wanted)):
            asked = {"interval": interval, "tz": tz, "limit": limit, "format": "json"}
            back = await walk(web, **asked)
            forth = await walk(web, **asked, take="oldest")
            assert joined(reversed(back)) == wanted
            assert joined(forth) == wanted
            assert {len(page) for page in (*back[:-1], *forth[:-1])} <= {limit}
            assert len(back) == len(forth) == -(-len(wanted) // limit)
        start_ms, end_ms = wanted[1][0], wanted[-2][0]
        some = {"interval": interval, "tz": tz, "limit": 1 + len(wanted) // 4, "start": start_ms, "end": end_ms}
        assert joined(reversed(await walk(web, **some))) == wanted[1:-1]
        assert joined(await walk(web, **some, take="oldest")) == wanted[1:-1]


async def test_pages_with_empty_buckets_are_the_same_as_all_at_once(filled: Database, redis_client: Redis) -> None:
    asked = {"interval": "1h", "format": "json", "start": TIMES[60], "end": END_MS - 60_000, "fill": "null"}
    async with rest(web_deps(filled, redis_client, SetClock())) as web:
        (whole,) = await walk(web, **asked, limit=10_000)
        pages = await walk(web, **asked, limit=100)
    assert len(pages) > 3
    # A page begins no earlier than its oldest bar: what is empty before that is in the next one.
    assert joined(reversed(pages)) == whole


async def test_bars_that_come_and_change_between_two_pages_move_no_bound(
    database: Database, redis_client: Redis
) -> None:
    await fill(database)
    clock = SetClock()
    async with rest(web_deps(database, redis_client, clock)) as web:
        for take in ("newest", "oldest"):
            answer = await web.get("/api/ohlcvs", params={**ASKED, "interval": "1m", "limit": "100", "take": take})
            seen = [row["time"] for row in answer.json()]
            await store(database, BTC, [BARS[0], BARS[-1], Bar(floor_minute(clock.now_ms()), 1, 1, 1, 1, 1)])
            clock.set(clock.now_ms() + 5 * MINUTE_MS)
            while following := answer.links.get("next"):
                answer = await web.get(answer.url.join(following["url"]))
                seen += [row["time"] for row in answer.json()]
            late = {floor_minute(NOW_MS)} if take == "oldest" else set()
            assert sorted(seen) == sorted({*TIMES, *late})
            assert len(seen) == len({*seen})


async def test_the_last_page_leads_nowhere_and_what_cannot_be_taken_is_refused(
    filled: Database, redis_client: Redis
) -> None:
    async with rest(web_deps(filled, redis_client, SetClock())) as web:
        for changes in ({"limit": "0"}, {"end": "0"}, {"start": str(TIMES[-3])}):
            for take in ("newest", "oldest"):
                answer = await web.get("/api/ohlcvs", params={**ASKED, "interval": "1m", "take": take, **changes})
                assert "link" not in answer.headers
        for changes in ({"take": "some"}, {"take": "oldest", "fill": "null"}, {"take": "oldest", "as_of": "0"}):
            answer = await web.get("/api/ohlcvs", params={**ASKED, "interval": "1m", **changes})
            assert (answer.status_code, answer.json()["field"]) == (422, "take")
        for form in ("csv", "arrow"):
            asked = {**ASKED, "interval": "1m", "take": "oldest", "limit": "3", "format": form}
            body = (await web.get("/api/ohlcvs", params=asked)).content
            assert form != "csv" or [int(line.split(b",")[0]) for line in body.splitlines()[1:]] == TIMES[:3]


async def test_an_answer_is_the_same_until_a_late_correction_changes_one_of_its_bars(
    database: Database, redis_client: Redis
) -> None:
    await fill(database)
    async with rest(web_deps(database, redis_client, SetClock())) as web:
        for form in ("json", "columns"):
            for interval in ("1m", "1h", "7m"):
                asked = {**ASKED, "interval": interval, "format": form, "end": TIMES[-80], "limit": "50"}
                first = await web.get("/api/ohlcvs", params=asked)
                tag = {"If-None-Match": f'"other", W/{first.headers["etag"].removeprefix("W/")}'}
                again = await web.get("/api/ohlcvs", params=asked, headers=tag)
                assert (again.status_code, again.content) == (304, b"")
                assert again.headers["cache-control"] == first.headers["cache-control"] == "private, no-cache"
                volume = first.json()[-1]["volume"] if form == "json" else first.json()["volume"][-1]
                (old,) = (bar for bar in BARS if bar.open_ms == TIMES[-80])
                late = old._replace(volume=old.volume + volume + len(form) + 1)
                await store(database, BTC, [late])
                changed = await web.get("/api/ohlcvs", params=asked, headers=tag)
                assert changed.status_code == 200
                assert changed.headers["etag"] != first.headers["etag"]
                await store(database, BTC, [old])
                assert (await web.get("/api/ohlcvs", params=asked, headers=tag)).status_code == 304
        whole = await web.get("/api/ohlcvs", params={**ASKED, "interval": "1m", "format": "csv"})
        assert (whole.headers["cache-control"], "etag" in whole.headers) == ("private, no-cache", False)
