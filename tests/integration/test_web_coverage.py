"""GET /api/coverage and /api/coverage/days: what is known of each minute, for programs and for the heat map."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from app.stores.database import open_database
from common.span import DAY_MS
from tests.fixtures.ledger import (
    ASKED,
    BTC_ROW,
    ETH_ROW,
    FORGOTTEN,
    NOW,
    OUT,
    PLANNED,
    QUIET,
    REFUSED,
    T0,
    fill_ledger,
    span_rows,
)
from tests.fixtures.postgres import Server
from tests.fixtures.web import SetClock, rest, shared_database, web_deps
from web.api import coverage


@pytest.fixture(scope="module")
def filled_url(postgres_server: Server) -> Iterator[str]:
    with shared_database(postgres_server, fill_ledger) as url:
        yield url


@pytest.fixture
async def web(filled_url: str, redis_client: Redis) -> AsyncIterator[httpx.AsyncClient]:
    database = open_database(filled_url)
    async with rest(web_deps(database, redis_client, SetClock())) as client:
        yield client
    await database.close()


async def get(web: httpx.AsyncClient, path: str = "", status: int = 200, **params: Any) -> Any:
    answer = await web.get(f"/api/coverage{path}", params=params)
    assert answer.status_code == status, answer.text
    return answer.json()


async def test_markets_are_told_by_state_and_those_that_nobody_wanted_are_not(web: httpx.AsyncClient) -> None:
    rows = [BTC_ROW | {"spans": []}, ETH_ROW | {"spans": []}]
    whole = {"start": T0, "end": NOW, "total": 2}
    assert await get(web, start=T0) == whole | {"markets": rows}
    assert await get(web, start=T0, exchange="Binance", limit=1) == whole | {"markets": rows[:1]}
    assert await get(web, start=T0, offset=1) == whole | {"markets": rows[1:]}
    assert (await get(web, start=T0, exchange="bitfinex"))["markets"] == []
    (market,) = (await get(web, start=T0, exchange="binance", base_id="NEW", quote_id="USDT"))["markets"]
    assert (market["base_id"], market["minutes"], market["present_pct"]) == ("NEW", 0, None)


async def test_spans_of_the_states_that_were_asked_for_come_along(web: httpx.AsyncClient) -> None:
    btc = {"exchange": "binance", "base_id": "btc", "quote_id": "usdt", "start": T0}
    for states, spans in {
        "failed": [REFUSED],
        "fetching, not_asked": [ASKED, PLANNED, FORGOTTEN],
        "empty,outage": [QUIET, OUT],
    }.items():
        (market,) = (await get(web, **btc, states=states))["markets"]
        assert market["spans"] == span_rows(*spans), states
    (market,) = (await get(web, **btc, states="all"))["markets"]
    bounds = [bound for span in market["spans"] for bound in (span["start"], span["end"])]
    assert (bounds[0], bounds[-1], bounds[1:-1:2]) == (T0, NOW, bounds[2::2])


async def test_bounds_are_cut_to_minutes_and_the_end_is_included(web: httpx.AsyncClient) -> None:
    btc = {"exchange": "binance", "base_id": "BTC", "quote_id": "USDT", "states": "empty"}
    start, end = QUIET.start_ms + 61_000, QUIET.start_ms + 125_000
    told = await get(web, **btc, start=start, end=end)
    assert (told["start"], told["end"]) == (QUIET.start_ms + 60_000, QUIET.start_ms + 180_000)
    assert told["markets"][0]["spans"][0]["minutes"] == told["markets"][0]["empty"] == 2


async def test_days_hold_one_number_for_each_day_and_state(web: httpx.AsyncClient) -> None:
    told = await get(web, "/days", start=T0 - DAY_MS, end=NOW)
    assert (told["start"], told["end"], told["total"]) == (T0 - DAY_MS, T0 + 2 * DAY_MS, 2)
    btc, eth = [market["days"] for market in told["markets"]]
    today = (NOW - T0 - DAY_MS) // 60_000
    assert btc == {
        "present": [0, 1440 - 330, today - 60],
        "empty": [0, 60, 0],
        "outage": [0, 30, 0],
        "fetching": [0, 60, 0],
        "failed": [0, 120, 0],
        "not_asked": [0, 60, 60],
    }
    assert eth == {"present": [0, 60, 0], "not_asked": [0, 1440 - 300, today]}


@pytest.mark.parametrize(
    ("path", "params", "status", "field"),
    [
        ("", {"exchange": "mtgox"}, 404, "exchange"),
        ("", {"exchange": "binance", "base_id": "XXX", "quote_id": "USDT"}, 404, "base_id"),
        ("", {"base_id": "BTC", "quote_id": "USDT"}, 422, "exchange"),
        ("", {"exchange": "binance", "base_id": "BTC"}, 422, "quote_id"),
        ("", {"start": NOW, "end": T0}, 422, "start"),
        ("", {"start": -1}, 422, "start"),
        ("", {"end": "today"}, 422, "end"),
        ("", {"states": "failed,lost"}, 422, "states"),
        ("", {"limit": 0}, 422, "limit"),
        ("", {"limit": 201}, 422, "limit"),
        ("", {"offset": -1}, 422, "offset"),
        ("/days", {"start": T0 - 100 * DAY_MS}, 422, "start"),
    ],
)
async def test_a_bad_question_names_its_field(
    web: httpx.AsyncClient, path: str, params: dict[str, Any], status: int, field: str
) -> None:
    refused = await get(web, path, status, **params)
    assert (refused["field"], refused["detail"][-1]) == (field, refused["detail"].rstrip()[-1])
    assert refused.keys() == {"type", "title", "status", "detail", "field", "allowed"}


async def test_too_many_spans_are_refused(web: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coverage, "MOST_SPANS", 3)
    assert len((await get(web, start=T0, states="empty,outage"))["markets"][0]["spans"]) == 2
    assert (await get(web, "", 422, start=T0, states="all"))["field"] == "states"
