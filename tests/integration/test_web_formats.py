"""GET /api/ohlcvs by column, as CSV, Arrow and Parquet, against what is stored."""

import csv
import io
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pyarrow
import pyarrow.parquet
import pytest
from redis.asyncio import Redis

from app.stores.candles import FIRST_MS, LAST_MS, CandleStore
from app.stores.database import Database, open_database
from app.stores.revisions import RevisionStore
from app.stores.rollups import RollupStore
from app.stores.symbols import SymbolStore
from common.market import Bar
from common.span import DAY_MS, MINUTE_MS, floor_minute
from common.timeframe import parse
from tests.fixtures.postgres import Server
from tests.fixtures.web import (
    BTC,
    NOW_MS,
    PEPE,
    SetClock,
    every_minute,
    minutes,
    rest,
    shared_database,
    store,
    web_deps,
)
from web.formats import Format

END_MS = floor_minute(NOW_MS)
#: Minutes of half a year with holes, two in three with quote volume and trades; the last hour as it was corrected.
TIMES = sorted({END_MS - n * n * 11 * MINUTE_MS for n in range(1, 150)} | {*every_minute(END_MS - DAY_MS, 900)})
FIRST = [
    bar._replace(quote_volume=bar.volume * bar.close, trades=at) if at % 3 else bar
    for at, bar in enumerate(minutes(TIMES))
]
LATE = [bar._replace(close=bar.low, volume=bar.volume + 1e-8) for bar in FIRST[-60:]]
ASKED = {"exchange": "binance", "base_id": "BTC", "quote_id": "USDT"}
#: A stored timeframe of each kind, one that is counted, and one in a zone.
FRAMES = [("1m", None), ("1h", None), ("1M", None), ("7m", None), ("1D", "Europe/Berlin")]
NAMES = ["time", "open", "high", "low", "close", "volume", "quote_volume", "trades", "partial"]
NAMED = ["exchange", "base_id", "quote_id"]
STREAMED = [form for form in Format if form.is_streamed]


async def fill(database: Database) -> None:
    await store(database, BTC, FIRST)
    await RollupStore(database).refresh()
    await store(database, BTC, LATE)  # no refresh has seen these


@pytest.fixture(scope="module")
def url(postgres_server: Server) -> Iterator[str]:
    with shared_database(postgres_server, fill) as url:
        yield url


@pytest.fixture
async def filled(url: str) -> AsyncIterator[Database]:
    """No test changes it."""
    database = open_database(url)
    yield database
    await database.close()


@pytest.fixture
async def web(filled: Database, redis_client: Redis) -> AsyncIterator[httpx.AsyncClient]:
    async with rest(web_deps(filled, redis_client, SetClock())) as client:
        yield client


async def get(web: httpx.AsyncClient, form: Format, **changes: Any) -> httpx.Response:
    params = {
        name: value for name, value in {**ASKED, "format": form.value, **changes}.items() if value is not None
    }
    answer = await web.get("/api/ohlcvs", params=params)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].split(";")[0] == form.media_type
    return answer


def table(form: Format, body: bytes) -> dict[str, list[Any]]:
    """The columns of an answer; times as UTC ms."""
    if form is Format.CSV:
        first, *rows = csv.reader(io.StringIO(body.decode()))
        assert all(len(row) == len(first) for row in rows)
        return {name: [_value(name, row[at]) for row in rows] for at, name in enumerate(first)}
    source = io.BytesIO(body)
    read = (
        pyarrow.ipc.open_stream(source).read_all() if form is Format.ARROW else pyarrow.parquet.read_table(source)
    )
    assert read.schema.field("time").type == pyarrow.timestamp("ms", "UTC")
    return {"time": read.column("time").cast(pyarrow.int64()).to_pylist()} | read.drop_columns("time").to_pydict()


def _value(name: str, text: str) -> Any:
    if name in ("exchange", "base_id", "quote_id"):
        return text
    if name == "partial":
        return {"true": True, "false": False}[text]
    return (int if name in ("time", "trades") else float)(text) if text else None


async def truth(database: Database, interval: str, tz: str | None) -> list[Bar]:
    symbol = await SymbolStore(database).find("binance", "BTC", "USDT")
    assert symbol is not None
    return await CandleStore(database).bars(symbol.id, parse(interval, tz), None, LAST_MS, 10_000)


