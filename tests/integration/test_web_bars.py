"""GET /api/ohlcvs against a real PostgreSQL."""

import random
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from app.stores.database import Database, open_database
from app.stores.rollups import RollupStore
from common.interval import Interval
from common.market import Bar
from common.span import DAY_MS, MINUTE_MS, floor_minute
from common.timeframe import ALLOWED
from tests.fixtures.postgres import Server
from tests.fixtures.web import (
    BTC,
    NOW_MS,
    PEPE,
    UST,
    SetClock,
    aggregate,
    every_minute,
    minutes,
    rest,
    shared_database,
    store,
    web_deps,
)

LAST_MS = floor_minute(NOW_MS) - MINUTE_MS
#: Some minutes of the last 100 days, close together at the end.
SPARSE = sorted(
    {floor_minute(LAST_MS - int(100 * DAY_MS * random.Random(n).random() ** 4)) for n in range(1500)} | {LAST_MS}
)
HISTORY = minutes(SPARSE)
ASKED = {"exchange": "binance", "base_id": "BTC", "quote_id": "USDT", "interval": "1m"}


async def fill_history(database: Database) -> None:
    await store(database, BTC, HISTORY)
    await RollupStore(database).refresh()


@pytest.fixture(scope="module")
def history_url(postgres_server: Server) -> Iterator[str]:
    with shared_database(postgres_server, fill_history) as url:
        yield url


@pytest.fixture
async def web(history_url: str, redis_client: Redis) -> AsyncIterator[httpx.AsyncClient]:
    """Over `HISTORY`, which no test changes."""
    history = open_database(history_url)
    async with rest(web_deps(history, redis_client, SetClock())) as client:
        yield client
    await history.close()


async def ask(web: httpx.AsyncClient, **changes: Any) -> Any:
    answer = await web.get("/api/ohlcvs", params={**ASKED, **changes})
    assert answer.status_code == 200, answer.text
    return answer.json()


