"""The recordings that may not be committed; read from CANDLEHOUSE_SHARED or ../shared, skipped by name without."""

import base64
import csv
import gzip
import itertools
import json
import os
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from common.errors import Rejected, Retryable
from common.market import Candle, Instrument, Source
from common.span import DAY_MS, MINUTE_MS, Span, floor_minute
from fetchers import registry
from fetchers.trades import Minutes, Trade

SHARED = Path(os.environ.get("CANDLEHOUSE_SHARED", Path(__file__).parents[3] / "shared"))
ALWAYS = Span(0, 10**13)
BTCUSD = Instrument("bitfinex", "BTC", "USD", "BTCUSD", "BTC", "USD")
BTCUSDT = Instrument("binance", "BTC", "USDT", "BTCUSDT", "BTC", "USDT")
XBTUSDT = Instrument("kraken", "BTC", "USDT", "XBTUSDT", "XBT", "USDT")
ETHBTC = Instrument("bittrex", "ETH", "BTC", "ETH-BTC", "ETH", "BTC")

Row = tuple[int, float, float, float, float, float]


def recording(name: str) -> bytes:
    path = SHARED / "exchanges/recordings" / name
    if not path.exists():  # by name; a failure where CANDLEHOUSE_REQUIRE names "shared"
        pytest.skip(f"the recording {name} is not here ({path})")
    return gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()


def rows(candles: Iterable[Candle]) -> list[Row]:
    return [one[1:7] for one in candles]


def frames(name: str) -> Iterator[str]:
    """The received messages of a raw capture: lines that start with the client's time."""
    for line in recording(name).decode().splitlines():
        moment, _, frame = line.partition(": ")
        if moment.replace(".", "").isdecimal():
            yield frame


def klines(wanted: Iterable[list[Any]]) -> bytes:
    """Rows in ccxt's order as the body that Binance would send."""
    text = ([row[0], *map(repr, row[1:6]), row[0] + MINUTE_MS - 1, "0", 0, "0", "0", "0"] for row in wanted)
    return json.dumps(list(text)).encode()


def of_csv(name: str) -> list[list[Any]]:
    table = list(csv.reader(recording(name).decode().splitlines()))[1:]
    return [[int(row[0]), *map(float, row[1:6])] for row in table]


def last_of_each_minute(wanted: Iterable[list[Any]]) -> list[Row]:
    return sorted({row[0]: tuple(row[:6]) for row in wanted}.values())


def test_the_recorded_trades_of_2018_11_12_aggregate_to_the_recorded_candles_in_all_227_minutes() -> None:
    trades: dict[int, tuple[int, float, float]] = {}
    for line in recording("bitfinex/ws_trades_tBTCUSD_2018-11-12_1801-2159.jsonl.gz").decode().splitlines():
        frame = json.loads(line)
        if isinstance(frame, list) and frame[1] in ("te", "tu"):
            number, moment, amount, price = frame[2]
            trades[number] = (moment, abs(amount), price)
        elif isinstance(frame, list) and isinstance(frame[1], list):
            trades |= {number: (moment, abs(amount), price) for number, moment, amount, price in frame[1]}
    minutes: dict[int, list[tuple[int, int, float, float]]] = defaultdict(list)
    for number, (moment, amount, price) in trades.items():
        minutes[floor_minute(moment)].append((moment, number, amount, price))

    start = int(datetime(2018, 11, 12, 18, 2, tzinfo=UTC).timestamp() * 1000)
    span = Span(start, start + 238 * MINUTE_MS)
    recorded = [one for one in bitfinex_history("BTC", "2018-11", BTCUSD) if span.has(one.open_ms)]

    aggregated = []
    for minute in sorted(minute for minute in minutes if span.has(minute)):
        prices = [price for _, _, _, price in sorted(minutes[minute])]
        volume = sum(amount for _, _, amount, _ in minutes[minute])
        aggregated.append(
            (minute, prices[0], max(prices), min(prices), prices[-1], pytest.approx(volume, rel=1e-12))
        )
    assert rows(recorded) == aggregated
    assert len(recorded) == 227


