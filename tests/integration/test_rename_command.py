"""`candlehouse rename`: two markets that a person says are one."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from app import wiring
from app.settings import load_settings
from app.wiring import Stores
from common.interval import Interval
from common.market import Instrument
from common.span import MINUTE_MS, Span
from tests.fixtures.bars import T0, candle
from tests.fixtures.command_line import CommandLine, candlehouse
from tests.fixtures.simulator import simulator

__all__ = ["candlehouse", "simulator"]

MATIC = Instrument("binance", "MATIC", "USDT", "MATICUSDT", "MATIC", "USDT", is_trading=False)
POL = Instrument("binance", "POL", "USDT", "POLUSDT", "POL", "USDT")
OTHER = Instrument("binance", "ETH", "USDT", "ETHUSDT", "ETH", "USDT")


@pytest.fixture
async def stores(postgres_url: str, candlehouse: CommandLine) -> AsyncIterator[Stores]:
    async with wiring.open_stores(load_settings({"DATABASE_URL": postgres_url}, dotenv="/nowhere")) as opened:
        await opened.symbols.upsert("binance", [MATIC, POL, OTHER], T0)
        for symbol_id, first in ((1, 0), (2, 5)):
            rows = [candle(minute, 1.0, symbol_id, 1.0, True) for minute in range(first, first + 5)]
            span = Span(T0 + first * MINUTE_MS, T0 + (first + 5) * MINUTE_MS)
            await opened.candles.write(rows, cover=[(symbol_id, span)])
            await opened.coverage.want({symbol_id: span})
        yield opened


async def as_it_was(stores: Stores) -> bool:
    return await stores.symbols.ids() == {MATIC.key: 1, POL.key: 2, OTHER.key: 3}


RENAME = ("rename", "--exchange", "binance")
TOLD = (
    "MATIC/USDT (MATICUSDT): candles from 2021-01-31T22:00:00 to 2021-01-31T22:04:00\n"
    "POL/USDT (POLUSDT): candles from 2021-01-31T22:05:00 to 2021-01-31T22:09:00\n"
    "They become one series, POL/USDT, which MATIC/USDT finds as well.\n"
)


async def test_a_dry_run_tells_and_changes_nothing(candlehouse: CommandLine, stores: Stores) -> None:
    assert await asyncio.to_thread(candlehouse, *RENAME, "--dry-run", "matic-usdt", "POLUSDT") == (0, TOLD)
    assert await as_it_was(stores)


async def test_a_renamed_market_is_one_series_and_a_second_time_changes_nothing(
    candlehouse: CommandLine, stores: Stores
) -> None:
    assert await asyncio.to_thread(candlehouse, *RENAME, "--yes", "MATIC/USDT", "POL/USDT") == (
        0,
        TOLD + "Renamed. 5 minutes moved.\n",
    )
    again = (0, "binance MATIC/USDT is POL/USDT already; nothing is to be done.\n")
    assert await asyncio.to_thread(candlehouse, *RENAME, "--yes", "MATIC/USDT", "POL/USDT") == again
    assert await stores.symbols.ids() == {MATIC.key: 1, POL.key: 1, OTHER.key: 3}
    bars = await stores.candles.read(1, Interval.M1, None, T0 * 2, 100)
    assert [one.open_ms for one in bars] == [T0 + minute * MINUTE_MS for minute in range(10)]
    status, said = await asyncio.to_thread(candlehouse, "gaps", "--exchange", "binance", "--symbols", "MATIC/USDT")
    assert (status, "MATIC" in said) == (0, False)
    assert await stores.minutes.gaps([1], Span(T0, T0 + 10 * MINUTE_MS), T0 * 2) == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((*RENAME, "XYZ/USDT", "POL/USDT"), "Unknown symbol 'XYZ/USDT'"),
        ((*RENAME, "MATIC/USDT", "POLL/USDT"), "Unknown symbol 'POLL/USDT'; did you mean POL/USDT?"),
        (
            (*RENAME, "POL/USDT", "MATIC/USDT"),
            "POL/USDT is under trade and MATIC/USDT is not: say the former name first.",
        ),
        ((*RENAME, "ETH/USDT", "POL/USDT"), "ETH/USDT and POL/USDT are both under trade: they are two markets."),
        (
            (*RENAME, "MATIC/USDT,ETH/USDT", "POL/USDT"),
            "Name one market before and one after, such as",
        ),
        ((*RENAME, "MATIC/USDT", "POL/USDT"), "Nothing was changed: say --yes where nobody can be asked."),
        (("rename", "MATIC/USDT", "POL/USDT"), "Say --exchange, one of"),
    ],
)
async def test_a_mistake_is_told_in_one_sentence_and_changes_nothing(
    candlehouse: CommandLine, stores: Stores, arguments: tuple[str, ...], sentence: str
) -> None:
    status, said = await asyncio.to_thread(candlehouse, *arguments)
    assert (status, sentence in said.splitlines()[-1]) == (2, True)
    assert await as_it_was(stores)
