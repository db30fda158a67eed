"""candles() and what it is made of, as people in psql use them."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import asyncpg
import pytest

from app.stores.candles import CandleStore, StoredCandle
from app.stores.database import Database
from app.stores.rollups import RollupStore
from app.stores.symbols import SymbolStore
from common.errors import BadInput
from common.market import Instrument
from common.span import DAY_MS, MINUTE_MS, Span
from common.timeframe import Timeframe, Unit, parse
from tests.fixtures.web import aggregate, every_minute, minutes

T0 = round(datetime(2024, 3, 30, 22, tzinfo=UTC).timestamp() * 1000)
#: Every minute of five days, in which clocks change in Europe, and some of the year around them.
BARS = minutes({*every_minute(T0, 5 * 1440), *(T0 + day * DAY_MS + 7 * MINUTE_MS for day in range(-200, 200, 3))})
MARKET = "'bitfinex', 'BTC', 'USDT'"
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "America/Havana"]
ZONES += ["Atlantic/Azores", "America/St_Johns", "America/Sao_Paulo", "Pacific/Apia", "Africa/Casablanca"]


@pytest.fixture
async def filled(database: Database) -> Database:
    listed = [Instrument("bitfinex", "BTC", "USDT", "BTCUST", "BTC", "UST")]
    await SymbolStore(database).upsert("bitfinex", listed, T0)
    await CandleStore(database).write([StoredCandle(1, *bar, 3) for bar in BARS])
    await RollupStore(database).refresh()
    return database


async def ask(database: Database, arguments: str) -> list[tuple]:
    async with database.connection() as connection:
        return [tuple(row) for row in await connection.fetch(f"SELECT * FROM candles({arguments})")]


async def refusal(database: Database, statement: str) -> tuple[str, str]:
    async with database.connection() as connection:
        with pytest.raises(asyncpg.PostgresError) as told:
            await connection.execute(statement)
    return told.value.args[0], told.value.hint


def truth(timeframe: Timeframe) -> list[tuple]:
    known = Span(BARS[0].open_ms, BARS[-1].open_ms + MINUTE_MS)
    return [
        (
            *bar[:5],
            pytest.approx(bar.volume, rel=1e-12),
            None,
            None,
            bar.open_ms < known.start_ms or timeframe.after(bar.open_ms) > known.end_ms,
        )
        for bar in aggregate(BARS, timeframe)
    ]


@pytest.mark.parametrize(
    ("text", "tz"),
    [
        *((text, "UTC") for text in ("4h", "7m", "1H", "1", "1W", "3D", "3M", "1Y")),
        *(("1D", "Europe/Berlin"), ("1W", "America/New_York"), ("1mo", "Asia/Kathmandu")),
    ],
)
async def test_a_function_gives_bars_of_any_timeframe(filled: Database, text: str, tz: str) -> None:
    wanted = truth(parse(text, tz))
    assert await ask(filled, f"{MARKET}, '{text}', tz => '{tz}'") == wanted
    assert await ask(filled, f"{MARKET}, '{text}', tz => '{tz}', newest => 3") == wanted[-3:]
    assert await ask(filled, f"{MARKET}, '{text}', NULL, NULL, 0, '{tz}'") == []
    some = [row for row in wanted if T0 <= row[0] < T0 + 2 * DAY_MS]
    span = f"'{text}', '2024-03-30 22:00+00', '2024-04-01 22:00+00'"
    assert await ask(filled, f"{MARKET}, {span}, tz => '{tz}'") == some
    assert await ask(filled, f"{MARKET}, {span}, 2, '{tz}'") == some[-2:]


async def test_the_first_minute_may_be_chosen_from_which_buckets_count(filled: Database) -> None:
    origin = T0 + 17 * MINUTE_MS
    for text in ("4h", "1D", "2W"):
        found = await ask(filled, f"{MARKET}, '{text}', origin => '2024-03-30 22:17+00'")
        assert found == truth(parse(text, None, origin))


async def test_the_exchanges_own_names_in_any_case_are_understood(filled: Database) -> None:
    wanted = await ask(filled, f"{MARKET}, '1D'")
    assert await ask(filled, "'Bitfinex', 'btc', 'ust', '1D'") == wanted != []


async def test_what_cannot_be_is_told_in_one_sentence(filled: Database) -> None:
    hint = "A number of minutes, or a count with m h D W M Q Y, from one minute to ten years: 7m 4h 1D 1W 3M 1Y."
    assert await refusal(filled, f"SELECT candles({MARKET}, '5ms')") == ("Unknown timeframe '5ms'.", hint)
    assert await refusal(filled, f"SELECT candles({MARKET}, NULL)") == ("Unknown timeframe ''.", hint)
    assert await refusal(filled, "SELECT candles('binance', 'BTC', 'USDT', '1h')") == (
        "Unknown market: binance has no BTC/USDT (spot).",
        "SELECT exchange, base_id, quote_id FROM symbol_exchange lists what there is.",
    )
    sentence, _ = await refusal(filled, f"SELECT candles({MARKET}, '1h', newest => -1)")
    assert sentence == "newest must not be negative, and is -1."
    sentence, _ = await refusal(filled, f"SELECT candles({MARKET}, '1D', tz => 'Mars')")
    assert sentence == 'time zone "Mars" not recognized'
    sentence, hint = await refusal(filled, f"SELECT candles({MARKET}, '1M', origin => '2024-01-31')")
    assert hint == "origin must be on one of the days 1 to 28 of a month."


async def test_bars_are_made_of_the_coarsest_stored_ones_that_fit(filled: Database) -> None:
    def source(text: str, tz: str = "UTC", origin: int | None = None) -> tuple[list[int], bool]:
        timeframe = parse(text, tz, origin)
        start = timeframe.floor(T0)
        fixed = timeframe.unit is Unit.MINUTE
        bounds = [start]
        while len(bounds) < (2 if fixed else 9):
            bounds.append(timeframe.after(bounds[-1]))
        return bounds, fixed

    asked = {
        "7m": source("7m"),
        "10m": source("10m"),
        "45m": source("45m"),
        "2h": source("2h"),
        "4h": source("4h"),
        "36h": source("36h"),
        "3D": source("3D"),
        "3W": source("3W"),
        "3M": source("3M"),
        "1Y": source("1Y"),
        "1h off by 30m": source("1h", origin=30 * MINUTE_MS),
        "1D in Berlin": source("1D", "Europe/Berlin"),
        "1D in Kathmandu": source("1D", "Asia/Kathmandu"),
        "1D in +05:30": source("1D", "+05:30"),
        "1M in New York": source("1M", "America/New_York"),
    }
    async with filled.connection() as connection:
        found = {
            name: await connection.fetchval("SELECT timeframe_source($1, $2)", *bounds)
            for name, bounds in asked.items()
        }
    assert found == {
        "7m": "1min",
        "10m": "5min",
        "45m": "15min",
        "2h": "1hour",
        "4h": "1hour",
        "36h": "12hour",
        "3D": "daily",
        "3W": "7day",
        "3M": "1month",
        "1Y": "1month",
        "1h off by 30m": "30min",
        "1D in Berlin": "1hour",
        "1D in Kathmandu": "15min",
        "1D in +05:30": "30min",
        "1M in New York": "1hour",
    }


def spellings() -> Iterator[str]:
    words = "m M T min Min minutes h H hour hours d D day w W W-MON w-sun week M MS ME mo MO mon month months"
    words += " q Q QS QE quarter y Y YS YE year s S ms me x mm W-TUE"
    for word in ["", *words.split()]:
        for digits in ("", "0", "1", "7", "60", "120", "121", "522", "3651", "5256000", "5256001", "12345678"):
            yield digits + word
    yield from (" 4h ", "4 h", "-4h", "1.5h", "1h30m", "'", "1D-")


async def test_psql_and_rest_understand_the_same_spellings(database: Database) -> None:
    def ours(text: str) -> tuple[int, str] | None:
        try:
            timeframe = parse(text)
        except BadInput:
            return None
        return timeframe.count, timeframe.unit.value

    async def theirs(connection: Any, text: str) -> tuple[int, str] | None:
        query = """SELECT extract(year FROM step)::int * 12 + extract(month FROM step)::int AS month,
            extract(day FROM step)::int AS day,
            (extract(epoch FROM step - date_trunc('day', step)) / 60)::int AS minute
            FROM timeframe_step($1) AS step"""
        try:
            found = await connection.fetchrow(query, text)
        except asyncpg.InvalidParameterValueError:
            return None
        return next((count, unit) for unit, count in found.items() if count)

    async with database.connection() as connection:
        told = {text: await theirs(connection, text) for text in spellings()}
    assert told == {text: ours(text) for text in spellings()}
    assert len([text for text in told if told[text]]) > 100


async def test_psql_and_rest_count_the_same_days_and_months_in_every_zone(database: Database) -> None:
    chance = random.Random(3)
    origins = [None, 172_800_000, 1_704_067_200_000 + 17 * 3_600_000, 1_700_000_040_000]
    query = "SELECT timeframe_bounds(make_interval(months => $1, days => $2), $3, $4, $5, $6)"
    async with database.connection() as connection:
        for case in range(600):
            unit, zone = chance.choice([Unit.DAY, Unit.MONTH]), ZONES[case % len(ZONES)]
            timeframe = Timeframe(chance.choice([1, 2, 3, 7, 12]), unit, zone, chance.choice(origins))
            start = 1_230_768_000_000 + chance.randrange(17 * 365 * 1440) * MINUTE_MS
            end = start + chance.randrange(40 * 1440) * MINUTE_MS
            months, days = (timeframe.count, 0) if unit is Unit.MONTH else (0, timeframe.count)
            found = await connection.fetchval(query, months, days, start, end, zone, timeframe.origin_ms)
            wanted = [timeframe.floor(start)]
            while wanted[-1] < end:
                wanted.append(timeframe.after(wanted[-1]))
            assert found == wanted, (timeframe, start, end)


async def test_buckets_do_not_depend_on_the_sessions_zone(filled: Database, postgres_url: str) -> None:
    """The test server's own zone is Kathmandu's; psql sees what the program sees."""
    wanted = await ask(filled, f"{MARKET}, '1M', tz => 'America/Havana'")
    connection = await asyncpg.connect(postgres_url)
    try:
        for zone in ("Asia/Kathmandu", "America/New_York"):
            await connection.execute(f"SET TimeZone = '{zone}'")
            rows = await connection.fetch(f"SELECT * FROM candles({MARKET}, '1M', tz => 'America/Havana')")
            assert [(round(row[0].timestamp() * 1000), *row[1:]) for row in rows] == wanted
    finally:
        await connection.close()


def test_the_years_of_these_tests_have_changes_of_clocks() -> None:
    """Else the tests above would compare nothing of interest."""
    lengths = {
        zone: {following - start for start, following in pairwise(_days(zone))} for zone in ZONES if zone != "UTC"
    }
    assert {zone for zone, found in lengths.items() if len(found) == 1} == {"Asia/Kathmandu"}


def _days(zone: str) -> list[int]:
    timeframe, first = parse("1D", zone), datetime(2011, 1, 1, 12, tzinfo=UTC)
    return [timeframe.floor(round((first + timedelta(days=day)).timestamp() * 1000)) for day in range(500)]
