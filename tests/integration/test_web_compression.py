"""The web in gzip."""

import httpx
from redis.asyncio import Redis

from app.stores.database import Database
from common.span import MINUTE_MS
from tests.fixtures.web import BTC, NOW_MS, SetClock, every_minute, minutes, rest, store, web_deps


async def test_bars_in_gzip_are_the_same_bars_and_whoever_asks_for_none_gets_none(
    database: Database, redis_client: Redis
) -> None:
    start_ms = NOW_MS // MINUTE_MS * MINUTE_MS - 200 * MINUTE_MS
    await store(database, BTC, minutes(every_minute(start_ms, 200)))
    async with rest(web_deps(database, redis_client, SetClock())) as web:

        async def ask(accept: str) -> httpx.Response:
            params = {"exchange": "binance", "base_id": "BTC", "quote_id": "USDT", "interval": "1m"}
            return await web.get("/api/ohlcvs", params=params, headers={"Accept-Encoding": accept})

        plain, packed = await ask("identity"), await ask("gzip")
    assert ("content-encoding" in plain.headers, packed.headers["content-encoding"]) == (False, "gzip")
    assert len(plain.json()) == 200
    assert packed.json() == plain.json()
    assert int(packed.headers["content-length"]) < int(plain.headers["content-length"]) / 2
