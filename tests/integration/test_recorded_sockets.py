"""What exchanges once sent, sent again by a real WebSocket server, ends in the database as the candles it tells.

The frames go the whole way: socket, live job, Redis, updater, PostgreSQL. What must come out is worked out here
from the recordings alone, by code that shares nothing with the adapters.
"""

import base64
import json
import zlib
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from http import HTTPStatus
from itertools import count
from typing import Any, NamedTuple

import pytest
from redis.asyncio import Redis
from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from app.stores.latest import newest_key
from app.stores.symbols import SymbolStore
from common.market import Instrument
from common.span import MINUTE_MS
from fetchers import registry
from tests.fixtures.feed import live
from tests.fixtures.house import House, house
from tests.fixtures.live import eventually, exchange_server
from tests.fixtures.simulator import clock_at
from tests.unit.test_exchange_recordings import frames, recording

__all__ = ["house"]

#: The clock goes so fast that a minute which only time closes is closed within seconds.
RATE = 20
BY_TIME, CLOSING = 1, 2
#: (native, open_ms, open, high, low, close, volume, quote_volume, trades, source)
Row = tuple[Any, ...]


class Capture(NamedTuple):
    """Frames in their order. At `start_ms` a minute began within them; `rows` are those that were over then."""

    exchange: str
    markets: list[Instrument]
    frames: list[str]
    start_ms: int
    rows: list[Row]
    #: By market: the last state of its last minute.
    newest: dict[str, Row]


def capture(exchange: str, markets: list[Instrument], texts: list[str], ended_ms: int, told: list[Row]) -> Capture:
    """`told` are all candles that the frames tell, in their order; the source is 0 while they run."""
    last: dict[tuple[str, int], Row] = {}
    for row in told:
        if row[9] >= last.get(row[:2], row)[9]:
            last[row[:2]] = row
    boundary_ms = ended_ms - ended_ms % MINUTE_MS
    over = [(*row[:9], row[9] or BY_TIME) for row in last.values() if row[1] < boundary_ms]
    newest = {native: row for (native, _), row in sorted(last.items())}
    return Capture(exchange, markets, texts, boundary_ms, sorted(over), newest)


def binance(name: str, pairs: Sequence[str], ended: str) -> Capture:
    """Bare payloads, as on /ws, on which we listen; all other streams of the recording are sent as well."""
    texts, told = [], []
    for text in frames(name):
        data = json.loads(text)["data"]
        texts.append(json.dumps(data))
        if k := data.get("k"):
            values = (*(float(k[field]) for field in "ohlcvq"), k["n"], CLOSING if k["x"] else 0)
            told.append((k["s"], k["t"], *values))
    markets = [Instrument("binance", *pair.split("/"), pair.replace("/", "")) for pair in pairs]
    return capture("binance", markets, texts, moment(ended), told)


def bybit() -> Capture:
    lines = [json.loads(line) for line in recording("bybit/ws_v5_kline_2026-08-09.jsonl.gz").decode().splitlines()]
    (conn,) = (one["conn"] for one in lines if one["t"] == "connect" and one["addr"].endswith("/linear"))
    received = [one for one in lines if one["t"] == "recv" and one["conn"] == conn]
    told = []
    for message in (json.loads(one["data"]) for one in received):
        if message.get("topic", "").startswith("kline"):
            for one in message["data"]:
                values = [float(one[name]) for name in ("open", "high", "low", "close", "volume", "turnover")]
                told.append((message["topic"][8:], one["start"], *values, None, CLOSING if one["confirm"] else 0))
    markets = [Instrument("bybit", base, "USDT", f"{base}USDT") for base in ("BTC", "ETH", "SOL", "DOGE")]
    ended_ms = round(received[-1]["ts"] * 1000)
    return capture("bybit", markets, [one["data"] for one in received], ended_ms, told)


def bittrex() -> Capture:
    """All are placeholders; that of a minute is its candle once the next minute's came."""
    texts = list(frames("bittrex/ws_signalr_2021-06-14.txt.gz"))
    told = []
    for push in (push for text in texts for push in json.loads(text).get("M", []) if push["M"] == "candle"):
        candle = json.loads(zlib.decompress(base64.b64decode(push["A"][0]), -15))
        delta = candle["delta"]
        values = [float(delta[name]) for name in ("open", "high", "low", "close", "volume", "quoteVolume")]
        told.append((candle["marketSymbol"], moment(delta["startsAt"]), *values, None, 0))
    markets = [Instrument("bittrex", *row[0].split("-"), row[0]) for row in {row[0]: row for row in told}.values()]
    made = capture("bittrex", markets, texts, moment("2021-06-14T01:55:09"), told)
    last_ms = max(row[1] for row in told)
    return made._replace(rows=[row for row in made.rows if row[1] < last_ms])


