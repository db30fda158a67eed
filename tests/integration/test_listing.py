"""Nobody asks for the years before a market was listed, and no history is taken for such years."""

import asyncio
from collections.abc import AsyncIterator
from datetime import date

import pytest

from app.stores.candles import StoredCandle
from common.ports import Request
from common.span import DAY_MS, MINUTE_MS, Span
from fetchers import registry
from fetchers.listing import first_minute
from scripts.simulator.listings import LISTED, minute_of
from tests.conformance.kit import empty_page
from tests.fixtures.instance import WHOLE_HISTORY, Instance, open_instance
from tests.fixtures.simulator import Simulator, simulator

__all__ = ["simulator"]

SHIB_MS = minute_of(LISTED["binance", "SHIB"]) * MINUTE_MS
#: Six weeks before SHIB was listed on Binance, and a day and a half after.
AROUND = Span(SHIB_MS - 42 * DAY_MS, SHIB_MS + 36 * 60 * MINUTE_MS)
LATE = [(exchange, base) for exchange, base in LISTED if base != "SOL"]


@pytest.fixture
async def instance(simulator: Simulator, postgres_url: str, redis_url: str) -> AsyncIterator[Instance]:
    async with open_instance(simulator, postgres_url, redis_url) as opened:
        yield opened


async def listed_ms(instance: Instance, symbol_id: int) -> int | None:
    async with instance.resources.stores.db.connection() as connection:
        found: int | None = await connection.fetchval(
            "SELECT listed_at FROM symbol_exchange WHERE id = $1", symbol_id
        )
    return found


async def test_pages_begin_where_the_market_does_and_the_next_fetch_knows(instance: Instance) -> None:
    (shib,) = await instance.know("binance", "SHIB/USDT")
    job = await instance.fill([shib], AROUND)
    since = Span(SHIB_MS, AROUND.end_ms)
    assert await instance.rows(shib.id, AROUND) == instance.truth(shib, since)
    asked = [str(one["query"]) for one in instance.candle_requests()]
    assert "limit=1" in asked[0] and len(asked) == 1 + 3
    assert all(f"startTime={SHIB_MS}" in query or "startTime=162" in query for query in asked[1:])
    assert await listed_ms(instance, shib.id) == SHIB_MS
    assert await instance.resources.stores.coverage.covered([shib.id]) == {shib.id: [since]}
    progress = await instance.resources.stores.plan.progress(job)
    assert (progress.state, progress.minutes_total, progress.minutes_left) == ("done", since.minutes(), 0)
    again = await instance.plan([shib], Span(AROUND.start_ms - 900 * DAY_MS, AROUND.end_ms))
    assert (await instance.resources.stores.plan.progress(again)).state == "done"
    assert len(instance.candle_requests()) == 4


async def test_for_few_pages_nobody_looks(instance: Instance) -> None:
    (shib,) = await instance.know("binance", "SHIB/USDT")
    await instance.fill([shib], Span(AROUND.end_ms - DAY_MS, AROUND.end_ms))
    assert len(instance.candle_requests()) == 2 and await listed_ms(instance, shib.id) is None


async def test_two_workers_look_once_for_each_market(instance: Instance) -> None:
    markets = await instance.know("binance", "SHIB/USDT", "BTC/USDT", "ETH/USDT")
    job = await instance.plan(markets, Span(AROUND.end_ms - 16 * DAY_MS, AROUND.end_ms))
    assert await asyncio.gather(*(instance.work(job, "binance") for _ in range(2))) == [True, True]
    looks = [one for one in instance.candle_requests() if "limit=1&" in f"{one['query']}&"]
    assert len(looks) == 3


async def test_a_candle_from_before_knows_better_than_the_exchange(instance: Instance) -> None:
    """Exchanges drop the history of markets that they list anew."""
    (shib,) = await instance.know("binance", "SHIB/USDT")
    older = StoredCandle(shib.id, SHIB_MS - 40 * DAY_MS, 1.0, 1.0, 1.0, 1.0, 1.0, None, None, 3)
    await instance.resources.stores.candles.write([older])
    await instance.fill([shib], AROUND)
    assert await listed_ms(instance, shib.id) == older.open_ms


async def test_an_exchange_that_has_no_candle_at_all_names_no_first_minute(instance: Instance) -> None:
    (market,) = await instance.know("bitfinex", "DUSK/USD")

    for adapter in map(registry.get, WHOLE_HISTORY):
        clock, page = instance.resources.clock, empty_page(adapter)

        async def nothing(_: Request, page: bytes = page) -> bytes:
            return page

        assert await first_minute(adapter, market.instrument, get=nothing, clock=clock) is None


@pytest.mark.parametrize(("exchange", "base"), LATE)
async def test_the_first_minute_is_found_in_few_requests(instance: Instance, exchange: str, base: str) -> None:
    quote = {"bitfinex": "USD", "bittrex": "BTC", "coinbase": "USD"}.get(exchange, "USDT")
    (market,) = await instance.know(exchange, f"{base}/{quote}")
    adapter, r = registry.get(exchange), instance.resources
    found = await first_minute(adapter, market.instrument, get=r.get(adapter), clock=r.clock)
    (first,) = instance.truth(market, Span(0, minute_of(LISTED[exchange, base]) * MINUTE_MS + DAY_MS))[:1]
    assert found == first[0]
    assert len(instance.candle_requests()) <= (1 if adapter.oldest(market.instrument) else 28)


async def test_an_outage_is_not_taken_for_the_time_before(instance: Instance) -> None:
    """Where the years are halved, some days without any answer lie exactly where the search looks first."""
    (market,) = await instance.know("bittrex", "POWR/BTC")
    adapter, r = registry.get("bittrex"), instance.resources
    get, asked = r.get(adapter), list[date]()

    async def with_outage(request: Request) -> bytes:
        day = request.path.rpartition("historical/")[2]
        asked.append(date(*map(int, day.split("/"))) if day else date.max)
        near = abs((asked[-1] - asked[0]).days) <= 5
        return b"[]" if near else await get(request)

    found = await first_minute(adapter, market.instrument, get=with_outage, clock=r.clock)
    assert found == minute_of(LISTED["bittrex", "POWR"]) * MINUTE_MS