def test_minutes_made_of_those_trades_as_they_came_are_the_recorded_candles_too() -> None:
    """As a connection would: a snapshot, then each trade once as `te` and mostly again as `tu`."""
    minutes, last = Minutes(), dict[int, Candle]()
    for line in recording("bitfinex/ws_trades_tBTCUSD_2018-11-12_1801-2159.jsonl.gz").decode().splitlines():
        frame = json.loads(line, parse_float=Decimal)
        if not isinstance(frame, list) or frame[1] == "hb":
            continue
        told = frame[2:] if frame[1] in ("te", "tu") else frame[1]
        trades = [
            Trade(number, moment, Decimal(price), abs(Decimal(amount))) for number, moment, amount, price in told
        ]
        if frame[1] not in ("te", "tu"):
            minutes.begin(BTCUSD, min(one.at_ms for one in trades) + 1)
        last |= {one.open_ms: one for one in minutes.feed(BTCUSD, trades)}

    start = int(datetime(2018, 11, 12, 18, 2, tzinfo=UTC).timestamp() * 1000)
    span = Span(start, start + 238 * MINUTE_MS)
    made = [row for row in rows(last[at] for at in sorted(last)) if span.has(row[0])]
    recorded = [one for one in rows(bitfinex_history("BTC", "2018-11", BTCUSD)) if span.has(one[0])]
    # The exchange's own sums are of binary numbers.
    assert [row[:5] for row in made] == [row[:5] for row in recorded]
    assert [row[5] for row in made] == [pytest.approx(row[5], rel=1e-12) for row in recorded]
    assert len(made) == 227


def bitfinex_history(currency: str, month: str, instrument: Instrument) -> Iterator[Candle]:
    name = f"bitfinex/rest_hist_raw_1m_t{currency}USD_{month}.jsonl.gz"
    exchange = registry.get("bitfinex")
    for line in recording(name).decode().splitlines():
        answer = json.loads(line)
        span = Span(answer["window_start_ms"], answer["window_end_ms"] + 1)
        yield from exchange.parse_candles(answer["body"].encode(), instrument, span)


@pytest.mark.parametrize(
    ("currency", "month", "count"),
    [
        ("BTC", "2018-11", 41582),
        ("BTC", "2018-12", 44382),
        ("ETH", "2018-11", 39398),
        ("ETH", "2018-12", 43283),
        ("IOT", "2018-11", 28481),
        ("LTC", "2018-12", 34718),
    ],
)
def test_each_recorded_bitfinex_answer_keeps_every_row_and_every_digit(
    currency: str, month: str, count: int
) -> None:
    wanted = []
    for line in recording(f"bitfinex/rest_hist_raw_1m_t{currency}USD_{month}.jsonl.gz").decode().splitlines():
        body = json.loads(json.loads(line)["body"])
        wanted += [(t, float(o), float(h), float(low), float(c), float(v)) for t, o, c, h, low, v in body]
    candles = list(bitfinex_history(currency, month, BTCUSD))
    assert rows(candles) == wanted
    assert (len(candles), {one.source for one in candles}) == (count, {Source.RECORD})


def test_the_recorded_bitfinex_default_order_is_turned_round() -> None:
    body = recording("bitfinex/rest_hist_raw_1m_tBTCUSD_2018-08-10_desc.json")
    wanted = [(t, *map(float, (o, h, low, c, v))) for t, o, c, h, low, v in reversed(json.loads(body))]
    assert rows(registry.get("bitfinex").parse_candles(body, BTCUSD, ALWAYS)) == wanted


def test_the_dirty_file_ends_as_its_unique_minutes() -> None:
    dirty = json.loads(recording("binance/ohlcv_ccxt_1m_ETH_BTC_2019-10-27_11-27_dirty.json.gz"))
    candles = registry.get("binance").parse_candles(klines(dirty), BTCUSDT, ALWAYS)
    assert rows(candles) == last_of_each_minute(dirty)
    assert (len(dirty), len(candles)) == (45425, 45162)


