"""GET /api/ohlcvs at timeframes that nobody stored, in time zones, with gaps filled and partial bars named."""

import random
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from redis.asyncio import Redis

from app.stores.candles import CandleStore
from app.stores.database import Database, open_database
from app.stores.rollups import RollupStore
from common.market import Bar
from common.span import DAY_MS, MINUTE_MS, Span, floor_minute
from common.timeframe import parse
from tests.fixtures.postgres import Server
from tests.fixtures.web import (
    BTC,
    NOW_MS,
    SetClock,
    aggregate,
    every_minute,
    minutes,
    rest,
    shared_database,
    store,
    web_deps,
)

LAST_MS = floor_minute(NOW_MS) - MINUTE_MS
HOUR_MS = 60 * MINUTE_MS
#: Some minutes of four years, close together at the end, and every minute around two changes of clocks in Europe.
CHANGES = [round(datetime(*day, tzinfo=UTC).timestamp() * 1000) for day in ((2023, 10, 28), (2024, 3, 30))]
TIMES = sorted(
    {floor_minute(LAST_MS - int(1500 * DAY_MS * random.Random(n).random() ** 4)) for n in range(3000)}
    | {at for start_ms in CHANGES for at in every_minute(start_ms, 2 * 1440)}
    | {LAST_MS}
)
HISTORY = minutes(TIMES)
ASKED = {"exchange": "binance", "base_id": "BTC", "quote_id": "USDT", "interval": "7m"}


async def fill_history(database: Database) -> None:
    await store(database, BTC, HISTORY)
    await RollupStore(database).refresh()


@pytest.fixture(scope="module")
def history_url(postgres_server: Server) -> Iterator[str]:
    with shared_database(postgres_server, fill_history) as url:
        yield url


@pytest.fixture
async def web(history_url: str, redis_client: Redis) -> AsyncIterator[httpx.AsyncClient]:
    """Over `HISTORY`, which no test changes."""
    history = open_database(history_url)
    async with rest(web_deps(history, redis_client, SetClock())) as client:
        yield client
    await history.close()


async def ask(web: httpx.AsyncClient, **changes: Any) -> Any:
    answer = await web.get("/api/ohlcvs", params={**ASKED, **changes})
    assert answer.status_code == 200, answer.text
    return answer.json()


def as_rows(bars: list[Bar]) -> list[dict[str, Any]]:
    names = ("open", "high", "low", "close", "volume")
    return [{"time": bar.open_ms} | dict(zip(names, bar[1:6], strict=True)) for bar in bars]


def same(rows: list[dict[str, Any]], wanted: list[dict[str, Any]]) -> bool:
    """Everything bit by bit, but a sum of volumes within the last digit."""
    return len(rows) == len(wanted) and all(
        row == want | {"volume": pytest.approx(want["volume"], rel=1e-12)}
        for row, want in zip(rows, wanted, strict=True)
    )


FRAMES = [
    *(
        (text, None, None)
        for text in ("2m", "7m", "45m", "90", "2h", "4h", "8h", "36h", "3D", "3W", "2M", "3M", "1Y")
    ),
    *((text, "Europe/Berlin", None) for text in ("7m", "12h", "1D", "3D", "1W", "1M", "3M", "1Y")),
    *(
        ("1D", zone, None)
        for zone in ("Asia/Kathmandu", "Australia/Lord_Howe", "America/New_York", "+08:00", "-03:30")
    ),
    ("7m", None, LAST_MS - 3 * MINUTE_MS),
    ("1h", None, 30 * MINUTE_MS),
    ("1D", None, 17 * HOUR_MS),
    ("1D", "America/New_York", 22 * HOUR_MS),
    ("1M", None, 14 * DAY_MS + 17 * MINUTE_MS),
    ("1M", "Europe/Berlin", 14 * DAY_MS),
]


