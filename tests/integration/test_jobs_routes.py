"""/api/jobs and /api/exchanges: fetches that are begun and stopped in the browser, and how exchanges stand."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from app.jobs.fetching import FetchWish
from app.keys import Scope, Wish, digest, new_key
from app.stores.candles import CandleStore
from app.stores.coverage import CoverageStore
from app.stores.database import Database
from app.stores.errors import ErrorStore, FetchError
from app.stores.heartbeat import tell
from app.stores.keys import KeyStore
from app.stores.plan import PlanStore
from celery_app import orders
from common.span import DAY_MS, MINUTE_MS, Span, floor_minute
from tests.fixtures.web import BTC, NOW_MS, OLD, PEPE, UST, SetClock, rest, store, web_deps
from web.deps import Deps
from web.fetches import WiredFetches, ordering

MINUTE = floor_minute(NOW_MS)
DAY = Span(MINUTE - DAY_MS, MINUTE)
ASKED = {"exchange": "binance", "symbols": "btc-usdt", "start": DAY.start_ms, "end": DAY.end_ms}


@pytest.fixture
async def deps(database: Database, redis_client: Redis) -> Deps:
    for market in (BTC, PEPE, UST, OLD):
        await store(database, market, [])
    return web_deps(database, redis_client, SetClock())


@pytest.fixture
async def web(deps: Deps, database: Database) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody who may write."""
    key = new_key()
    await KeyStore(database).add(Wish("writer", Scope.WRITE, 1_000_000, 0), digest(key), NOW_MS)
    async with rest(deps) as client:
        client.headers["Authorization"] = f"Bearer {key}"
        yield client


async def jobs(web: httpx.AsyncClient) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await web.get("/api/jobs")).json()
    return found


async def test_a_fetch_is_planned_as_the_command_plans_it_and_its_progress_told(
    web: httpx.AsyncClient, database: Database
) -> None:
    answer = await web.post("/api/jobs", json=ASKED)
    span = {"start": DAY.start_ms, "end": DAY.end_ms}
    assert (answer.status_code, answer.json()) == (
        201,
        {"id": 1, "markets": 1, **span, "done": False, "notes": []},
    )
    told = {"id": 1, "exchange": "binance", **span, "state": "queued", "created": NOW_MS, "note": ""}
    counts = dict.fromkeys(("rows_written", "requests", "leased", "errors"), 0)
    assert await jobs(web) == [told | counts | {"minutes_total": 1440, "minutes_left": 1440}]
    plan = PlanStore(database, SetClock())
    assert await plan.missing([1], DAY) == {1: [DAY]}
    assert [(job.id, job.exchange, job.span) for job in await plan.unfinished()] == [(1, "binance", DAY)]


async def test_without_symbols_all_that_trade_and_without_an_end_until_now(web: httpx.AsyncClient) -> None:
    answer = (await web.post("/api/jobs", json={"exchange": " Binance", "start": DAY.start_ms})).json()
    assert (answer["markets"], answer["start"], answer["end"]) == (2, DAY.start_ms, MINUTE)


async def test_what_is_complete_is_done_at_once(web: httpx.AsyncClient, database: Database) -> None:
    await CandleStore(database).write([], cover=[(1, DAY)])
    answer = (await web.post("/api/jobs", json=ASKED)).json()
    assert (answer["done"], (await jobs(web))[0]["state"]) == (True, "done")


