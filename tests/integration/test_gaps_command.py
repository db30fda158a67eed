"""`candlehouse gaps` and `candlehouse coverage`, as people and as programs read them."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from common.span import Span
from tests.fixtures.ledger import (
    ASKED,
    BTC_ROW,
    ETH_ROW,
    FORGOTTEN,
    LEFT,
    NOW,
    PLANNED,
    REFUSED,
    T0,
    fill_ledger,
    span_rows,
)
from tests.fixtures.postgres import Server
from tests.fixtures.start import World, world
from tests.fixtures.web import shared_database


@pytest.fixture(scope="module")
def filled_url(postgres_server: Server) -> Iterator[str]:
    with shared_database(postgres_server, fill_ledger) as url:
        yield url


@pytest.fixture
def home() -> Iterator[World]:
    with world("scripts.cli") as found:
        yield found


async def said(home: World, url: str, *arguments: str) -> tuple[int, list[str]]:
    async with home.start(*arguments, DATABASE_URL=url) as program:
        status, told = await program.end()
    return status, told.splitlines()


def time_text(ms: int) -> str:
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%dT%H:%M:%S}"


def line(span: Span, minutes: str, why: str) -> str:
    return f"  {time_text(span.start_ms)} to {time_text(span.end_ms)}  {minutes:>16}  {why}"


PERIOD = ["--start", time_text(T0), "--end", time_text(NOW)]


async def test_gaps_are_told_with_their_reasons_and_what_to_do(home: World, filled_url: str) -> None:
    status, lines = await said(home, filled_url, "gaps", *PERIOD)
    bounds = f"--start {time_text(LEFT.start_ms)} --end {time_text(FORGOTTEN.end_ms)}"
    assert (status, lines) == (
        0,
        [
            "binance BTC/USDT",
            line(REFUSED, "120 minutes", "failed: Malformed: no array but <b>text</b>"),
            line(ASKED, "60 minutes", "fetching: fetch 1 asks for it now"),
            line(PLANNED, "60 minutes", "not asked: planned in fetch 1"),
            line(FORGOTTEN, "60 minutes", "not asked: wanted, but no fetch is at it"),
            "binance ETH/USDT",
            line(LEFT, "30 minutes", "not asked: wanted, but no fetch is at it"),
            "",
            "2 markets with 330 minutes in gaps.",
            "What is asked for now or planned comes by itself while workers run; candlehouse status tells.",
            "To ask for the rest, also for what was refused:",
            f"  candlehouse fetch --exchange binance {bounds} --symbols BTC/USDT,ETH/USDT",
        ],
    )


async def test_programs_are_told_gaps_as_json(home: World, filled_url: str) -> None:
    status, (line,) = await said(home, filled_url, "gaps", "--json", "--exchange", "binance", *PERIOD)
    btc, eth = (
        {"exchange": "binance", "base_id": base, "quote_id": "USDT", "symbol": f"{base}USDT"}
        for base in ("BTC", "ETH")
    )
    wanted = [btc | row for row in span_rows(ASKED, REFUSED, PLANNED, FORGOTTEN)]
    wanted += [eth | row for row in span_rows(LEFT)]
    assert (status, json.loads(line)) == (0, wanted)


async def test_a_market_without_a_gap_is_told_so(home: World, filled_url: str) -> None:
    asked = ["--exchange", "binance", "--symbols", "new-usdt", *PERIOD]
    assert await said(home, filled_url, "gaps", *asked) == (
        0,
        ["No gap: all that was wanted of 1 market is answered."],
    )


async def test_coverage_counts_each_market_by_state(home: World, filled_url: str) -> None:
    status, (line,) = await said(home, filled_url, "coverage", "--json", *PERIOD)
    assert (status, json.loads(line)) == (0, [BTC_ROW, ETH_ROW])
    status, lines = await said(home, filled_url, "coverage", *PERIOD)
    assert (status, len(lines)) == (0, 4)
    for row, told in zip((BTC_ROW, ETH_ROW), lines[1:3], strict=True):
        listed = "-" if row["listed"] is None else time_text(row["listed"])[:16]
        counts = [f"{row[state]:,}" for state in ("empty", "outage", "fetching", "failed", "not_asked", "gaps")]
        times = [time_text(row[name])[:16] for name in ("first", "last")]
        share = f"{row['present_pct']:.3f}"
        assert told.split() == ["binance", f"{row['base_id']}/USDT", listed, *times, share, "%", *counts]


@pytest.mark.parametrize("command", ["gaps", "coverage"])
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--exchange", "mtgox"], "mtgox"),
        (["--symbols", "BTC/USDT"], "--exchange"),
        (["--exchange", "binance", "--symbols", "XXX/YYY"], "Unknown symbol 'XXX/YYY'"),
        (["--start", "yesterday"], "--start 'yesterday' is not a date"),
        (["--start", "2024-01-02", "--end", "2024-01-01"], "No whole minute"),
    ],
)
async def test_a_bad_question_is_refused_in_one_sentence(
    home: World, filled_url: str, command: str, arguments: list[str], words: str
) -> None:
    status, lines = await said(home, filled_url, command, *arguments)
    assert (status, len(lines)) == (2, 1)
    assert words in lines[0]