def bitfinex() -> Capture:
    """The recorded trades of half an hour, told as the candle channel tells them, each frame with its number.

    No candle channel was recorded with numbers; other channels were (SEQ_ALL), and their frames come first, as
    they stand. What must come out are the candles that the exchange's own REST served of those minutes.
    """
    first_ms, end_ms = moment("2018-11-12T18:02:00"), moment("2018-11-12T18:32:00")
    texts = [one for one in frames("bitfinex/ws_capture_2021-04-17.txt.gz") if one.startswith("[")]
    numbers = count(json.loads(texts[-1])[-1] + 1)
    texts.append('{"event":"subscribed","channel":"candles","chanId":7,"key":"trade:1m:tBTCUSD"}')
    made: dict[int, list[tuple[int, int, str, Decimal]]] = {}
    for line in recording("bitfinex/ws_trades_tBTCUSD_2018-11-12_1801-2159.jsonl.gz").decode().splitlines():
        frame = json.loads(line, parse_float=Decimal)
        if not isinstance(frame, list) or frame[1] == "tu":
            continue
        if frame[1] == "hb":
            texts.append(f'[7,"hb",{next(numbers)}]')
            continue
        for number, at_ms, amount, price in [frame[2]] if frame[1] == "te" else frame[1]:
            if first_ms <= at_ms < end_ms:
                minute = made.setdefault(at_ms - at_ms % MINUTE_MS, [])
                minute.append((at_ms, number, str(price), abs(Decimal(amount))))
                texts.append(update_of(minute, next(numbers)))
    rows = [row for row in recorded_minutes() if first_ms <= row[1] < end_ms]
    market = Instrument("bitfinex", "BTC", "USD", "BTCUSD", "BTC", "USD")
    return Capture("bitfinex", [market], texts, end_ms, rows, {"BTCUSD": rows[-1]})


def update_of(minute: list[tuple[int, int, str, Decimal]], number: int) -> str:
    prices = [one[2] for one in sorted(minute)]
    at_ms = minute[0][0] - minute[0][0] % MINUTE_MS
    high, low = max(prices, key=Decimal), min(prices, key=Decimal)
    volume = sum(one[3] for one in minute)
    return f"[7,[{at_ms},{prices[0]},{prices[-1]},{high},{low},{volume}],{number}]"


def recorded_minutes() -> Iterable[Row]:
    for line in recording("bitfinex/rest_hist_raw_1m_tBTCUSD_2018-11.jsonl.gz").decode().splitlines():
        for t, o, c, h, low, v in json.loads(json.loads(line)["body"]):
            volume = pytest.approx(v, rel=1e-12)  # the exchange's own sums are of binary numbers
            yield ("BTCUSD", t, float(o), float(h), float(low), float(c), volume, None, None, BY_TIME)


def moment(text: str) -> int:
    return round(datetime.fromisoformat(text.removesuffix("Z")).replace(tzinfo=UTC).timestamp() * 1000)


CAPTURES = {
    "binance across a minute's end": lambda: binance(
        "binance/ws_combined_2021-08-14.txt.gz",
        ["FTM/USDT", "SXP/BTC", "BADGER/BTC", "XMR/BTC"],
        "2021-08-14T14:47:05",
    ),
    "binance.us across a minute's end": lambda: binance(
        "binance_us/ws_combined_2021-10-12.txt.gz", ["OMG/BUSD", "VTHO/USD", "BTC/USD"], "2021-10-12T00:25:05"
    ),
    "bybit with closing messages of two entries": bybit,
    "bittrex by signalr": bittrex,
    "bitfinex with numbered frames": bitfinex,
}


@pytest.mark.parametrize("name", CAPTURES)
async def test_what_was_recorded_at_a_socket_ends_in_the_database_as_the_candles_that_it_tells(
    name: str, house: House
) -> None:
    made = CAPTURES[name]()
    await SymbolStore(house.database).upsert(made.exchange, made.markets, 1)

    async def talk(socket: ServerConnection) -> None:
        await socket.recv()
        for text in made.frames:
            await socket.send(text)
        await socket.wait_closed()

    async def is_stored() -> bool:
        return len(await stored(house, made)) >= len(made.rows)

    clock = clock_at(RATE, made.start_ms)
    async with (
        exchange_server(talk, process_request=negotiate) as url,
        house.updating(),
        live(registry.get(made.exchange), made.markets, url, house.redis, clock),
    ):
        await eventually(is_stored, 60)
        await house.drained()
    assert await stored(house, made) == made.rows
    assert await shown(house.redis, made) == {native: row[1:7] for native, row in made.newest.items()}


def negotiate(socket: ServerConnection, request: Request) -> Response | None:
    """SignalR is asked for a token first, by HTTP."""
    if not request.path.startswith("/negotiate") and "/negotiate" not in request.path:
        return None
    body = b'{"Url":"/signalr","ConnectionToken":"a token","ConnectionId":"1","TryWebSockets":true}'
    headers = Headers({"Content-Type": "application/json", "Content-Length": str(len(body))})
    return Response(HTTPStatus.OK, "OK", headers, body)


async def stored(house: House, made: Capture) -> list[Row]:
    """The minutes that `made` is about."""
    query = """SELECT symbol, time, open, high, low, close, volume, quote_volume, trades, source
        FROM candles JOIN symbol_exchange ON id = symbol_id WHERE exchange = $1 AND time < $2 ORDER BY 1, 2"""
    last_ms = max(row[1] for row in made.rows)
    async with house.database.connection() as connection:
        return [tuple(row) for row in await connection.fetch(query, made.exchange, last_ms + MINUTE_MS)]


async def shown(redis: Redis, made: Capture) -> dict[str, tuple[float, ...]]:
    found = {}
    for one in made.markets:
        fields: dict[bytes, bytes] = await redis.hgetall(newest_key(made.exchange, one.base, one.quote))
        if fields:
            names = (b"time", b"open", b"high", b"low", b"close", b"volume")
            found[one.native] = tuple(float(fields[name]) for name in names)
    return found