async def test_a_fetch_for_which_the_disk_has_no_place_says_so(web: httpx.AsyncClient, deps: Deps) -> None:
    assert isinstance(deps.fetches, WiredFetches)
    deps.fetches._room = deps.room
    (note,) = (await web.post("/api/jobs", json=ASKED)).json()["notes"]
    assert note.startswith("It does not fit: up to 265.0 kB; 3.0 kB of 9.0 kB are free")


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"exchange": "mtgox"}, "exchange", "Unknown exchange 'mtgox'"),
        ({"exchange": ""}, "exchange", "Name an exchange"),
        ({"exchange": "kraken"}, "exchange", "No market of kraken is known yet"),
        ({"symbols": "BTC/USTD"}, "symbols", "did you mean"),
        ({"symbols": "X" * 20_000}, "symbols", "At most 10,000 letters"),
        ({"start": 1_000_000}, "start", "Nothing was traded before 2009-01-03"),
        ({"start": DAY.end_ms}, "end", "The end must be after the start."),
        ({"end": NOW_MS + DAY_MS}, "end", "The end is in the future"),
        ({"start": MINUTE, "end": NOW_MS}, "end", "No whole minute"),
        ({"start": -1}, "start", "start must be UTC milliseconds"),
        ({"start": "soon"}, "start", "start must be a whole number"),
    ],
)
async def test_what_cannot_be_fetched_is_refused_in_a_sentence_and_plans_nothing(
    web: httpx.AsyncClient, change: dict[str, Any], field: str, words: str
) -> None:
    answer = await web.post("/api/jobs", json=ASKED | change)
    assert answer.status_code in (404, 422)
    assert answer.json()["field"] == field
    assert words in answer.json()["detail"]
    assert await jobs(web) == []


async def test_a_fetch_is_stopped_once_and_what_is_over_stays_so(web: httpx.AsyncClient) -> None:
    await web.post("/api/jobs", json=ASKED)
    assert (await web.delete("/api/jobs/1")).status_code == 204
    assert (await jobs(web))[0]["state"] == "cancelled"
    again = await web.delete("/api/jobs/1")
    assert (again.status_code, again.json()["detail"]) == (422, "Fetch 1 is over already: cancelled.")
    for number in (7, 0, 2**70):
        assert (await web.delete(f"/api/jobs/{number}")).status_code in (404, 422)


async def test_nobody_begins_or_stops_a_fetch_without_a_key_or_from_another_site(
    web: httpx.AsyncClient, deps: Deps
) -> None:
    await web.post("/api/jobs", json=ASKED)
    forged = {"Origin": "https://evil.example"}
    assert (await web.post("/api/jobs", json=ASKED, headers=forged)).status_code == 403
    del web.headers["Authorization"]
    assert (await web.post("/api/jobs", json=ASKED)).status_code == 401
    assert (await web.delete("/api/jobs/1")).status_code == 401
    assert [job["state"] for job in await jobs(web)] == ["queued"]


async def test_the_workers_are_ordered_to_take_up_what_was_begun(
    deps: Deps, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    ordered: list[tuple[Redis, str, int]] = []

    async def order_work(redis: Redis, exchange: str, job_id: int) -> None:
        ordered.append((redis, exchange, job_id))

    monkeypatch.setattr(orders, "order_work", order_work)
    assert isinstance(deps.fetches, WiredFetches)
    deps.fetches._order = ordering(redis_client)
    whole = FetchWish("BINANCE ", "", DAY.start_ms, DAY.end_ms)
    for _ in range(2):
        await deps.fetches.begin(whole)
    assert ordered == [(redis_client, "binance", 1), (redis_client, "binance", 2)]


async def test_exchanges_are_told_with_what_is_missing_and_amiss(
    web: httpx.AsyncClient, database: Database, redis_client: Redis
) -> None:
    now: dict[str, Any] = {"state": "connected", "last_candle_ms": NOW_MS - 7, "symbols": 2, "connections": 1}
    await tell(redis_client, "binance", now | {"last_error": "the last one was closed"})
    await CoverageStore(database).want({1: DAY})
    failure = FetchError(
        "binance", "BTCUSDT", Span(MINUTE - 9 * MINUTE_MS, MINUTE), "Malformed", "no", symbol_id=1
    )
    await ErrorStore(database).record(failure, NOW_MS)
    first, *others = (await web.get("/api/exchanges")).json()
    assert first == {
        "exchange": "binance",
        "state": "connected",
        "fresh": True,
        "connections": 1,
        "symbols": 2,
        "newest": NOW_MS - 7,
        "markets": 2,
        "gaps": 1440,
        "failures": 1,
        "outages": 0,
        "healing_since": None,
        "budget_used": 0,
        "budget_limit": 0,
        "waiting": 0,
        "trouble": "the last one was closed",
    }
    assert [(one["exchange"], one["state"], one["markets"]) for one in others] == [("bitfinex", "off", 1)]
