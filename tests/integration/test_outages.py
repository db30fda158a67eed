"""Outages are found as history arrives, in whatever order it does, and forgotten when candles prove otherwise."""

import random
from collections.abc import AsyncIterator

import pytest

from app import wiring
from app.jobs import outages
from app.settings import load_settings
from app.stores.candles import StoredCandle
from app.wiring import Stores
from common.clock import Clock
from common.market import Instrument
from common.span import DAY_MS, MINUTE_MS, Span
from fetchers import registry
from tests.fixtures.web import SetClock

#: 2024-03-01, a day long before the clock's.
T0 = 1_709_251_200_000
DAY = Span(T0, T0 + DAY_MS)
HOUR_MS = 60 * MINUTE_MS
OUT = Span(T0 + 12 * HOUR_MS, T0 + 14 * HOUR_MS)
MARKETS = [Instrument("any", base, "USD", f"{base}USD") for base in ("BTC", "ETH", "LTC", "XRP")]


@pytest.fixture
async def stores(postgres_url: str) -> AsyncIterator[Stores]:
    settings = load_settings({"DATABASE_URL": postgres_url}, dotenv="/nowhere")
    async with wiring.open_stores(settings) as opened:
        for exchange in ("binance", "bitfinex"):
            listed = [Instrument(exchange, one.base, one.quote, one.native) for one in MARKETS]
            await opened.symbols.upsert(exchange, listed, T0)
        yield opened


async def answer(stores: Stores, symbol_id: int, span: Span, *, rate: float = 0.0, out: Span = OUT) -> None:
    """The exchange answers for `span`; it lacks minutes at this rate, and those of `out`."""
    chance = random.Random(symbol_id)
    times = [at for at in range(*DAY, MINUTE_MS) if chance.random() >= rate and not out.has(at)]
    candles = [StoredCandle(symbol_id, at, 1, 1, 1, 1, 1, None, None, 3) for at in times if span.has(at)]
    await stores.candles.write(candles, cover=[(symbol_id, span)])


async def seek(stores: Stores, exchange: str, clock: Clock | None = None) -> list[Span]:
    while not (await outages.seek(registry.get(exchange), stores=stores, clock=clock or SetClock()))[0]:
        pass
    return await stores.outages.stored(exchange)


async def test_an_outage_is_known_when_the_third_market_has_it_and_gone_when_a_fourth_does_not(
    stores: Stores,
) -> None:
    seen = []
    for symbol_id, out in ((5, OUT), (6, OUT), (7, OUT), (8, Span(0, 0))):
        await answer(stores, symbol_id, DAY, rate=0.01, out=out)
        seen.append(await seek(stores, "bitfinex"))
    assert seen == [[], [], [OUT], []]


@pytest.mark.parametrize("cut", [OUT.start_ms, OUT.start_ms + HOUR_MS, OUT.end_ms, OUT.end_ms + HOUR_MS])
@pytest.mark.parametrize("exchange", ["binance", "bitfinex"])
async def test_an_outage_is_whole_wherever_pages_part_and_whichever_comes_first(
    stores: Stores, exchange: str, cut: int
) -> None:
    ids = (1, 2, 3) if exchange == "binance" else (5, 6, 7)
    older, newer = Span(DAY.start_ms, cut), Span(cut, DAY.end_ms)
    for page in (newer, older):
        for symbol_id in ids:
            await answer(stores, symbol_id, page, rate=0.0 if exchange == "binance" else 0.02)
            await seek(stores, exchange)
    assert await seek(stores, exchange) == [OUT]
    async with stores.db.connection() as connection:
        found = [tuple(row) for row in await connection.fetch("SELECT exchange, symbols FROM exchange_outages")]
    assert found == [(exchange, list(ids))]


async def test_what_a_market_lacks_before_its_first_candle_and_after_its_last_is_no_outage(stores: Stores) -> None:
    week = Span(T0 - 3 * DAY_MS, T0 + 4 * DAY_MS)
    await answer(stores, 1, week, out=Span(0, 0))
    assert await seek(stores, "binance") == []


async def test_candles_that_come_within_two_days_take_an_outage_back(stores: Stores) -> None:
    clock = SetClock(DAY.end_ms + HOUR_MS)
    await answer(stores, 1, DAY)
    assert await seek(stores, "binance", clock) == [OUT]
    await answer(stores, 1, DAY, out=Span(OUT.start_ms, OUT.start_ms + HOUR_MS))
    assert await seek(stores, "binance", clock) == [Span(OUT.start_ms, OUT.start_ms + HOUR_MS)]


async def test_minutes_that_were_looked_at_are_not_looked_at_again(stores: Stores) -> None:
    await answer(stores, 1, DAY)
    found = await seek(stores, "binance")
    async with stores.db.begin() as connection:
        await connection.execute("DELETE FROM exchange_outages")
    assert (found, await seek(stores, "binance")) == ([OUT], [])
    assert await stores.outages.sought([1]) == {1: [DAY]}


async def test_a_long_history_is_looked_at_month_by_month(stores: Stores) -> None:
    months = [Span(T0 - number * 40 * DAY_MS, T0 - number * 40 * DAY_MS + HOUR_MS) for number in range(4)]
    for span in months:
        times = range(*span, 2 * MINUTE_MS)
        candles = [StoredCandle(1, at, 1, 1, 1, 1, 1, None, None, 3) for at in times]
        await stores.candles.write(candles, cover=[(1, Span(months[-1].start_ms, T0 + HOUR_MS))])
    looks = 1
    while not (await outages.seek(registry.get("binance"), stores=stores, clock=SetClock()))[0]:
        looks += 1
    assert looks == 4
    last = [at for span in months for at in range(*span, 2 * MINUTE_MS)]
    found = await stores.outages.stored("binance")
    assert sum(span.minutes() for span in found) == 120 * 1440 + 59 - len(last)
