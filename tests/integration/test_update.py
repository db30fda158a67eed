"""The updater: what was closed is in the database before it is acknowledged, and nothing is lost on the way."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import redis.asyncio
from msgspec.structs import replace
from structlog.testing import capture_logs

from app.jobs import update as module
from app.jobs.update import run_update
from app.messages import CandleMessage
from app.stores.candles import CandleStore, StoredCandle
from app.stores.closed_stream import ClosedStream
from app.stores.coverage import CoverageStore
from app.stores.database import Database, open_database
from app.stores.errors import ErrorStore
from app.stores.latest import LiveSink
from app.stores.rollups import RollupStore
from app.stores.symbols import SymbolStore
from common.clock import Clock
from common.market import Instrument
from common.span import MINUTE_MS, Span
from tests.fixtures.live import BTC, ETH, T0, eventually, impatient_redis, message, running, wire

BY_TIME, CLOSING, RECORD = 1, 2, 3
NEW = Instrument("binance", "NEW", "USDT", "NEWUSDT", "NEW", "USDT")


@dataclass
class House:
    """The two servers, and what goes in and out."""

    database: Database
    redis: redis.asyncio.Redis
    url: str

    @asynccontextmanager
    async def updating(
        self, url: str | None = None, closed: ClosedStream | None = None, batch: int = 5000
    ) -> AsyncIterator["asyncio.Future[Any]"]:
        """An updater with connections of its own, as every process has."""
        db = open_database(url or self.url)
        stores = CandleStore(db), SymbolStore(db), RollupStore(db), ErrorStore(db)
        job = run_update(closed or ClosedStream(self.redis, "one"), *stores, Clock(), batch=batch)
        try:
            async with running(job) as task:
                yield task
        finally:
            await db.close()

    async def tell(self, messages: Sequence[CandleMessage]) -> None:
        await LiveSink(self.redis, Clock(), [BTC, ETH]).write(messages)

    async def rows(self) -> list[tuple[str, int, float, int]]:
        """(base, minute, volume, source) of every stored candle."""
        query = """SELECT base_id, time, volume, source FROM candles
            JOIN symbol_exchange ON id = symbol_id ORDER BY base_id, time"""
        async with self.database.connection() as connection:
            found = await connection.fetch(query)
        return [(base, (time - T0) // MINUTE_MS, volume, source) for base, time, volume, source in found]

    async def errors(self) -> list[tuple[str, int, str, int]]:
        query = "SELECT symbol, start_date, exception_class, attempts FROM ohlcvs_errors ORDER BY id"
        async with self.database.connection() as connection:
            found = await connection.fetch(query)
        return [(row[0], (row[1] - T0) // MINUTE_MS, *row[2:]) for row in found]

    async def is_drained(self) -> bool:
        """Every entry was given to somebody, and nobody owes an acknowledgement."""
        groups = await self.redis.xinfo_groups("closed_candles")
        tail = await self.redis.xrevrange("closed_candles", count=1)
        return bool(groups) and groups[0]["pending"] == 0 and groups[0]["last-delivered-id"] == tail[0][0]

    async def drained(self) -> None:
        await eventually(self.is_drained)


@pytest.fixture
async def house(database: Database, redis_client: redis.asyncio.Redis, postgres_url: str) -> House:
    await SymbolStore(database).upsert("binance", [BTC, ETH], T0)
    return House(database, redis_client, postgres_url)


async def test_closed_candles_are_stored_and_acknowledged(house: House) -> None:
    await house.tell([message(0, 5, CLOSING), message(0, 6, BY_TIME, ETH), message(1, 7), message(1, 8, CLOSING)])
    async with house.updating():
        await house.drained()
    assert await house.rows() == [("BTC", 0, 5, CLOSING), ("BTC", 1, 8, CLOSING), ("ETH", 0, 6, BY_TIME)]
    assert await house.redis.xlen("closed_candles") == 1


async def test_prices_are_stored_as_they_were_told(house: House) -> None:
    """W2: the updater rounded to four decimals."""
    tiny = replace(message(0, 1, CLOSING), open=0.00001234, low=1e-12, close=0.1 + 0.2, volume=98765.4321987)
    await house.tell([tiny])
    async with house.updating():
        await house.drained()
    async with house.database.connection() as connection:
        (row,) = await connection.fetch("SELECT open, high, low, close, volume, quote_volume, trades FROM candles")
    assert tuple(row) == (tiny.open, tiny.high, tiny.low, tiny.close, tiny.volume, tiny.quote_volume, tiny.trades)


async def test_several_versions_of_a_minute_end_as_the_one_that_outranks(house: House) -> None:
    """W7: late corrections were dropped."""
    await house.tell(
        [
            message(0, 9, BY_TIME),
            message(0, 5, CLOSING),
            message(0, 6, CLOSING, corrected=True),
            message(0, 8, BY_TIME),
            message(1, 5, BY_TIME),
            message(1, 4, RECORD, corrected=True),
            message(1, 6, CLOSING, corrected=True),
        ]
    )
    async with house.updating(batch=2):
        await house.drained()
    assert await house.rows() == [("BTC", 0, 6, CLOSING), ("BTC", 1, 4, RECORD)]


async def test_only_the_exchanges_own_closing_covers_a_minute(house: House) -> None:
    await house.tell(
        [message(0, 5, CLOSING), message(1, 5, BY_TIME), message(2, 5, CLOSING), message(3, 5, CLOSING)]
    )
    async with house.updating():
        await house.drained()
    covered = await CoverageStore(house.database).covered([1])
    minute = MINUTE_MS
    assert covered == {1: [Span(T0, T0 + minute), Span(T0 + 2 * minute, T0 + 4 * minute)]}


async def test_rollups_follow_without_being_asked(house: House) -> None:
    rollups = RollupStore(house.database)

    async def clean() -> bool:
        return await rollups.dirty_count() == 0 and bool(await house.rows())

    await house.tell([message(minute, 1, CLOSING) for minute in range(10)])
    async with house.updating():
        await house.drained()
        await eventually(clean)
    async with house.database.connection() as connection:
        assert await connection.fetchval("SELECT sum(volume) FROM bars_5min") == 10


class DyingStream(ClosedStream):
    """The process ends after its commit and before its acknowledgement."""

    async def ack(self, ids: Sequence[str]) -> None:
        raise KeyError("killed")


@pytest.mark.parametrize("consumer", ["one", "another"])
async def test_death_between_commit_and_acknowledgement_loses_and_doubles_nothing(
    house: House, consumer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W6: rows in flight were never read again. Whoever starts next finishes them."""
    monkeypatch.setattr(module, "STALE_MS", 1)
    await house.tell([message(minute, 1, CLOSING) for minute in range(50)])
    with pytest.raises(ExceptionGroup):
        async with house.updating(closed=DyingStream(house.redis, "one"), batch=20) as task:
            await task
    assert len(await house.rows()) == 20
    assert (await house.redis.xpending("closed_candles", "update"))["pending"] == 20
    async with house.updating(closed=ClosedStream(house.redis, consumer), batch=20):
        await house.drained()
    assert await house.rows() == [("BTC", minute, 1, CLOSING) for minute in range(50)]