def test_the_page_doubled_file_ends_as_its_unique_minutes() -> None:
    doubled = of_csv("binance/ohlcv_ccxt_1m_BTCUSDT_2024-03-01_10_pagedup.csv.gz")
    candles = registry.get("binance").parse_candles(klines(doubled), BTCUSDT, ALWAYS)
    assert rows(candles) == last_of_each_minute(doubled)
    assert (len(doubled), len(candles)) == (14414, 14400)


def test_the_polled_file_ends_as_its_final_minutes_and_the_last_one_is_not_final() -> None:
    polled = of_csv("binance/ohlcv_polled_partial_1m_BTCUSDT_2024-03-22T1031_1044.csv")
    exchange = registry.get("binance")
    now_ms = polled[-1][0] + 40_000
    over = Span(polled[0][0], floor_minute(now_ms))
    page = exchange.page(BTCUSDT, over, now_ms)
    candles = exchange.parse_candles(klines(polled), BTCUSDT, page.span)
    assert rows(candles) == last_of_each_minute(polled)[:-1]
    assert (len(polled), len(candles), candles[-1].open_ms) == (25, 13, polled[-1][0] - MINUTE_MS)


def test_the_recorded_twelve_columns_keep_quote_volume_and_trades() -> None:
    table = list(csv.reader(recording("binance/klines_rest12_BTCUSDT_1m_2020-12-01.csv.gz").decode().splitlines()))
    body = [
        [int(datetime.fromisoformat(row[0] + "Z").timestamp() * 1000), *row[1:8], int(row[8]), *row[9:]]
        for row in table[1:]
    ]
    candles = registry.get("binance").parse_candles(json.dumps(body).encode(), BTCUSDT, ALWAYS)
    wanted = [(row[0], *map(float, row[1:6]), float(row[7]), row[8]) for row in body]
    assert ([one[1:9] for one in candles], len(candles)) == (wanted, 1441)


@pytest.mark.parametrize(
    ("capture", "pairs", "told", "closed"),
    [
        ("binance/ws_combined_2021-08-14.txt.gz", ["FTM/USDT", "SXP/BTC", "BADGER/BTC", "XMR/BTC"], 17, 2),
        ("binance_us/ws_combined_2021-10-12.txt.gz", ["OMG/BUSD", "VTHO/USD", "BTC/USD"], 5, 1),
    ],
)
def test_a_whole_recorded_binance_socket_tells_its_klines_and_nothing_else(
    capture: str, pairs: list[str], told: int, closed: int
) -> None:
    instruments = [Instrument("binance", *pair.split("/"), pair.replace("/", "")) for pair in pairs]
    session = registry.get("binance").session(instruments)
    wanted, candles = [], []
    for frame in frames(capture):
        candles += session.receive(frame)
        if k := json.loads(frame)["data"].get("k"):
            wanted.append((k["s"], k["t"], *(float(k[name]) for name in "ohlcvq"), k["n"], 2 if k["x"] else 0))
    assert [(one.instrument.native, *one[1:]) for one in candles] == wanted
    assert (len(candles), sum(one.source > Source.RUNNING for one in candles)) == (told, closed)
    assert session.notices() == []


@pytest.mark.parametrize(
    ("address", "told", "closed", "in_pairs"),
    [("spot", 25, 2, 0), ("linear", 75, 4, 4)],
)
def test_a_whole_recorded_bybit_socket_tells_each_entry_of_its_klines_and_nothing_else(
    address: str, told: int, closed: int, in_pairs: int
) -> None:
    """Both call their topics the same; closing messages that hold the new minute, too, came from one of them."""
    lines = [json.loads(line) for line in recording("bybit/ws_v5_kline_2026-08-09.jsonl.gz").decode().splitlines()]
    (conn,) = (one["conn"] for one in lines if one["t"] == "connect" and one["addr"].endswith(f"/{address}"))
    session = registry.get("bybit").session(
        [Instrument("bybit", base, "USDT", f"{base}USDT") for base in ("BTC", "ETH", "SOL", "DOGE")]
    )
    wanted, candles, pairs = [], [], 0
    for frame in (one["data"] for one in lines if one["t"] == "recv" and one["conn"] == conn):
        candles += session.receive(frame)
        message = json.loads(frame)
        if not message.get("topic", "").startswith("kline"):
            continue
        for one in message["data"]:
            values = [float(one[name]) for name in ("open", "high", "low", "close", "volume", "turnover")]
            wanted.append((message["topic"][8:], one["start"], *values, None, 2 if one["confirm"] else 0))
        pairs += [one["confirm"] for one in message["data"]] == [True, False]
    assert [(one.instrument.native, *one[1:]) for one in candles] == wanted
    assert (len(candles), sum(one.source > Source.RUNNING for one in candles), pairs) == (told, closed, in_pairs)
    assert session.notices() == []


