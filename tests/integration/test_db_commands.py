"""`candlehouse db timeframes` and `db refresh`, for people who want to look or force."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from app.stores.candles import SUFFIXES, CandleStore, StoredCandle
from app.stores.database import Database
from app.stores.retention import RetentionStore
from app.stores.rollups import Dirty, RollupStore
from app.stores.symbols import SymbolStore
from common.interval import ROLLUPS
from common.market import Instrument
from common.span import DAY_MS, MINUTE_MS
from tests.fixtures.start import World, world

T0 = round(datetime(2023, 12, 31, 23, tzinfo=UTC).timestamp() * 1000)
MARKETS = [Instrument("binance", name, "USDT", f"{name}USDT") for name in ("ADA", "BTC", "NEW")]


@pytest.fixture
def home() -> Iterator[World]:
    with world("scripts.cli") as found:
        yield found


@pytest.fixture
async def filled(database: Database) -> Database:
    """Two markets with 90 minutes over a new year and one of 500 days before; a third without candles."""
    await SymbolStore(database).upsert("binance", MARKETS, T0)
    times = [T0 - 500 * DAY_MS, *(T0 + minute * MINUTE_MS for minute in range(90))]
    for symbol_id in (1, 2):
        await CandleStore(database).write(
            [StoredCandle(symbol_id, at, 1, 2, 0.5, 1, 1, None, None, 3) for at in times]
        )
    return database


async def said(home: World, url: str, *arguments: str) -> tuple[int, list[str]]:
    async with home.start("db", *arguments, DATABASE_URL=url) as program:
        status, told = await program.end()
    return status, told.splitlines()


async def bars(database: Database) -> dict[str, list[tuple]]:
    async with database.connection() as connection:
        return {
            suffix: [tuple(row) for row in await connection.fetch(f"SELECT * FROM bars_{suffix} ORDER BY 1, 2")]
            for suffix in (SUFFIXES[interval] for interval in ROLLUPS)
        }


async def test_looking_shows_every_stored_timeframe_and_changes_nothing(
    filled: Database, home: World, postgres_url: str
) -> None:
    dirty = await RollupStore(filled).dirty()
    status, lines = await said(home, postgres_url, "timeframes")
    assert (status, [line.split()[0] for line in lines[1:12]]) == (0, [interval.value for interval in ROLLUPS])
    assert [line.split()[-1] for line in lines[1:12]] == [
        f"ohlcvs_summary_{SUFFIXES[interval]}" for interval in ROLLUPS
    ]
    assert " ".join(line.split()[1] for line in lines[1:12]) == "1m 5m 5m 5m 1h 1h 1h 1h 1D 1D 1D"
    assert lines[12] == (
        "Not rolled up yet: 4 spans of 2 markets, 182 minutes. Readers aggregate these from the minutes meanwhile."
    )
    assert await RollupStore(filled).dirty() == dirty == Dirty(4, 2, 182)


async def test_a_dry_run_says_what_would_be_done_and_does_not_do_it(
    filled: Database, home: World, postgres_url: str
) -> None:
    assert await said(home, postgres_url, "refresh", "--dry-run") == (
        0,
        ["Would roll up 4 spans of 2 markets, 182 minutes, and refresh the analytics. Nothing was changed."],
    )
    assert await said(home, postgres_url, "refresh", "--all", "--dry-run") == (
        0,
        ["Would roll up all bars of every market anew, and refresh the analytics. Nothing was changed."],
    )
    assert await RollupStore(filled).dirty_count() == 4


async def test_a_refresh_rolls_up_what_changed(filled: Database, home: World, postgres_url: str) -> None:
    assert await said(home, postgres_url, "refresh", "--yes") == (
        0,
        ["Rolled up 4 changed spans and refreshed the analytics."],
    )
    assert await RollupStore(filled).dirty_count() == 0


async def test_forcing_makes_every_stored_bar_anew(filled: Database, home: World, postgres_url: str) -> None:
    """Bars that somebody spoilt, lost or made up are right again, though the ledger knew nothing of it."""
    await RollupStore(filled).refresh()
    right = await bars(filled)
    async with filled.begin() as connection:
        await connection.execute("UPDATE stored_1hour SET close = 7")
        await connection.execute("DELETE FROM stored_daily WHERE symbol_id = 1")
        for suffix in ("1hour", "1month"):
            await connection.execute(
                f"INSERT INTO stored_{suffix} VALUES (2, bucket_{suffix}($1), 1, 1, 1, 1, 1)", T0 - 800 * DAY_MS
            )
    assert await bars(filled) != right
    assert await said(home, postgres_url, "refresh", "--all") == (
        2,
        ["--all may take hours: say --yes as well where nobody can be asked."],
    )
    assert await bars(filled) != right
    status, _ = await said(home, postgres_url, "refresh", "--all", "--yes")
    assert (status, await bars(filled), await RollupStore(filled).dirty_count()) == (0, right, 0)


async def test_retaining_tells_first_asks_and_drops_only_what_was_chosen(
    filled: Database, home: World, postgres_url: str
) -> None:
    """The minute of 500 days before the new year is old; the others are not, however late this is run."""
    days = (time.time() * 1000 - T0) // DAY_MS + 100
    ask = ("retain", "--older-than", f"{days:.0f}d")
    before = await bars(filled)
    status, told = await said(home, postgres_url, *ask, "--dry-run")
    assert (status, told[0].split(" UTC would go")[0].split(" before ")[0]) == (0, "2 minutes of 2 markets")
    assert told[1] == "from 2022-08-18T23:00:00 to 2022-08-18T23:01:00. Bars from 5m to 1M stay."
    assert await said(home, postgres_url, *ask) == (
        2,
        [*told, "Dropped minutes do not come back: say --yes as well where nobody can be asked."],
    )
    assert await RetentionStore(filled).state() == (0, None, None)
    one = (*ask, "--exchange", "binance", "--symbols", "BTC/USDT", "--yes")
    status, told = await said(home, postgres_url, *one)
    assert (status, told[-1]) == (0, "Dropped. 1 minute one by one, the others with their partitions or chunks.")
    assert list(await RetentionStore(filled).horizons([1, 2, 3])) == [2]
    after = await bars(filled)
    assert {name: len(rows) for name, rows in before.items()} == dict.fromkeys(before, 0)
    assert [row[0] for row in after["daily"]] == [1, 1, 1, 2, 2, 2]
    status, told = await said(home, postgres_url, *one)
    assert (status, told[0].split(" before ")[0]) == (0, "Nothing to drop: no minutes")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "Say --older-than, a number of days from 8 on, such as 730d; RETAIN_MINUTES_DAYS says nothing."),
        (["--older-than", "7d"], "--older-than '7d' must be a number of days from 8 on, such as 730d."),
        (["--older-than", "2y"], "--older-than '2y' must be a number of days from 8 on, such as 730d."),
        (
            ["--older-than", "9d", "--symbols", "BTC/USDT"],
            "Say --exchange as well: --symbols names markets of one exchange.",
        ),
    ],
)
async def test_a_wrong_question_about_retention_is_one_sentence(
    filled: Database, home: World, postgres_url: str, arguments: list[str], sentence: str
) -> None:
    assert await said(home, postgres_url, "retain", *arguments, "--yes") == (2, [sentence])
    assert await RetentionStore(filled).state() == (0, None, None)