def columns_of(bars: list[Bar], names: int = 6) -> dict[str, list[Any]]:
    return {name: [bar[at] for bar in bars] for at, name in enumerate(NAMES[:names])}


@pytest.mark.parametrize(("interval", "tz"), FRAMES)
async def test_every_format_has_the_values_that_are_stored(
    web: httpx.AsyncClient, filled: Database, interval: str, tz: str | None
) -> None:
    wanted = columns_of(await truth(filled, interval, tz))
    assert len(wanted["time"]) > 5
    asked = {"interval": interval, "tz": tz}
    for form in STREAMED:
        assert table(form, (await get(web, form, **asked)).content) == wanted, form
    assert (await get(web, Format.COLUMNS, **asked, limit=10_000)).json() == wanted
    rows = (await get(web, Format.JSON, **asked, limit=10_000)).json()
    assert {name: [row[name] for row in rows] for name in NAMES[:6]} == wanted


@pytest.mark.parametrize(("interval", "tz"), FRAMES)
async def test_details_are_the_same_in_every_format(
    web: httpx.AsyncClient, filled: Database, interval: str, tz: str | None
) -> None:
    asked = {"interval": interval, "tz": tz, "details": "true"}
    wanted = columns_of(await truth(filled, interval, tz), 8)
    columns = (await get(web, Format.COLUMNS, **asked, limit=10_000)).json()
    partial = columns.pop("partial")
    assert columns == wanted
    assert (None in wanted["trades"], interval in ("1m", "7m") or True in partial) == (True, True)
    for form in STREAMED:
        assert table(form, (await get(web, form, **asked)).content) == wanted | {"partial": partial}, form


async def test_what_was_known_then_is_the_same_in_every_format(web: httpx.AsyncClient, filled: Database) -> None:
    symbol = await SymbolStore(filled).find("binance", "BTC", "USDT")
    assert symbol is not None
    then_ms = NOW_MS - DAY_MS
    bars = await RevisionStore(filled).bars(symbol.id, parse("1h"), None, NOW_MS, 10_000, then_ms)
    for form in STREAMED:
        answer = await get(web, form, interval="1h", as_of=str(then_ms))
        assert table(form, answer.content) == columns_of(bars), form


@pytest.mark.parametrize(("interval", "tz"), FRAMES)
async def test_a_window_and_a_limit_take_the_newest_of_it(
    web: httpx.AsyncClient, filled: Database, interval: str, tz: str | None
) -> None:
    bars = await truth(filled, interval, tz)
    start_ms, end_ms = bars[1].open_ms, bars[-2].open_ms
    asked = {"interval": interval, "tz": tz, "start": start_ms, "end": end_ms}
    for form in STREAMED:
        assert table(form, (await get(web, form, **asked)).content) == columns_of(bars[1:-1]), form
        assert table(form, (await get(web, form, **asked, limit=2)).content) == columns_of(bars[-3:-1]), form


@pytest.mark.parametrize("form", [*STREAMED, Format.COLUMNS])
async def test_nothing_is_a_table_without_rows(web: httpx.AsyncClient, form: Format) -> None:
    answer = await get(web, form, interval="1m", end=FIRST_MS)
    found = answer.json() if form is Format.COLUMNS else table(form, answer.content)
    assert found == {name: [] for name in NAMES[:6]}