def test_the_documented_okx_page_is_turned_round_and_keeps_every_digit() -> None:
    """Of a derivative, whose volume counts contracts; a spot market's page has the same form."""
    body = recording("okx/rest_candles_doc_sample.json")
    market = Instrument("okx", "BTC", "USDT", "BTC-USDT", "BTC", "USDT")
    wanted = [
        (1747093980000, 102806.0, 102820.5, 102783.1, 102806.1, 7164.04, 7364701.57952),
        (1747094040000, 102806.1, 102820.4, 102806.1, 102820.4, 1040.37, 1069603.34883),
    ]
    candles = registry.get("okx").parse_candles(body, market, ALWAYS)
    assert [one[1:] for one in candles] == [(*row, None, Source.RECORD) for row in wanted]


def test_the_whole_recorded_signalr_socket_tells_its_candles_and_nothing_else() -> None:
    markets = registry.get("bittrex").parse_instruments(recording("bittrex/rest_v3_markets_2021-06-14.json.gz"))
    session = registry.get("bittrex").session(markets.instruments)
    wanted, candles = [], []
    for frame in frames("bittrex/ws_signalr_2021-06-14.txt.gz"):
        candles += session.receive(frame)
        for push in json.loads(frame).get("M", []):
            if push["M"] == "candle":
                told = json.loads(zlib.decompress(base64.b64decode(push["A"][0]), -15))
                delta = told["delta"]
                values = [float(delta[name]) for name in ("open", "high", "low", "close", "volume", "quoteVolume")]
                start = datetime.fromisoformat(delta["startsAt"].replace("Z", "+00:00"))
                wanted.append((told["marketSymbol"], int(start.timestamp() * 1000), *values, None, 0))
    assert [(one.instrument.native, *one[1:]) for one in candles] == wanted
    assert len(candles) == 20
    assert session.notices() == []


def test_the_recorded_kraken_answer_of_721_rows_keeps_every_minute_and_its_last_row_is_the_running_one() -> None:
    body = recording("kraken/rest_OHLC.json.gz")
    exchange, wanted = registry.get("kraken"), json.loads(body)["result"]["XBTUSDT"]
    first_ms, last_ms = wanted[0][0] * 1000, wanted[-1][0] * 1000
    assert exchange.refusal(200, {}, body) is None
    page = exchange.page(XBTUSDT, Span(first_ms, last_ms + 30_000), last_ms + 30_000)
    assert page.span == Span(last_ms - 700 * MINUTE_MS, last_ms + 30_000)
    whole = Span(first_ms, last_ms + MINUTE_MS)
    rows_of = [(row[0] * 1000, *map(float, (*row[1:5], row[6])), None, row[7], 3) for row in wanted]
    assert [one[1:] for one in exchange.parse_candles(body, XBTUSDT, whole)] == rows_of
    assert [one[1:] for one in exchange.parse_candles(body, XBTUSDT, page.span)] == rows_of[20:]
    assert (len(rows_of), sum(row[5] == 0 for row in rows_of)) == (721, 216)
    with pytest.raises(Rejected, match="reach back to 2025-11-10 12:18 UTC"):
        exchange.parse_candles(body, XBTUSDT, Span(first_ms - MINUTE_MS, last_ms))


def coinbase_frames() -> list[dict[str, Any]]:
    """What was received, counted anew: the recording leaves frames of the order book out."""
    lines = recording("coinbase/ws_advanced_trade_2026-08-09.jsonl.gz").decode().splitlines()
    told = [json.loads(line)["data"] for line in lines if json.loads(line)["t"] == "recv"]
    return [json.loads(text) | {"sequence_num": number} for number, text in enumerate(told)]


