"""GET /api/symbols/search against a real PostgreSQL."""

from dataclasses import replace
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from app.stores.database import Database
from app.stores.rollups import RollupStore
from app.stores.symbols import SymbolStore
from common.span import MINUTE_MS
from tests.fixtures.web import BTC, NOW_MS, OLD, PEPE, UST, SetClock, minutes, rest, store, web_deps


async def search(web: httpx.AsyncClient, **params: Any) -> list[dict[str, Any]]:
    answer = await web.get("/api/symbols/search", params=params)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()
    return found


async def test_markets_are_found_by_any_spelling_the_most_traded_first(
    database: Database, redis_client: Redis
) -> None:
    for market, volume in ((BTC, 1.0), (PEPE, 2.0), (UST, 3.0)):
        bars = minutes([NOW_MS - 300 * MINUTE_MS], price=100.0)
        await store(database, market, [bar._replace(volume=volume) for bar in bars])
    await store(database, OLD, [])
    await RollupStore(database).refresh()
    row = {
        "exchange": "bitfinex",
        "base_id": "BTC",
        "quote_id": "USDT",
        "symbol": "BTCUST",
        "market_type": "spot",
        "is_trading": True,
        "tick_size": None,
        "match": "exact",
        "former": None,
    }
    async with rest(web_deps(database, redis_client, SetClock())) as web:
        both = await search(web, q="btc-usdt")
        assert both == [row, row | {"exchange": "binance", "symbol": "BTCUSDT", "tick_size": 0.01}]
        assert (
            await search(web, q="binance:btcusdt")
            == await search(web, q="BTCUSDT", exchange="Binance")
            == both[1:]
        )
        assert await search(web, q="bitfinex tBTCUST", limit=1) == [row]
        assert [one["symbol"] for one in await search(web)] == ["BTCUST", "PEPEUSDT", "BTCUSDT", "XMR-BTC"]


async def test_a_new_name_is_found_within_the_second_and_the_old_one_too(
    database: Database, redis_client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.remembered.ASKED_EVERY_S", 0.0)
    deps = web_deps(database, redis_client, SetClock())
    await store(database, PEPE, [])
    async with rest(deps) as web:
        assert [one["match"] for one in await search(web, q="PEPE")] == ["currency"]
        renamed = replace(PEPE, base="NEWT")
        await store_listing(database, renamed)
        (found,) = await search(web, q="pepe/usdt", limit=1)
        assert (found["base_id"], found["match"]) == ("NEWT", "exact")  # the exchange still calls it so
        (found,) = await search(web, q="newtusdt", limit=1)
        assert (found["base_id"], found["match"], found["former"]) == ("NEWT", "exact", None)


async def store_listing(database: Database, renamed: Any) -> None:
    await SymbolStore(database).upsert("binance", [renamed], NOW_MS + MINUTE_MS)


@pytest.mark.parametrize(
    ("params", "status", "field", "allowed"),
    [
        ({"limit": 0}, 422, "limit", "1 to 100"),
        ({"limit": 101}, 422, "limit", "1 to 100"),
        ({"q": "x" * 65}, 422, "q", "64 letters"),
        ({"exchange": "mtgox"}, 404, "exchange", "binance, bitfinex, bittrex"),
    ],
)
async def test_a_bad_search_is_told_what_is_allowed(
    database: Database, redis_client: Redis, params: dict[str, Any], status: int, field: str, allowed: str
) -> None:
    async with rest(web_deps(database, redis_client, SetClock())) as web:
        answer = await web.get("/api/symbols/search", params=params)
    body = answer.json()
    assert (answer.status_code, body["field"], body["allowed"]) == (status, field, allowed)
