"""The updater: what was closed is in the database before it is acknowledged, and nothing is lost on the way."""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace
from structlog.testing import capture_logs

from app.jobs.update import run_update
from app.metrics.scrape import Scrape
from app.metrics.update import FIGURES, UpdateFigures
from app.stores.candles import CandleStore, StoredCandle
from app.stores.closed_stream import ClosedStream
from app.stores.coverage import CoverageStore
from app.stores.errors import ErrorStore
from app.stores.rollups import RollupStore
from app.stores.symbols import SymbolStore
from common.clock import Clock
from common.market import Instrument
from common.span import MINUTE_MS, Span
from tests.fixtures.house import House, house
from tests.fixtures.live import BTC, ETH, T0, eventually, message, running

__all__ = ["house"]
BY_TIME, CLOSING, RECORD = 1, 2, 3
NEW = Instrument("binance", "NEW", "USDT", "NEWUSDT", "NEW", "USDT")


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


async def test_a_poison_row_costs_no_other_row_and_is_recorded(house: House) -> None:
    """W6: one candle of an unknown market ended the process, and with it the batch."""
    poison = replace(message(3, 1, CLOSING), trades=2**40)
    good = [message(minute, 1, CLOSING) for minute in range(3)]
    await house.tell([*good, message(0, 1, CLOSING, NEW), poison, message(4, 1, CLOSING)])
    await house.redis.xadd("closed_candles", {"candle": "{"})
    figures, scrape = UpdateFigures(), Scrape(FIGURES)
    with capture_logs() as logs:
        async with house.updating(figures=figures):
            await house.drained()
    figures.tell(scrape)
    told = {one.name: one.value for metric in scrape.collect() for one in metric.samples}
    assert told["candlehouse_update_candles_total"] == told["candlehouse_update_batch_candles_sum"] == 4
    assert told["candlehouse_update_unstorable_total"] == 2
    assert told["candlehouse_update_delay_seconds_sum"] > 0 < told["candlehouse_update_commit_seconds_sum"]
    assert await house.rows() == [("BTC", minute, 1, CLOSING) for minute in (0, 1, 2, 4)]
    assert await house.errors() == [("BTC/USDT", 3, "ValueError", 1), ("NEW/USDT", 0, "UnknownSymbol", 1)]
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