def as_rows(bars: list[Bar], unit_ms: int = 1) -> list[dict[str, Any]]:
    names = ("open", "high", "low", "close", "volume")
    return [{"time": bar.open_ms // unit_ms} | dict(zip(names, bar[1:6], strict=True)) for bar in bars]


def same(rows: list[dict[str, Any]], wanted: list[dict[str, Any]]) -> bool:
    """Everything bit by bit, but a sum of volumes within the last digit."""
    return len(rows) == len(wanted) and all(
        row == want | {"volume": pytest.approx(want["volume"], rel=1e-12)}
        for row, want in zip(rows, wanted, strict=True)
    )


async def test_every_interval_serves_the_aggregate_of_its_minutes(web: httpx.AsyncClient) -> None:
    for interval in Interval:
        wanted = as_rows(aggregate(HISTORY, interval))[-500:]
        assert same(await ask(web, interval=interval.value), wanted), interval


async def test_bars_are_exact_between_a_write_and_the_next_refresh(
    database: Database, redis_client: Redis
) -> None:
    await fill_history(database)
    later = [bar._replace(close=bar.low, volume=bar.volume + 1) for bar in HISTORY[-60:-20]]
    await store(database, BTC, later)
    async with rest(web_deps(database, redis_client, SetClock())) as web:
        for interval in Interval:
            wanted = as_rows(aggregate([*HISTORY[:-60], *later, *HISTORY[-20:]], interval))[-500:]
            assert same(await ask(web, interval=interval.value), wanted), interval


async def test_prices_are_served_in_full_precision(database: Database, redis_client: Redis) -> None:
    deps = web_deps(database, redis_client, SetClock())
    tiny = Bar(LAST_MS, 0.00001234, 0.000012345678901234, 1e-8, 0.00001233, 123456789.123456, None, None)
    await store(database, PEPE, [tiny])
    async with rest(deps) as web:
        assert await ask(web, base_id="PEPE") == as_rows([tiny])


async def test_rows_are_the_newest_up_to_the_limit_in_ascending_order(web: httpx.AsyncClient) -> None:
    assert await ask(web) == as_rows(HISTORY[-500:])
    assert await ask(web, limit=3) == as_rows(HISTORY[-3:])
    assert await ask(web, limit=100_000) == as_rows(HISTORY[-500:])
    assert await ask(web, limit=0) == []


async def test_start_and_end_are_cut_to_their_minute_and_both_included(web: httpx.AsyncClient) -> None:
    first, last = HISTORY[-40], HISTORY[-10]
    asked = await ask(web, start=first.open_ms + 59_999, end=last.open_ms + 59_999)
    assert asked == as_rows(HISTORY[-40:-9])


async def test_a_coarse_bucket_belongs_when_it_starts_within(web: httpx.AsyncClient) -> None:
    hours = aggregate(HISTORY, Interval.H1)
    start, end = hours[-9].open_ms, hours[-3].open_ms
    assert same(await ask(web, interval="1h", start=start, end=end), as_rows(hours[-9:-2]))
    assert same(await ask(web, interval="1h", start=start + MINUTE_MS, end=end - MINUTE_MS), as_rows(hours[-8:-3]))


async def test_without_end_the_running_minute_is_not_served(database: Database, redis_client: Redis) -> None:
    deps = web_deps(database, redis_client, SetClock())
    await store(database, BTC, minutes([LAST_MS, LAST_MS + MINUTE_MS]))
    async with rest(deps) as web:
        assert [row["time"] for row in await ask(web)] == [LAST_MS]


async def test_times_are_seconds_when_asked(web: httpx.AsyncClient) -> None:
    assert await ask(web, results_mls="false", limit=2) == as_rows(HISTORY[-2:], unit_ms=1000)


async def test_old_history_shows_as_soon_as_it_is_written(database: Database, redis_client: Redis) -> None:
    older, newer = minutes([LAST_MS - (300 + day) * DAY_MS for day in range(150)], seed=2), HISTORY[-5:]
    await store(database, BTC, newer)
    async with rest(web_deps(database, redis_client, SetClock())) as web:
        assert same(await ask(web, interval="1D"), as_rows(aggregate(newer, Interval.D1)))
        await store(database, BTC, older)
        assert same(await ask(web, interval="1D"), as_rows(aggregate([*older, *newer], Interval.D1)))


async def test_the_exchanges_own_spelling_finds_the_same_market(database: Database, redis_client: Redis) -> None:
    deps = web_deps(database, redis_client, SetClock())
    bars = minutes(every_minute(LAST_MS - 5 * MINUTE_MS, 6))
    await store(database, UST, bars)
    async with rest(deps) as web:
        for quote in ("USDT", "UST", "ust"):
            assert await ask(web, exchange="Bitfinex", quote_id=quote) == as_rows(bars)


@pytest.mark.parametrize("interval", list(Interval))
async def test_fill_puts_the_previous_close_into_every_empty_bucket_up_to_end(
    web: httpx.AsyncClient, interval: Interval
) -> None:
    end_ms = HISTORY[-1].open_ms - 3 * MINUTE_MS
    traded = {bar.open_ms: bar for bar in aggregate(HISTORY, interval) if bar.open_ms <= end_ms}
    newest = sorted(traded)[-500:]
    wanted, at_ms, close = [], newest[0], 0.0
    while at_ms <= end_ms:
        bar = traded.get(at_ms) or Bar(at_ms, close, close, close, close, 0.0)
        wanted.append(bar)
        at_ms, close = interval.after(at_ms), bar.close
    filled = await ask(web, interval=interval.value, empty_ts="true", end=end_ms)
    assert same(filled, as_rows(wanted[-500:]))


async def test_fill_makes_up_no_bucket_that_has_not_begun(web: httpx.AsyncClient) -> None:
    filled = await ask(web, empty_ts="true", end=NOW_MS + DAY_MS, limit=3)
    assert [row["time"] for row in filled] == [LAST_MS - MINUTE_MS, LAST_MS, LAST_MS + MINUTE_MS]


async def test_fill_of_nothing_is_nothing(web: httpx.AsyncClient) -> None:
    assert await ask(web, empty_ts="true", end=HISTORY[0].open_ms - MINUTE_MS) == []


REFUSED = [
    ({"exchange": "mtgox"}, 404, "exchange", "binance, bitfinex, bittrex"),
    ({"base_id": "BTCC"}, 404, "base_id", "BTC/USDT"),
    ({"quote_id": "USD"}, 404, "quote_id", "BTC/USDT"),
    ({"interval": "7s"}, 422, "interval", ALLOWED),
    ({"interval": "1D", "tz": "Mars"}, 422, "tz", "a name such as Europe/Berlin, or an offset such as +08:00"),
    ({"origin": 1}, 422, "origin", "whole 60000 ms"),
    ({"origin": -60_000}, 422, "origin", "0 to 7258118400000"),
    ({"interval": "1M", "origin": 30 * DAY_MS}, 422, "origin", "a moment on one of the days 1 to 28"),
    ({"fill": "linear"}, 422, "fill", "none, null, previous"),
    ({"details": "perhaps"}, 422, "details", "true, false"),
    ({"interval": None}, 422, "interval", "a value"),
    ({"limit": -1}, 422, "limit", "0 to 500"),
    ({"limit": "many"}, 422, "limit", "a whole number"),
    ({"start": "2024-05-15"}, 422, "start", "a whole number"),
    ({"start": -5}, 422, "start", "0 to 7258118400000"),
    ({"end": 10**18}, 422, "end", "0 to 7258118400000"),
    ({"start": LAST_MS, "end": LAST_MS - MINUTE_MS}, 422, "start", f"at most {LAST_MS - MINUTE_MS}"),
    ({"start": NOW_MS + DAY_MS}, 422, "start", f"at most {NOW_MS}"),
    ({"empty_ts": "perhaps"}, 422, "empty_ts", "true, false"),
]


@pytest.mark.parametrize(("changes", "status", "field", "allowed"), REFUSED)
async def test_a_bad_question_is_told_its_field_and_what_is_allowed(
    web: httpx.AsyncClient, changes: dict[str, Any], status: int, field: str, allowed: str
) -> None:
    params = {name: value for name, value in {**ASKED, **changes}.items() if value is not None}
    answer = await web.get("/api/ohlcvs", params=params)
    body = answer.json()
    assert (answer.status_code, body["field"], body["allowed"]) == (status, field, allowed)
    assert answer.headers["content-type"] == "application/problem+json"
    assert body.keys() == {"type", "title", "status", "detail", "field", "allowed"}
    assert (body["type"], body["status"]) == ("about:blank", status)
    assert body["detail"].endswith((".", "?"))
