"""A market may get another name while it streams: nothing is subscribed twice, and its minutes are one series."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio
from websockets.asyncio.client import connect

from app import wiring
from app.jobs import instruments
from app.jobs.live import Live
from app.jobs.sharing import Sharing
from app.settings import Settings, load_settings
from app.stores.candles import StoredCandle
from app.stores.database import open_database
from app.stores.join import JoinStore
from app.stores.roster import Roster
from app.stores.symbols import SymbolStore
from common.clock import Clock
from common.interval import Interval
from common.market import Instrument
from common.ports import Exchange
from common.span import MINUTE_MS, Span, floor_minute
from fetchers import registry
from scripts.commands import stream
from tests.fixtures.feed import now_ms, told
from tests.fixtures.house import House, house
from tests.fixtures.live import eventually, http_client, running
from tests.fixtures.simulator import Simulator, running_simulator
from tests.fixtures.web import listening as listening_to
from tests.fixtures.web import web_deps
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
        known = [one.instrument for one in (await stores.symbols.load(exchange.name)).values()]
        sharing.stream(instruments.streamed(known, settings.symbols))
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

            async def minute_is_over(ms: int) -> bool:
                """Some minutes have no trades."""
                stored = (await stores.minutes.stored([symbol_id])).get(symbol_id, Span(0, 0))
                return stored.end_ms > ms and simulator.clock.now_ms() > ms + MINUTE_MS + 45_000

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


async def test_a_market_that_is_joined_to_its_former_one_while_it_streams_goes_on_as_one_series(
    house: House, tmp_path: Path
) -> None:
    """Who listens under either name is told every minute, and nothing is left to ask for."""
    said: list[str] = []
    exchange = listening("binance", said)
    settings = load_settings({"DATABASE_URL": house.url, "SYMBOLS": "binance:*"}, dotenv=tmp_path / "none")
    with running_simulator(Clock(30, now_ms())) as simulator:
        (pol,) = [one for one in await markets(simulator, exchange) if one.symbol == "ETH/BTC"]
        matic = replace(pol, base="OLD", native="OLDBTC", native_base="OLD", is_trading=False)
        await house_lists(house, [matic, pol])
        async with wiring.open_stores(settings) as opened:
            ids = await opened.symbols.ids()
        first_ms = floor_minute(simulator.clock.now_ms()) - 500 * MINUTE_MS
        start_ms = floor_minute(simulator.clock.now_ms()) + MINUTE_MS
        async with (
            streaming(exchange, settings, simulator, house.redis) as stores,
            house.updating(),
            listening_web(house, simulator.clock) as address,
            heard_by(address, matic) as of_old,
            heard_by(address, pol) as of_new,
        ):
            past = simulator.truth("binance", pol.base, pol.quote, first_ms, start_ms)
            rows = [StoredCandle(ids[matic.key], int(one[0]), *one[1:], None, None, 3) for one in past]
            await stores.candles.write(rows, cover=[(ids[matic.key], Span(first_ms, start_ms))])
            await stores.coverage.want({ids[matic.key]: Span(first_ms, start_ms)})

            async def minute_is_over(symbol_id: int, ms: int) -> bool:
                stored = await stores.minutes.stored([symbol_id])
                return symbol_id in stored and stored[symbol_id].end_ms > ms + MINUTE_MS

            await eventually(lambda: minute_is_over(ids[pol.key], start_ms + MINUTE_MS), 60)
            await stores.coverage.want({ids[pol.key]: Span(start_ms, start_ms + 2 * MINUTE_MS)})
            joined = await JoinStore(stores.db).join(ids[matic.key], ids[pol.key], simulator.clock.now_ms())
            joined_ms = floor_minute(simulator.clock.now_ms())
            await eventually(lambda: minute_is_over(ids[matic.key], joined_ms + 2 * MINUTE_MS), 60)
            await eventually(house.is_drained)
            end_ms = joined_ms + 2 * MINUTE_MS
            found = await stores.candles.read(ids[matic.key], Interval.M1, first_ms, end_ms, 600)
            bars = [list(bar[:6]) for bar in found]
            gaps = await stores.minutes.gaps([ids[matic.key]], Span(first_ms, end_ms), end_ms + 3_600_000)
        truth = simulator.truth("binance", pol.base, pol.quote, first_ms, end_ms)
        opened_sockets = [entry for entry in simulator.log() if entry["method"] == "WS"]
    assert joined.minutes >= 2 and bars == truth
    assert (len(opened_sockets), len(said)) == (1, 1)
    assert gaps == [] and await house.errors() == []
    for heard, name in ((of_old, "OLD"), (of_new, pol.base)):
        assert {one["base_id"] for one in heard} == {name}
        last = {one["time"]: [one[field] for field in FIELDS] for one in heard if one["closed"]}
        assert [last[row[0]] for row in truth if row[0] in range(joined_ms - MINUTE_MS, end_ms)] == [
            row for row in truth if row[0] in range(joined_ms - MINUTE_MS, end_ms)
        ]


FIELDS = ("time", "open", "high", "low", "close", "volume")


@asynccontextmanager
async def listening_web(house: House, clock: Clock) -> AsyncIterator[str]:
    database = open_database(house.url)
    async with listening_to(web_deps(database, house.redis, clock)) as address:
        yield address
    await database.close()


@asynccontextmanager
async def heard_by(address: str, market: Instrument) -> AsyncIterator[list[dict[str, Any]]]:
    """What a client is told that subscribed under this name."""
    heard: list[dict[str, Any]] = []
    names = {"exchange": market.exchange, "base_id": market.base, "quote_id": market.quote, "interval": "1m"}
    wish = {"event_type": "subscribe", "data_type": "ohlcv", **names, "mls": True, "tags": True}
    async with connect(f"ws://{address}/api/ohlcvs", max_queue=4096) as socket:
        await socket.send(json.dumps(wish))

        async def listen() -> None:
            async for frame in socket:
                said = json.loads(frame)
                if "time" in said:
                    heard.append(said)

        async with running(listen()):
            yield heard
