"""`candlehouse estimate`: what history would take, and `fetch` that warns where it has no place."""

import asyncio
import json
from typing import Any

import pytest

from app import disk
from app.disk import Disk
from app.stores.candles import CandleStore
from app.stores.database import Database
from app.stores.plan import PlanStore
from app.stores.symbols import SymbolStore
from common.clock import Clock
from common.span import DAY_MS, Span
from tests.fixtures.command_line import CommandLine, candlehouse
from tests.fixtures.simulator import simulator

__all__ = ["candlehouse", "simulator"]

START_MS = 1_788_825_600_000  # 2026-09-08
FIVE_DAYS = ("--start", "2026-09-08", "--end", "2026-09-13")
BOTH = ("--symbols", "BTC/USDT,ETH/USDT")
GB = 1_000_000_000


async def said(candlehouse: CommandLine, *arguments: str) -> list[dict[str, Any]]:
    """The JSON that is said, without the log's lines of odd markets."""
    status, told = await asyncio.to_thread(candlehouse, *arguments, "--json")
    assert status == 0, told
    return [json.loads(line) for line in told.splitlines() if line.startswith("{")]


async def test_requests_time_rows_and_bytes_are_told_with_what_the_disk_has(
    candlehouse: CommandLine, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "see", lambda _: Disk(50 * GB, 100 * GB))
    arguments = ("estimate", "--exchange", "binance", *BOTH, *FIVE_DAYS)
    status, told = await asyncio.to_thread(candlehouse, *arguments)
    assert (status, told.splitlines()) == (
        0,
        [
            "2 markets of binance: 16 pages with as many requests (weight 32), at most 14,400 rows (2.6 MB at 184"
            " bytes a row, typical of tier plain), less than a minute at the allowed rate (80,000 of 6,000 weight"
            " a minute). Nothing was planned.",
            "It fits: up to 2.6 MB; 50.0 GB of 100.0 GB are free on the database's disk, and seven days of streams"
            " and planned fetches need up to 0 bytes beside.",
        ],
    )


async def test_stored_minutes_and_those_before_a_listing_do_not_count(
    candlehouse: CommandLine, database: Database
) -> None:
    arguments = ("estimate", "--exchange", "binance", *BOTH, *FIVE_DAYS)
    assert (await said(candlehouse, *arguments))[0]["rows"] == 2 * 5 * 1440
    stored = {one.instrument.symbol: one.id for one in (await SymbolStore(database).load("binance")).values()}
    first_day = (stored["BTC/USDT"], Span(START_MS, START_MS + DAY_MS))
    await CandleStore(database).write([], cover=[first_day])
    async with database.connection() as connection:
        listed = "UPDATE symbol_exchange SET listed_at = $2 WHERE id = $1"
        await connection.execute(listed, stored["ETH/USDT"], START_MS + 3 * DAY_MS)
    assert (await said(candlehouse, *arguments))[0]["rows"] == (4 + 2) * 1440


async def test_years_count_back_from_now_on_each_exchange_that_has_the_markets(
    candlehouse: CommandLine, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXCHANGES", "binance,bitfinex")
    two_years = 1440 * 1461 // 2
    monkeypatch.setattr(disk, "see", lambda _: Disk(2 * two_years * 184 - 1, 100 * GB))
    told = await said(candlehouse, "estimate", "--symbols", "BTC/USDT", "--years", "2")
    assert [(one["exchange"], one["rows"]) for one in told[:-1]] == [
        ("binance", two_years),
        ("bitfinex", two_years),
    ]
    assert told[-1]["fits"] is False
    told = await said(candlehouse, "estimate", "--symbols", "DUSK/USD", "--years", "2")
    assert [one.get("exchange") for one in told] == ["bitfinex", "binance", None]
    assert told[1]["text"].startswith("binance is left out: Unknown symbol 'DUSK/USD'")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Say --years N, or --start"),
        (["--years", "1", "--start", "2024-01-01"], "Say --years N, or --start"),
        (["--years", "1", "--end", "2024-01-01"], "Say --years N, or --start"),
        (["--years", "0"], "--years 0 must be from"),
        (["--years", "nan"], "--years nan must be from"),
        (["--years", "40"], "--years 40 must be from"),
        (["--years", "1", "--exchange", "binance", "--symbols", "NO/SUCH"], "NO/SUCH"),
        (["--years", "1", "--exchange", "mtgox"], "mtgox"),
    ],
)
async def test_a_mistake_is_one_sentence(
    candlehouse: CommandLine, database: Database, arguments: list[str], words: str
) -> None:
    status, told = await asyncio.to_thread(candlehouse, "estimate", *arguments)
    assert (status, words in told, told.count("\n")) == (2, True, 1), told


@pytest.mark.parametrize(("free", "fits"), [(2_649_600, True), (2_649_599, False)])
async def test_a_fetch_without_place_is_warned_about_before_it_is_planned_and_goes_on(
    candlehouse: CommandLine, database: Database, monkeypatch: pytest.MonkeyPatch, free: int, fits: bool
) -> None:
    """Room for 14,400 rows of 184 bytes to a byte; the plan itself needs none until it is made."""
    monkeypatch.setattr(disk, "see", lambda _: Disk(free, 100 * GB))
    arguments = ("fetch", "--exchange", "binance", *BOTH, *FIVE_DAYS)
    estimated = (await said(candlehouse, "estimate", *arguments[1:]))[-1]
    assert estimated == (await said(candlehouse, *arguments, "--dry-run"))[-1]
    assert (estimated["fits"], estimated["free"], estimated["needed"]) == (fits, free, 0)
    warned, planned = [{}, *await said(candlehouse, *arguments, "--detach")][-2:]
    assert (warned == estimated) is not fits
    assert planned["text"].startswith("Job 1 planned: 2 markets of binance.")
    assert (await PlanStore(database, Clock()).progress(1)).minutes_total == 14_400