async def test_being_stopped_at_any_moment_loses_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "GATHER_S", 0.001)
    for turn in range(16):
        await house.tell([message(turn * 20 + minute, 1, CLOSING) for minute in range(20)])
        async with house.updating(batch=7):
            await asyncio.sleep(turn / 200)
    async with house.updating():
        await house.drained()
    assert await house.rows() == [("BTC", minute, 1, CLOSING) for minute in range(320)]


async def test_while_the_database_is_away_nothing_is_lost(house: House, postgres_url: str) -> None:
    """W6: a restart of PostgreSQL lost the batch, or ended the updater. It is told once."""
    async with wire(postgres_url) as way:
        with capture_logs() as logs:
            async with house.updating(way.url):
                await house.tell([message(0, 1, CLOSING)])
                await house.drained()
                await way.cut()
                await house.tell([message(minute, 1, CLOSING) for minute in range(1, 30)])
                await eventually(lambda: told(logs, "Away"))
                await eventually(lambda: owes(house, 29))
                await way.mend()
                await house.drained()
    assert await house.rows() == [("BTC", minute, 1, CLOSING) for minute in range(30)]
    assert [one["event"] for one in logs if one.get("what") == "PostgreSQL"] == [
        "Away; nothing is lost, it is tried again",
        "Back",
    ]


