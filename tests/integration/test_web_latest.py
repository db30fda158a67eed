"""GET /api/latest: many markets at once, as the feed told of them."""

from dataclasses import replace as replace_deps
from typing import Any

import httpx
import pytest
from msgspec.structs import asdict, replace
from redis.asyncio import Redis

from app.messages import CandleMessage
from app.stores.database import Database
from app.stores.latest import LiveSink
from common.clock import Clock
from tests.fixtures.web import BTC, NOW_MS, PEPE, UST, SetClock, rest, store, web_deps

RUNNING = CandleMessage(
    "binance", "spot", "BTC", "USDT", 1_715_776_440_000, 1.5, 3.0, 1.0, 2.5, 7.0, 17.5, 9, 0, NOW_MS - 250
)
CLOSED = replace(RUNNING, exchange="bitfinex", source=2, received=NOW_MS - 70_000, quote_volume=None, trades=None)
PRICES = ("time", "open", "high", "low", "close", "volume", "quote_volume", "trades")
NOTHING = dict.fromkeys((*PRICES, "closed", "source", "received", "age"))


def row(told: CandleMessage, symbol: str) -> dict[str, Any]:
    fields = {name: value for name, value in asdict(told).items() if name in NOTHING}
    names = {"exchange": told.exchange, "base_id": told.base, "quote_id": told.quote, "symbol": symbol}
    return names | fields | {"closed": told.source > 0, "age": NOW_MS - told.received}


async def ask(web: httpx.AsyncClient, **params: Any) -> Any:
    answer = await web.get("/api/latest", params=params)
    return answer.json() if answer.status_code == 200 else (answer.status_code, answer.json()["field"])


async def test_many_markets_are_told_in_one_answer_as_the_feed_told_them(
    database: Database, redis_client: Redis
) -> None:
    for market in (BTC, PEPE, UST):
        await store(database, market, [])
    sink = LiveSink(redis_client, Clock(), [BTC, PEPE, UST])
    await sink.write([RUNNING, CLOSED, replace(CLOSED, time=CLOSED.time - 60_000, close=9.0)])
    btc, ust = row(RUNNING, "BTCUSDT"), row(CLOSED, "BTCUST")
    pepe = {"exchange": "binance", "base_id": "PEPE", "quote_id": "USDT", "symbol": "PEPEUSDT"} | NOTHING
    async with rest(web_deps(database, redis_client, SetClock())) as web:
        assert await ask(web, symbols="bitfinex:BTC:UST,binance:pepe/usdt, binance:BTC:USDT") == [ust, pepe, btc]
        assert await ask(web, exchange="Binance") == [btc, pepe]
        await sink.write([replace(RUNNING, source=2, close=2.75)])
        assert await ask(web, symbols="binance:BTC:USDT") == [btc | {"closed": True, "source": 2, "close": 2.75}]


@pytest.mark.parametrize(
    ("params", "refused"),
    [
        ({}, (422, "symbols")),
        ({"symbols": "binance:BTC:USDT", "exchange": "binance"}, (422, "symbols")),
        ({"symbols": ","}, (422, "symbols")),
        ({"symbols": "BTCUSDT"}, (422, "symbols")),
        ({"symbols": "binance:BTC:"}, (422, "symbols")),
        ({"symbols": ",".join(f"binance:A{n}:B" for n in range(501))}, (422, "symbols")),
        ({"symbols": "mtgox:BTC:USD"}, (404, "exchange")),
        ({"symbols": "binance:BTC:USDT"}, (404, "base_id")),
        ({"exchange": "mtgox"}, (404, "exchange")),
    ],
)
async def test_a_bad_question_names_its_field(
    database: Database, redis_client: Redis, params: dict[str, Any], refused: tuple[int, str]
) -> None:
    async with rest(web_deps(database, redis_client, SetClock())) as web:
        assert await ask(web, **params) == refused


async def test_what_was_told_of_a_market_that_bore_the_name_before_is_not_this_ones(
    database: Database, redis_client: Redis
) -> None:
    await store(database, BTC, [])
    sink = LiveSink(redis_client, Clock(), [BTC])
    async with rest(web_deps(database, redis_client, SetClock())) as web:
        await sink.write([replace(RUNNING, native="OLDBTCUSDT")])
        (told,) = await ask(web, symbols="binance:BTC:USDT")
        assert {name: told[name] for name in NOTHING} == NOTHING
        await sink.write([replace(RUNNING, native="BTCUSDT")])
        assert await ask(web, symbols="binance:BTC:USDT") == [row(RUNNING, "BTCUSDT")]


async def test_all_of_them_come_in_one_round_trip(database: Database, redis_client: Redis) -> None:
    for market in (BTC, PEPE, UST):
        await store(database, market, [])
    asked = 0
    deps = web_deps(database, redis_client, SetClock())

    async def counted(markets: Any) -> Any:
        nonlocal asked
        asked += 1
        return await deps.newest(markets)

    before = (await redis_client.info("commandstats")).get("cmdstat_hmget", {"calls": 0})["calls"]
    async with rest(replace_deps(deps, newest=counted)) as web:
        assert len(await ask(web, symbols="binance:BTC:USDT,binance:PEPE:USDT,bitfinex:BTC:USDT")) == 3
    stats = await redis_client.info("commandstats")
    assert (asked, stats["cmdstat_hmget"]["calls"] - before) == (
        1,
        2,
    )  # a command for each exchange, sent together