def test_a_whole_recorded_coinbase_socket_makes_the_candles_of_its_trades_and_nothing_else() -> None:
    markets = [Instrument("coinbase", base, "USD", f"{base}-USD", base, "USD") for base in ("BTC", "ETH")]
    session, received = registry.get("coinbase").session(markets), coinbase_frames()
    last: dict[tuple[str, str], Candle] = {}
    trades: dict[str, dict[int, dict[str, str]]] = {one.native: {} for one in markets}
    for frame in received:
        for one in session.receive(json.dumps(frame)):
            minute = f"{datetime.fromtimestamp(one.open_ms / 1000, UTC):%Y-%m-%dT%H:%M}"
            last[one.instrument.native, minute] = one
        for event in frame["events"] if frame["channel"] == "market_trades" else ():
            for trade in event["trades"]:
                trades[trade["product_id"]][int(trade["trade_id"])] = trade

    wanted = {}
    for product, made in trades.items():
        for minute in ("2026-08-09T21:05", "2026-08-09T21:06"):
            of_minute = [made[number] for number in sorted(made) if made[number]["time"].startswith(minute)]
            prices = [float(one["price"]) for one in of_minute]
            volume = float(sum(Decimal(one["size"]) for one in of_minute))
            wanted[product, minute] = (prices[0], max(prices), min(prices), prices[-1], volume, None, None, 0)
    assert {key: one[2:] for key, one in last.items()} == wanted
    assert [one.instrument.native for one in session.answered()] == ["BTC-USD", "ETH-USD"]
    assert (len(received), session.notices()) == (255, [])


def test_the_recording_of_coinbase_as_it_is_lacks_frames_and_the_session_notices() -> None:
    text = recording("coinbase/ws_advanced_trade_2026-08-09.jsonl.gz").decode().splitlines()
    session = registry.get("coinbase").session([])
    with pytest.raises(Retryable, match="skipped from frame 12 to 20"):
        for line in text:
            if json.loads(line)["t"] == "recv":
                session.receive(json.loads(line)["data"])


def test_the_recorded_listings_parse_to_their_exact_counts() -> None:
    bodies = {
        "binance": recording("binance/rest_exchangeInfo_2021-10-12.json.gz"),
        "bittrex": recording("bittrex/rest_v3_markets_2021-06-14.json.gz"),
    }
    listings = {name: registry.get(name).parse_instruments(body) for name, body in bodies.items()}
    counts = {
        name: (len(listing.instruments), sum(one.is_trading for one in listing.instruments), listing.skipped)
        for name, listing in listings.items()
    }
    assert counts == {"binance": (1695, 1262, []), "bittrex": (909, 899, [])}


@pytest.mark.parametrize(("pair", "count"), [("ETH_BTC", 37599), ("LTC_BTC", 36259)])
def test_the_recorded_bittrex_minutes_come_back_from_day_pages(pair: str, count: int) -> None:
    exchange = registry.get("bittrex")
    recorded = json.loads(recording(f"bittrex/ohlcv_v3_ccxt_1m_{pair}_2021-01-25_03-03.json.gz"))
    span = Span(recorded[0][0], recorded[-1][0] + MINUTE_MS)
    candles: list[Candle] = []
    for day_ms, day in itertools.groupby(recorded, key=lambda row: row[0] - row[0] % DAY_MS):
        body = [
            dict(
                zip(("open", "high", "low", "close", "volume"), map(repr, row[1:]), strict=True),
                startsAt=f"{datetime.fromtimestamp(row[0] / 1000, UTC):%Y-%m-%dT%H:%M:%SZ}",
                quoteVolume="0",
            )
            for row in day
        ]
        wanted = span.clip(Span(day_ms, day_ms + DAY_MS))
        page = exchange.page(ETHBTC, wanted, span.end_ms + DAY_MS)
        candles += exchange.parse_candles(json.dumps(body).encode(), ETHBTC, page.span)
        assert page.span == wanted
    assert rows(candles) == [tuple(map(float, row)) for row in recorded]
    assert len(candles) == count
