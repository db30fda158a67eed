"""A market may get another name while it streams: nothing is subscribed twice, and its minutes are one series."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio

from app import wiring
from app.jobs.live import Live
from app.jobs.sharing import Sharing
from app.settings import Settings, load_settings
from app.stores.roster import Roster
from app.stores.symbols import SymbolStore
from common.clock import Clock
from common.interval import Interval
from common.market import Instrument
from common.ports import Exchange
from common.span import MINUTE_MS, floor_minute
from fetchers import registry
from scripts.commands import stream
from tests.fixtures.feed import now_ms, told
from tests.fixtures.house import House, house
from tests.fixtures.live import eventually, http_client, running
from tests.fixtures.simulator import Simulator, running_simulator
from tests.integration.test_live_truth import markets

__all__ = ["house"]


def listening(name: str, said: list[str]) -> Exchange:
    """The adapter, all of whose sessions' messages go to `said` as well."""

    class Heard(type(registry.get(name))):  # type: ignore[misc]
        def session(self, instruments: Sequence[Instrument]) -> Any:
            made = super().session(instruments)
            to_send = made.to_send

            def overheard() -> list[str]:
                messages = to_send()
                said.extend(messages)
                return list(messages)

            made.to_send = overheard
            return made

    heard: Exchange = Heard()
    return heard


@asynccontextmanager
async def streaming(
    exchange: Exchange, settings: Settings, simulator: Simulator, client: redis.asyncio.Redis
) -> AsyncIterator[wiring.Stores]:
    """What the command `stream` does, in this process."""
    http, clock = http_client(simulator.clock, simulator.rest_urls()), simulator.clock
    async with wiring.open_stores(settings) as stores:
        live = Live(exchange, ws_url=simulator.ws_urls()[exchange.name], http=http, redis=client, clock=clock)
        sharing = Sharing(Roster(client, exchange.name, "one"), live.carry, exchange.name)
        await sharing.join()
        sharing.stream([one.instrument for one in (await stores.symbols.load(exchange.name)).values()])
        follow = stream._follow_listings(sharing, settings, stores, exchange, clock)
        async with running(live.run()), running(sharing.run()), running(follow):
            yield stores
    await http.close()


@pytest.mark.parametrize("name", ["binance", "bitfinex", "kraken"])
async def test_a_market_that_is_renamed_while_it_streams_is_one_series_on_one_subscription(
    name: str, house: House, tmp_path: Path
) -> None:
    said: list[str] = []
    exchange = listening(name, said)
    settings = load_settings({"DATABASE_URL": house.url, "SYMBOLS": f"{name}:OLD:*"}, dotenv=tmp_path / "none")
    with running_simulator(Clock(30, now_ms())) as simulator:
        (now,) = [one for one in await markets(simulator, exchange) if one.symbol == "ETH/BTC"]
        before = replace(now, base="OLD")
        await house_lists(house, [before])
        first_ms = floor_minute(simulator.clock.now_ms()) + MINUTE_MS
        async with streaming(exchange, settings, simulator, house.redis) as stores, house.updating():
            ((symbol_id, _),) = (await stores.symbols.load(name)).values()

            async def stored_minutes() -> list[int]:
                bars = await stores.candles.read(symbol_id, Interval.M1, first_ms, first_ms * 2, 500)
                return [one.open_ms for one in bars]

            async def minute_is_over(ms: int) -> bool:
                return simulator.clock.now_ms() > ms + 45_000 + MINUTE_MS and ms in await stored_minutes()

            await eventually(lambda: minute_is_over(first_ms + MINUTE_MS), 60)
            await stores.symbols.upsert(name, [now], simulator.clock.now_ms())
            await eventually(lambda: heard_as(house.redis, name, now.key), 60)
            switched_ms = floor_minute(simulator.clock.now_ms())
            await eventually(lambda: minute_is_over(switched_ms + MINUTE_MS), 60)
            await eventually(house.is_drained)
            bars = await stores.candles.read(symbol_id, Interval.M1, first_ms, switched_ms + 2 * MINUTE_MS, 500)
        truth = simulator.truth(name, now.base, now.quote, first_ms, switched_ms + 2 * MINUTE_MS)
        opened = [entry for entry in simulator.log() if entry["method"] == "WS"]
    assert [list(bar[:6]) for bar in bars] == [row for row in truth if row[5]]
    assert (len(opened), [one for one in said if "nsubscribe" in one.lower()]) == (1, [])
    assert sum("subscribe" in one.lower() for one in said) == 1
    closed = [one for one in await told(house.redis, "closed_candles") if not one.corrected]
    assert len({one.time for one in closed}) == len(closed), "each minute was told once, under one name"
    assert await house.errors() == []
    async with wiring.open_stores(settings) as stores:
        assert await stores.symbols.ids() == {before.key: symbol_id, now.key: symbol_id}
    newest = await house.redis.hgetall(f"ws_send_{name};;{now.base};;{now.quote}")
    assert await house.redis.hgetall(f"ws_send_{name};;OLD;;{now.quote}") == newest != {}


async def house_lists(house: House, listed: Sequence[Instrument]) -> None:
    async with house.database.begin() as connection:
        await connection.execute("DELETE FROM symbol_exchange")
    await SymbolStore(house.database).upsert(listed[0].exchange, listed, 1)


async def heard_as(client: redis.asyncio.Redis, exchange: str, key: str) -> bool:
    return any(one.key == key for one in await told(client, f"live_{exchange}"))