@pytest.mark.parametrize(("text", "tz", "origin"), FRAMES)
async def test_any_timeframe_serves_the_aggregate_of_its_minutes(
    web: httpx.AsyncClient, text: str, tz: str | None, origin: int | None
) -> None:
    options = {name: value for name, value in (("tz", tz), ("origin", origin)) if value is not None}
    every = aggregate(HISTORY, parse(text, tz, origin))
    assert same(await ask(web, interval=text, **options), as_rows(every[-500:]))
    assert same(await ask(web, interval=text, limit=2, **options), as_rows(every[-2:]))
    some = every[len(every) // 3 : len(every) // 2 + 2][-500:]
    span = {"start": some[0].open_ms, "end": some[-1].open_ms}
    assert same(await ask(web, interval=text, **span, **options), as_rows(some))
    span = {"start": some[0].open_ms + MINUTE_MS, "end": some[-1].open_ms - MINUTE_MS}
    if span["start"] <= span["end"]:
        assert same(await ask(web, interval=text, **span, **options), as_rows(some[1:-1]))


async def test_spellings_of_one_timeframe_are_one_timeframe(web: httpx.AsyncClient) -> None:
    for stored, spellings in [("1h", "60 1H 60min"), ("1D", "1d D 24h"), ("7D", "1W 1w W"), ("1M", "1mo 1MS M")]:
        wanted = await ask(web, interval=stored)
        assert [await ask(web, interval=text) == wanted for text in spellings.split()] == [True] * 3
    assert await ask(web, interval="1m") != await ask(web, interval="1M")


async def test_a_day_is_23_or_25_hours_where_clocks_change(web: httpx.AsyncClient) -> None:
    berlin = ZoneInfo("Europe/Berlin")
    for day, hours in (((2023, 10, 29), 25), ((2024, 3, 31), 23)):
        start = round(datetime(*day, tzinfo=berlin).timestamp() * 1000)
        parts = [bar for bar in HISTORY if start <= bar.open_ms < start + hours * HOUR_MS]
        (row,) = await ask(web, interval="1D", tz="Europe/Berlin", start=start, end=start)
        assert (row["time"], row["open"], row["close"]) == (start, parts[0].open, parts[-1].close)
        assert row["volume"] == pytest.approx(sum(bar.volume for bar in parts), rel=1e-12)
        assert len(parts) > 20 * 60


async def test_ad_hoc_bars_are_exact_between_a_write_and_the_next_refresh(
    database: Database, redis_client: Redis
) -> None:
    await fill_history(database)
    later = [bar._replace(close=bar.low, volume=bar.volume + 1) for bar in HISTORY[-60:-20]]
    await store(database, BTC, later)
    async with rest(web_deps(database, redis_client, SetClock())) as web:
        for text in ("7m", "4h", "3D", "3M"):
            wanted = as_rows(aggregate([*HISTORY[:-60], *later, *HISTORY[-20:]], parse(text)))[-500:]
            assert same(await ask(web, interval=text), wanted), text


async def test_a_market_without_candles_has_no_bars(database: Database, redis_client: Redis) -> None:
    await store(database, BTC, [])
    async with rest(web_deps(database, redis_client, SetClock())) as web:
        assert [await ask(web, interval=text, details="true") for text in ("7m", "1h", "3M")] == [[], [], []]


@pytest.mark.parametrize(("text", "tz"), [("7m", None), ("3D", None), ("1D", "America/New_York"), ("2M", None)])
async def test_empty_buckets_are_left_out_or_null_or_the_previous_close(
    web: httpx.AsyncClient, text: str, tz: str | None
) -> None:
    timeframe, options = parse(text, tz), {"interval": text} | ({"tz": tz} if tz else {})
    traded = {bar.open_ms: bar for bar in aggregate(HISTORY, timeframe)}
    at_ms, close, previous, null = sorted(traded)[-500:][0], 0.0, [], []
    while at_ms <= LAST_MS:
        bar = traded.get(at_ms)
        previous += as_rows([bar or Bar(at_ms, close, close, close, close, 0.0)])
        null += as_rows([bar or Bar(at_ms, *[None] * 5)])  # type: ignore[arg-type]  # REST shows null where a Bar never has it
        at_ms, close = timeframe.after(at_ms), bar.close if bar else close
    assert same(await ask(web, fill="previous", **options), previous[-500:])
    assert await ask(web, empty_ts="true", **options) == await ask(web, fill="previous", **options)
    assert await ask(web, empty_ts="true", fill="none", **options) == await ask(web, **options)
    filled = await ask(web, fill="null", **options)
    assert [row["time"] for row in filled] == [row["time"] for row in null[-500:]]
    assert [row for row in filled if row["open"] is None] == [row for row in null[-500:] if row["open"] is None]
    assert len(filled) > len([row for row in filled if row["open"] is not None]) or text == "2M"


async def test_filling_stores_nothing(database: Database, redis_client: Redis) -> None:
    await store(database, BTC, minutes([LAST_MS - 100 * MINUTE_MS, LAST_MS]))
    async with rest(web_deps(database, redis_client, SetClock())) as web:
        assert len(await ask(web, interval="1m", fill="previous")) == 101
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM candles") == 2


async def test_details_tell_quote_volume_trades_and_partial_bars(database: Database, redis_client: Redis) -> None:
    """The first bar lacks minutes before the first stored one, the last is under way."""
    first_ms = parse("3h").floor(NOW_MS) - 7 * HOUR_MS
    bars = minutes(every_minute(first_ms, (LAST_MS - first_ms) // MINUTE_MS + 1))
    full = [bar._replace(quote_volume=2.0, trades=3) for bar in bars[: 4 * 60]] + bars[4 * 60 :]
    await store(database, BTC, full)
    async with rest(web_deps(database, redis_client, SetClock())) as web:
        told = {text: await ask(web, interval=text, details="true") for text in ("3h", "2h")}
        plain = {text: await ask(web, interval=text) for text in told}
    for text, rows in told.items():
        added = [(row.pop("quote_volume"), row.pop("trades"), row.pop("partial")) for row in rows]
        groups = aggregate(full, parse(text))
        sizes = [
            [bar for bar in full if group.open_ms <= bar.open_ms < parse(text).after(group.open_ms)]
            for group in groups
        ]
        complete = [all(bar.trades for bar in parts) for parts in sizes]
        partial = [len(parts) * MINUTE_MS != int(text[0]) * HOUR_MS for parts in sizes]
        wanted = [
            (2.0 * len(parts), 3 * len(parts), cut) if whole else (None, None, cut)
            for parts, whole, cut in zip(sizes, complete, partial, strict=True)
        ]
        assert (added, rows) == (wanted, plain[text])
        assert [partial[0], any(partial[1:-1]), partial[-1]] == [True, False, True]


async def test_minutes_that_an_exchange_answered_for_make_no_bar_partial(
    database: Database, redis_client: Redis
) -> None:
    hour = parse("1h").floor(NOW_MS) - 5 * HOUR_MS
    await store(database, BTC, minutes([hour + 20 * MINUTE_MS, hour + 80 * MINUTE_MS]))
    async with rest(web_deps(database, redis_client, SetClock())) as web:
        assert [row["partial"] for row in await ask(web, interval="1h", details="true")] == [True, True]
        await CandleStore(database).write([], cover=[(1, Span(hour, hour + 60 * MINUTE_MS))])
        assert [row["partial"] for row in await ask(web, interval="1h", details="true")] == [False, True]
        await CandleStore(database).write([], cover=[(1, Span(hour, hour + 120 * MINUTE_MS))])
        filled = await ask(web, interval="1h", details="true", fill="null")
    assert [row["partial"] for row in filled] == [False, False, True, True, True, True]
    assert filled[-1] == {
        "time": hour + 5 * HOUR_MS,
        **dict.fromkeys(("open", "high", "low", "close", "volume", "quote_volume", "trades")),
        "partial": True,
    }
