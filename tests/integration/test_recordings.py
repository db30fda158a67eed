"""Recorded candles through the whole path: the database ends up with exactly what was recorded."""

import csv
import gzip
import json
import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app import wiring
from app.jobs import outages
from app.settings import load_settings
from app.stores.candles import StoredCandle
from app.stores.database import Database
from common.clock import Clock
from common.market import Instrument
from common.span import DAY_MS, MINUTE_MS, Span, union
from fetchers import registry
from scripts.simulator.recordings import load_recordings
from tests.fixtures.instance import open_instance
from tests.fixtures.simulator import running_simulator

SHARED = Path(os.environ.get("CANDLEHOUSE_SHARED") or Path(__file__).parents[3] / "shared")
RECORDINGS = SHARED / "exchanges" / "recordings"

pytestmark = pytest.mark.skipif(not RECORDINGS.is_dir(), reason=f"no recordings at {RECORDINGS}")

#: By symbol, the files recorded of it; they are read here by code that shares nothing with the simulator's.
BITFINEX = {
    "BTC/USD": [
        "rest_hist_raw_1m_tBTCUSD_2018-08-10_desc.json",
        "rest_hist_raw_1m_tBTCUSD_2018-11.jsonl.gz",
        "rest_hist_raw_1m_tBTCUSD_2018-12.jsonl.gz",
    ],
    "ETH/USD": ["rest_hist_raw_1m_tETHUSD_2018-11.jsonl.gz", "rest_hist_raw_1m_tETHUSD_2018-12.jsonl.gz"],
    "IOTA/USD": ["rest_hist_raw_1m_tIOTUSD_2018-11.jsonl.gz"],
    "LTC/USD": ["rest_hist_raw_1m_tLTCUSD_2018-12.jsonl.gz"],
}
BINANCE = {
    "BTC/USDT": [
        "klines_rest12_BTCUSDT_1m_2020-12-01.csv.gz",
        "ohlcv_ccxt_1m_BTCUSDT_2024-03-01_10_pagedup.csv.gz",
    ],
    "ETH/BTC": [
        "ohlcv_ccxt_1m_ETH_BTC_2018-12-08_12-31.json.gz",
        "ohlcv_ccxt_1m_ETH_BTC_2019-10-27_11-27_dirty.json.gz",
    ],
    "LTC/BTC": ["ohlcv_ccxt_1m_LTC_BTC_2018-12-08_12-31.json.gz"],
    "XLM/BTC": ["ohlcv_ccxt_1m_XLM_BTC_2018-12-08_12-31.json.gz"],
}
BITTREX = {
    "ETH/BTC": ["ohlcv_v3_ccxt_1m_ETH_BTC_2021-01-25_03-03.json.gz"],
    "LTC/BTC": ["ohlcv_v3_ccxt_1m_LTC_BTC_2021-01-25_03-03.json.gz"],
}


RECORDED = {"bitfinex": BITFINEX, "binance": BINANCE, "bittrex": BITTREX}


def text_of(path: Path) -> str:
    return (gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()).decode()


def rows_of(path: Path) -> Iterable[list[float]]:
    """`[ms, open, high, low, close, volume]`, as they stand in the file."""
    text = text_of(path)
    if path.name.startswith("rest_hist_raw"):
        bodies = [text] if text.startswith("[") else [json.loads(line)["body"] for line in text.splitlines()]
        return [[row[0], row[1], row[3], row[4], row[2], row[5]] for body in bodies for row in json.loads(body)]
    if ".json" in path.name:
        return [row[:6] for row in json.loads(text)]
    table = list(csv.reader(text.splitlines()))[1:]
    return [[moment(row[0]), *map(float, row[1:6])] for row in table]


def moment(text: str) -> int:
    if text.isdecimal():
        return int(text)
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def recorded(exchange: str, name: str) -> list[list[float]]:
    """Each minute of a file once, ascending; where a recorder wrote it again, the later row is the newer one."""
    path = RECORDINGS / exchange / name
    if not path.exists():  # by name; a failure where CANDLEHOUSE_REQUIRE names "shared"
        pytest.skip(f"the recording {exchange}/{name} is not here ({path})")
    return sorted({row[0]: row for row in rows_of(path)}.values())


@pytest.mark.parametrize("exchange", RECORDED)
async def test_a_backfill_of_recordings_ends_as_exactly_what_was_recorded(
    exchange: str, postgres_url: str, redis_url: str
) -> None:
    files = [(symbol, recorded(exchange, name)) for symbol, names in RECORDED[exchange].items() for name in names]
    with running_simulator(market=load_recordings(RECORDINGS)) as simulator:
        async with open_instance(simulator, postgres_url, redis_url) as instance:
            for symbol, rows in files:
                (market,) = await instance.know(exchange, symbol)
                span = Span(int(rows[0][0]), int(rows[-1][0]) + MINUTE_MS)
                await instance.fill([market], span)
                assert await instance.rows(market.id, span) == rows