async def test_csv_has_seconds_for_who_asks(web: httpx.AsyncClient) -> None:
    bar = LATE[-1]
    answer = await get(web, Format.CSV, interval="1m", limit=1, results_mls="false")
    assert answer.text.splitlines()[0] == "time,open,high,low,close,volume"
    assert [*map(float, answer.text.splitlines()[1].split(","))] == [bar.open_ms // 1000, *bar[1:6]]


async def test_prices_of_many_digits_come_whole(database: Database, redis_client: Redis) -> None:
    tiny = Bar(END_MS - MINUTE_MS, 0.00001234, 0.000012345678901234, 1e-8, 0.00001233, 123456789.123456)
    await store(database, PEPE, [tiny])
    async with rest(web_deps(database, redis_client, SetClock())) as web:
        for form in STREAMED:
            answer = await get(web, form, base_id="PEPE", interval="1m")
            assert table(form, answer.content) == columns_of([tiny]), form


async def test_accept_is_as_good_as_format_but_for_the_number_of_rows_in_json(web: httpx.AsyncClient) -> None:
    async def ask(accept: str, **changes: str) -> httpx.Response:
        params = {**ASKED, "interval": "1m", "limit": "100000", **changes}
        return await web.get("/api/ohlcvs", params=params, headers={"Accept": accept})

    assert len(TIMES) > 900
    for form in STREAMED:
        answer = await ask(form.media_type)
        assert len(table(form, answer.content)["time"]) == len(TIMES)
        assert "Accept" in answer.headers["vary"].split(", ")
    columns = await ask(Format.COLUMNS.media_type)
    assert (len(columns.json()["time"]), columns.headers["content-type"]) == (
        len(TIMES),
        Format.COLUMNS.media_type,
    )
    for accept in ("*/*", "application/json", "text/html"):
        assert len((await ask(accept)).json()) == 500, "as the predecessor"
    assert len((await ask("text/csv", format="json")).json()) == len(TIMES), "the parameter decides"


async def test_a_form_that_cannot_be_is_told_what_is_allowed(web: httpx.AsyncClient) -> None:
    for changes, field, allowed in (
        ({"format": "xlsx"}, "format", "json, columns, csv, arrow, parquet"),
        ({"format": "csv", "fill": "null"}, "fill", "none"),
        ({"format": "arrow", "empty_ts": "true"}, "fill", "none"),
        ({"format": "arrow", "limit": "-1"}, "limit", "0 to 10000"),
    ):
        answer = await web.get("/api/ohlcvs", params={**ASKED, "interval": "1m", **changes})
        assert (answer.status_code, answer.json()["field"], answer.json()["allowed"]) == (422, field, allowed)


async def test_several_markets_come_in_one_answer_each_as_it_would_alone(
    database: Database, redis_client: Redis
) -> None:
    await fill(database)
    other = minutes(TIMES[-700:-20], seed=5, price=0.00001)
    await store(database, PEPE, other)
    names = [("binance", "PEPE", "USDT"), ("binance", "BTC", "USDT")]
    both: dict[str, Any] = {"exchange": None, "base_id": None, "quote_id": None, "interval": "1h"}
    async with rest(web_deps(database, redis_client, SetClock())) as web:
        alone = {
            name: (await get(web, Format.JSON, base_id=name[1], interval="1h", limit=3)).json() for name in names
        }
        for symbols in ("binance:PEPE:USDT,binance:BTC/USDT", ["binance:PEPE:USDT", "Binance:btc:usdt"]):
            answer = await get(web, Format.JSON, **both, limit=3, symbols=symbols)
            wanted = [dict(zip(NAMED, name, strict=True)) | {"bars": alone[name]} for name in names]
            assert answer.json() == wanted
            assert "link" not in answer.headers
            by_column = await get(web, Format.COLUMNS, **both, limit=3, symbols=symbols)
            for one, rows in zip(by_column.json(), wanted, strict=True):
                assert one["bars"] == {name: [row[name] for row in rows["bars"]] for name in NAMES[:6]}
            flat = [(*name, *row.values()) for name in names for row in alone[name]]
            for form in STREAMED:
                found = table(form, (await get(web, form, **both, limit=3, symbols=symbols)).content)
                assert [*zip(*(found[name] for name in (*NAMED, *NAMES[:6])), strict=True)] == flat, form


async def test_symbols_that_cannot_be_are_refused(web: httpx.AsyncClient) -> None:
    many = ",".join(f"binance:B{n}:USDT" for n in range(101))
    for params, status, field in (
        ({"symbols": "binance:BTC:USDT", "exchange": "binance"}, 422, "symbols"),
        ({"symbols": "BTCUSDT"}, 422, "symbols"),
        ({"symbols": ""}, 422, "symbols"),
        ({"symbols": many}, 422, "symbols"),
        ({"symbols": "binance:NONE:USDT"}, 404, "base_id"),
        ({"exchange": "binance", "quote_id": "USDT"}, 422, "base_id"),
    ):
        for form in Format:
            answer = await web.get("/api/ohlcvs", params={**params, "interval": "1m", "format": form.value})
            assert (answer.status_code, answer.json()["field"]) == (status, field)