async def owes(house: House, count: int) -> bool:
    return bool((await house.redis.xpending("closed_candles", "update"))["pending"] == count)


async def told(logs: list[Any], start: str) -> bool:
    return any(one["event"].startswith(start) for one in logs)


async def test_while_redis_is_away_the_updater_waits(house: House, redis_url: str) -> None:
    async with wire(redis_url) as way, impatient_redis(way.url) as client:
        with capture_logs() as logs:
            async with house.updating(closed=ClosedStream(client, "one")) as task:
                await house.tell([message(0, 1, CLOSING)])
                await house.drained()
                await way.cut()
                await house.tell([message(1, 1, CLOSING)])
                await eventually(lambda: told(logs, "Away"))
                await way.mend()
                await house.drained()
                assert not task.done()
    assert await house.rows() == [("BTC", 0, 1, CLOSING), ("BTC", 1, 1, CLOSING)]


async def test_an_emptied_redis_does_not_end_the_updater(house: House) -> None:
    await house.tell([message(0, 1, CLOSING)])
    async with house.updating():
        await house.drained()
        await house.redis.flushdb()
        await house.tell([message(1, 1, CLOSING)])
        await eventually(lambda: stored(house, 2))
    assert await house.rows() == [("BTC", 0, 1, CLOSING), ("BTC", 1, 1, CLOSING)]


async def stored(house: House, count: int) -> bool:
    return len(await house.rows()) == count


async def test_a_poison_row_costs_no_other_row_and_is_recorded(house: House) -> None:
    """W6: one candle of an unknown market ended the process, and with it the batch."""
    poison = replace(message(3, 1, CLOSING), trades=2**40)
    good = [message(minute, 1, CLOSING) for minute in range(3)]
    await house.tell([*good, message(0, 1, CLOSING, NEW), poison, message(4, 1, CLOSING)])
    await house.redis.xadd("closed_candles", {"candle": "{"})
    with capture_logs() as logs:
        async with house.updating():
            await house.drained()
    assert await house.rows() == [("BTC", minute, 1, CLOSING) for minute in (0, 1, 2, 4)]
    assert await house.errors() == [("BTC/USDT", 3, "OverflowError", 1), ("NEW/USDT", 0, "UnknownSymbol", 1)]
    assert any("is none" in one["event"] for one in logs)


async def test_what_cannot_even_be_recorded_does_not_end_the_updater(house: House) -> None:
    await house.tell([replace(message(0, 1, CLOSING), time=2**62), message(1, 1, CLOSING)])
    with capture_logs() as logs:
        async with house.updating():
            await house.drained()
    assert await house.rows() == [("BTC", 1, 1, CLOSING)]
    assert any(one["event"] == "Nor can its failure" for one in logs)


async def test_a_market_listed_while_the_updater_runs_is_found(house: House) -> None:
    await house.tell([message(0, 1, CLOSING)])
    async with house.updating():
        await house.drained()
        await SymbolStore(house.database).upsert("binance", [BTC, ETH, NEW], T0 + 1)
        await house.tell([message(0, 2, CLOSING, NEW)])
        await house.drained()
    assert await house.rows() == [("BTC", 0, 1, CLOSING), ("NEW", 0, 2, CLOSING)]
    assert await house.errors() == []


async def test_candles_that_come_together_are_written_together(house: House) -> None:
    """W24: one row at a time."""
    written: list[int] = []

    class Counting(CandleStore):
        async def write(self, rows: Sequence[StoredCandle], **how: Any) -> Any:
            written.append(len(rows))
            return await super().write(rows, **how)

    stores = Counting(house.database), SymbolStore(house.database), RollupStore(house.database)
    job = run_update(ClosedStream(house.redis, "one"), *stores, ErrorStore(house.database), Clock(), batch=300)
    await house.tell([message(minute, 1, CLOSING) for minute in range(1000)])
    async with running(job):
        await house.drained()
    assert written == [300, 300, 300, 100]