#: When each exchange served nothing in the recorded months, both minutes included, and to whom it was seen.
OUTAGES = {
    "binance": [
        ("2019-11-13 02:00", "2019-11-13 04:19", {"ETH/BTC"}),
        ("2019-11-13 05:30", "2019-11-13 05:32", {"ETH/BTC"}),
        ("2019-11-25 02:00", "2019-11-25 03:59", {"ETH/BTC"}),
    ],
    "bitfinex": [("2018-12-23 11:37", "2018-12-23 11:47", {"BTC/USD", "ETH/USD", "LTC/USD"})],
    "bittrex": [],
}
#: Of the recorded windows of two hours this one is absent: nobody was ever answered for it.
UNANSWERED = Span(moment("2018-11-12 22:00"), moment("2018-11-13 00:00"))


def told(span: Span) -> tuple[str, str]:
    first, last = (datetime.fromtimestamp(ms / 1000, UTC) for ms in (span.start_ms, span.end_ms - MINUTE_MS))
    return f"{first:%Y-%m-%d %H:%M}", f"{last:%Y-%m-%d %H:%M}"


def answered(exchange: str, symbol: str, rows: list[list[float]]) -> list[Span]:
    """What the recorder was answered for; the heads of Bittrex' days it has lost."""
    if exchange == "bittrex":
        return union(Span(int(row[0]), int(row[0]) + MINUTE_MS) for row in rows)
    return whole(rows).minus([UNANSWERED] if symbol == "BTC/USD" else [])


def whole(rows: list[list[float]]) -> Span:
    return Span(int(rows[0][0]), int(rows[-1][0]) + MINUTE_MS)


async def unusual(db: Database) -> set[tuple[str, ...]]:
    """Spans of the markets that are neither traded nor quiet nor unwanted."""
    async with db.connection() as connection:
        rows = await connection.fetch(
            "SELECT base_id || '/' || quote_id, state, lower(m.span), upper(m.span) "
            "FROM symbol_exchange AS s CROSS JOIN minute_states(s.id) AS m "
            "WHERE state NOT IN ('present', 'empty') AND coalesce(reason, '') NOT LIKE 'nobody%'"
        )
    return {(symbol, state, *told(Span(*span))) for symbol, state, *span in rows}


@pytest.mark.parametrize("exchange", RECORDED)
async def test_the_recorded_outages_are_found_and_no_others(exchange: str, postgres_url: str) -> None:
    files = [(symbol, recorded(exchange, name)) for symbol, names in RECORDED[exchange].items() for name in names]
    listed = [Instrument(exchange, *symbol.split("/"), symbol) for symbol in RECORDED[exchange]]
    async with wiring.open_stores(load_settings({"DATABASE_URL": postgres_url}, dotenv="/nowhere")) as stores:
        await stores.symbols.upsert(exchange, listed, 1)
        ids = {one.instrument.symbol: one.id for one in (await stores.symbols.load(exchange)).values()}
        wanted = {(symbol, "outage", first, last) for first, last, seen in OUTAGES[exchange] for symbol in seen}
        for symbol, rows in files:
            number, spans = ids[symbol], answered(exchange, symbol, rows)
            candles = [StoredCandle(number, int(row[0]), *row[1:], None, None, 3) for row in rows]
            await stores.candles.write(candles, cover=[(number, span) for span in spans])
            await stores.coverage.want({number: whole(rows)})
            await outages.seek(registry.get(exchange), stores=stores, clock=Clock())
            wanted |= {(symbol, "not_asked", *told(gap)) for gap in whole(rows).minus(spans)}
        while not await outages.seek(registry.get(exchange), stores=stores, clock=Clock()):
            pass
        found = [told(span) for span in await stores.outages.stored(exchange)]
        assert found == [(first, last) for first, last, _ in OUTAGES[exchange]]
        assert await unusual(stores.db) == wanted


async def test_the_recorded_bittrex_days_keep_their_first_hours(postgres_url: str, redis_url: str) -> None:
    """The recorder stepped by 1,440 minutes from 05:29 and filtered, and so lost the head of every later day."""
    first_ms = int(recorded("bittrex", BITTREX["ETH/BTC"][0])[0][0])
    with running_simulator() as simulator:
        async with open_instance(simulator, postgres_url, redis_url) as instance:
            (market,) = await instance.know("bittrex", "ETH/BTC")
            span = Span(first_ms, (first_ms // DAY_MS + 5) * DAY_MS)
            await instance.fill([market], span)
            assert [row[0] for row in await instance.rows(market.id, span)] == [*range(*span, MINUTE_MS)]
