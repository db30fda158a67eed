"""Binance's REST in the shape of Candlehouse: what its documents say of each parameter, answer and refusal."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from app.messages import from_candle
from app.stores.database import Database
from app.stores.latest import LiveSink
from app.stores.symbols import SymbolStore
from common.clock import Clock
from common.errors import Retryable
from common.interval import ORIGIN_MS
from common.market import Bar, Candle, Instrument
from common.span import DAY_MS, MINUTE_MS
from common.timeframe import Timeframe, Unit, parse
from tests.fixtures.shapes import HOLE, NOON_MS, START_MS, TRUTH, bars_of, truth_deps, truth_url
from tests.fixtures.web import BTC, NOW_MS, OLD, SetClock, minutes, rest, store, web_deps
from web.deps import Deps

__all__ = ["truth_deps", "truth_url"]
BASE = "/binance/api/v3"
OF_BITFINEX = "/binance/bitfinex/api/v3"
BTCUSDT = {"symbol": "BTCUSDT", "interval": "1m"}


@pytest.fixture
async def web(truth_deps: Deps) -> AsyncIterator[httpx.AsyncClient]:
    async with rest(truth_deps) as client:
        yield client


async def ask(web: httpx.AsyncClient, path: str, **params: Any) -> Any:
    answer = await web.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def klines(web: httpx.AsyncClient, base: str = BASE, **params: Any) -> Any:
    return read_numbers(await ask(web, f"{base}/klines", **BTCUSDT | params))


def read_numbers(found: list[list[Any]]) -> list[list[Any]]:
    """Prices and amounts, which come as text, as numbers."""
    for row in found:
        assert len(row) == 12 and {type(row[at]) for at in (*range(1, 6), 7, 9, 10, 11)} == {str}
    return [[float(value) if isinstance(value, str) else value for value in row] for row in found]


def rows(bars: list[Bar], timeframe: str | Timeframe = "1m") -> list[list[Any]]:
    """The twelve fields of each."""
    frame = parse(timeframe) if isinstance(timeframe, str) else timeframe
    last = [0, 0, 0]
    return [
        [*bar[:6], frame.after(bar.open_ms) - 1, bar.quote_volume or 0, bar.trades or 0, *last] for bar in bars
    ]


INTERVALS = ["1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1M"]


@pytest.mark.parametrize("interval", INTERVALS)
async def test_every_interval_is_the_aggregate_of_its_minutes(web: httpx.AsyncClient, interval: str) -> None:
    for symbol in ("BTCUSDT", "ETHUSDT", "SHIBUSDT"):
        wanted = rows(bars_of(symbol, parse(interval)), interval)
        assert await klines(web, symbol=symbol, interval=interval, limit=1000) == wanted[-1000:]
        assert await klines(web, symbol=symbol, interval=interval, limit=1000, startTime=0) == wanted[:1000]


async def test_without_times_the_newest_come_five_hundred_if_not_told_otherwise(web: httpx.AsyncClient) -> None:
    wanted = rows(TRUTH["BTCUSDT"])
    assert await klines(web) == wanted[-500:]
    assert await klines(web, limit=7) == wanted[-7:]
    assert await klines(web, limit=100_000) == wanted[-1000:]


async def test_both_times_are_included_and_a_start_is_read_ahead_from(web: httpx.AsyncClient) -> None:
    wanted, at = rows(TRUTH["BTCUSDT"]), START_MS + 100 * MINUTE_MS
    assert await klines(web, startTime=at, limit=3) == wanted[100:103]
    assert await klines(web, startTime=at + 1, limit=3) == wanted[101:104]
    assert await klines(web, startTime=at, endTime=at + 2 * MINUTE_MS) == wanted[100:103]
    assert await klines(web, startTime=at, endTime=at + 2 * MINUTE_MS - 1) == wanted[100:102]
    assert await klines(web, endTime=at, limit=3) == wanted[98:101]
    assert await klines(web, startTime=at, endTime=at) == wanted[100:101]


@pytest.mark.parametrize("interval", ["1m", "3m", "1h", "2h", "8h"])
async def test_a_start_within_a_hole_goes_on_behind_it(web: httpx.AsyncClient, interval: str) -> None:
    bars = [bar for bar in bars_of("ETHUSDT", parse(interval)) if bar.open_ms >= HOLE.start_ms + MINUTE_MS]
    asked = {"symbol": "ETHUSDT", "interval": interval, "startTime": HOLE.start_ms + MINUTE_MS}
    assert await klines(web, **asked, limit=5) == rows(bars[:5], interval)


async def test_where_nothing_is_the_list_is_empty(web: httpx.AsyncClient) -> None:
    for interval in ("1m", "3m", "1d"):
        for start, end in [(0, START_MS - 31 * DAY_MS), (NOW_MS + MINUTE_MS, None), (NOON_MS, START_MS)]:
            asked = {"startTime": start} if end is None else {"startTime": start, "endTime": end}
            assert await klines(web, interval=interval, **asked) == [], (interval, start, end)
    for interval in INTERVALS:
        assert await klines(web, interval=interval, startTime=99999999999999999999) == []
    assert await klines(web, endTime=0) == []
    assert await klines(web, endTime=99999999999999999999, limit=2) == rows(TRUTH["BTCUSDT"][-2:])


@pytest.mark.parametrize(
    ("zone", "frame"),
    [
        ("8", lambda interval: parse(interval, "+08:00")),
        ("-1:00", lambda interval: parse(interval, "-01:00")),
        ("05:45", lambda interval: parse(interval, "+05:45")),
        ("0", parse),
        ("-0:00", parse),
    ],
)
async def test_a_time_zone_moves_the_buckets_of_days_and_longer(
    web: httpx.AsyncClient, zone: str, frame: Any
) -> None:
    for interval in ("1d", "3d", "1w", "1M"):
        timeframe = frame(interval)
        wanted = rows(bars_of("BTCUSDT", timeframe), timeframe)
        assert await klines(web, interval=interval, timeZone=zone) == wanted
        assert await klines(web, interval=interval, timeZone=zone, startTime=0) == wanted


async def test_a_time_zone_moves_the_buckets_of_hours(web: httpx.AsyncClient) -> None:
    """4h of 05:45 begin at local 00:00, 04:00, …; those of whole hours that fit stay where they are."""
    shifted = Timeframe(240, Unit.MINUTE, origin_ms=ORIGIN_MS - 105 * MINUTE_MS)
    wanted = rows(bars_of("BTCUSDT", shifted), shifted)
    assert [row[0] % DAY_MS // MINUTE_MS % 240 for row in wanted] == [135] * len(wanted)
    assert await klines(web, interval="4h", timeZone="05:45") == wanted
    assert await klines(web, interval="4h", timeZone="8") == await klines(web, interval="4h")


async def test_the_pages_of_a_client_that_goes_on_from_its_newest_bar_join_without_a_hole_or_a_double(
    web: httpx.AsyncClient,
) -> None:
    for symbol, interval in (("ETHUSDT", "1m"), ("SHIBUSDT", "3m"), ("ETHUSDT", "2h")):
        found: list[Any] = []
        while page := await klines(
            web, symbol=symbol, interval=interval, startTime=found[-1][6] + 1 if found else 0, limit=777
        ):
            found += page
        assert found == rows(bars_of(symbol, parse(interval)), interval), (symbol, interval)


async def test_a_market_of_any_exchange_is_read_under_a_base_of_its_own(web: httpx.AsyncClient) -> None:
    """A market of few trades has fewer minutes; its quote volume and trades are not known."""
    wanted = rows(TRUTH["DSHBTC"])
    for symbol in ("DASHBTC", "DSHBTC", "DASH/BTC"):
        assert await klines(web, OF_BITFINEX, symbol=symbol, startTime=0, limit=1000) == wanted[:1000]
    assert wanted[0][7:] == [0, 0, 0, 0, 0]
    hours = rows(bars_of("DSHBTC", parse("2h")), "2h")
    assert await klines(web, OF_BITFINEX, symbol="DASHBTC", interval="2h", startTime=0) == hours


async def test_ui_klines_time_and_ping(web: httpx.AsyncClient) -> None:
    assert read_numbers(await ask(web, f"{BASE}/uiKlines", **BTCUSDT)) == rows(TRUTH["BTCUSDT"][-500:])
    for base in (BASE, OF_BITFINEX):
        assert await ask(web, f"{base}/time") == {"serverTime": NOW_MS}
        assert await ask(web, f"{base}/ping") == {}


def listed(symbol: str, base: str, quote: str, status: str, tick: str | None) -> dict[str, Any]:
    most = "92141578000.00000000"
    lot = {"filterType": "LOT_SIZE", "minQty": "0.00000001", "maxQty": most, "stepSize": "0.00000001"}
    price = {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": most, "tickSize": tick}
    precisions = ("baseAsset", "quote", "quoteAsset", "baseCommission", "quoteCommission")
    never = ("icebergAllowed", "ocoAllowed", "quoteOrderQtyMarketAllowed", "isMarginTradingAllowed")
    return {
        "symbol": symbol,
        "status": status,
        "baseAsset": base,
        "quoteAsset": quote,
        **{f"{name}Precision": 8 for name in precisions},
        **dict.fromkeys(never, False),
        "orderTypes": [],
        "isSpotTradingAllowed": status == "TRADING",
        "filters": [price, lot] if tick else [lot],
        "permissions": ["SPOT"],
        "permissionSets": [["SPOT"]],
    }


async def test_exchange_info_lists_markets_with_their_price_steps(web: httpx.AsyncClient) -> None:
    btc = listed("BTCUSDT", "BTC", "USDT", "TRADING", "0.01")
    eth = listed("ETHUSDT", "ETH", "USDT", "TRADING", "0.01")
    shib = listed("SHIBUSDT", "SHIB", "USDT", "TRADING", "0.00000001")
    told = await ask(web, f"{BASE}/exchangeInfo")
    assert told.pop("symbols") == [btc, eth, shib]
    assert told == {"timezone": "UTC", "serverTime": NOW_MS, "rateLimits": [], "exchangeFilters": []}
    for params, wanted in [
        ({"symbol": "ETHUSDT"}, [eth]),
        ({"symbols": '["SHIBUSDT","BTCUSDT"]'}, [shib, btc]),
        ({"permissions": "SPOT"}, [btc, eth, shib]),
        ({"permissions": "MARGIN"}, []),
        ({"symbolStatus": "BREAK"}, []),
    ]:
        assert (await ask(web, f"{BASE}/exchangeInfo", **params))["symbols"] == wanted, params
    of_bitfinex = (await ask(web, f"{OF_BITFINEX}/exchangeInfo"))["symbols"]
    assert of_bitfinex == [
        listed("BTCUSDT", "BTC", "USDT", "TRADING", None),
        listed("DASHBTC", "DASH", "BTC", "TRADING", None),
    ]


async def test_a_market_that_trades_no_more_is_on_a_break(database: Database, redis_client: Redis) -> None:
    await store(database, OLD, [])
    async with rest(web_deps(database, redis_client, SetClock())) as web:
        told = await ask(web, "/binance/bittrex/api/v3/exchangeInfo")
    assert told["symbols"] == [listed("XMRBTC", "XMR", "BTC", "BREAK", None)]


async def test_two_markets_that_read_alike_are_told_apart(database: Database, redis_client: Redis) -> None:
    """The word is the first one's, or the one's whose own name it is; the other goes by its own name."""
    whole, cut = minutes([NOON_MS - MINUTE_MS], 1), minutes([NOON_MS - MINUTE_MS], 2)
    await store(database, Instrument("bitfinex", "AB", "CUSD", "AB:CUSD"), whole)
    await store(database, Instrument("bitfinex", "ABC", "USD", "ABCUSD"), cut)
    async with rest(web_deps(database, redis_client, SetClock())) as web:
        told = (await ask(web, f"{OF_BITFINEX}/exchangeInfo"))["symbols"]
        named = {one["symbol"]: one["baseAsset"] for one in told}
        assert named == {"AB:CUSD": "AB", "ABCUSD": "ABC"}
        for symbol, bars in (("AB:CUSD", whole), ("ABCUSD", cut)):
            (row,) = await klines(web, OF_BITFINEX, symbol=symbol)
            assert row[1:6] == list(bars[0][1:6])


async def test_a_market_answers_to_its_former_name_until_another_has_it(
    database: Database, redis_client: Redis
) -> None:
    renamed, other = minutes([NOON_MS - MINUTE_MS], 1), minutes([NOON_MS - MINUTE_MS], 2)

    async def read(symbol: str) -> Any:
        async with rest(web_deps(database, redis_client, SetClock())) as web:
            return [row[1:6] for row in await klines(web, OF_BITFINEX, symbol=symbol)]

    await store(database, Instrument("bitfinex", "DSH", "USD", "X1"), renamed)
    now = Instrument("bitfinex", "DASH", "USD", "X1")
    await SymbolStore(database).upsert("bitfinex", [now], NOW_MS + 1)
    for symbol in ("DSHUSD", "DASHUSD", "X1"):
        assert await read(symbol) == [list(renamed[0][1:6])], symbol
    newer = Instrument("bitfinex", "DSH", "USD", "X2")
    await SymbolStore(database).upsert("bitfinex", [now, newer], NOW_MS + 2)
    await store(database, newer, other)
    assert await read("DSHUSD") == [list(other[0][1:6])]
    assert await read("DASHUSD") == [list(renamed[0][1:6])]


async def test_a_price_is_what_the_stream_told_last_or_the_newest_close(
    truth_deps: Deps, redis_client: Redis
) -> None:
    wanted = {symbol: TRUTH[symbol][-1].close for symbol in ("BTCUSDT", "ETHUSDT", "SHIBUSDT")}

    async def prices(**asked: str) -> dict[str, float]:
        return {one["symbol"]: float(one["price"]) for one in await ask(web, f"{BASE}/ticker/price", **asked)}

    async with rest(truth_deps) as web:
        assert await prices() == wanted
        running = Candle(BTC, NOON_MS, 1.0, 3.0, 1.0, 2.5, 9.0)
        late = Candle(Instrument("binance", "ETH", "USDT", "ETHUSDT"), NOON_MS - DAY_MS, 1.0, 1.0, 1.0, 1.0, 1.0)
        told = [from_candle(candle, NOW_MS) for candle in (running, late)]
        await LiveSink(redis_client, Clock()).write(told)
        assert await prices() == wanted | {"BTCUSDT": 2.5}
        assert await prices(symbols='["ETHUSDT"]') == {"ETHUSDT": wanted["ETHUSDT"]}
        assert await ask(web, f"{BASE}/ticker/price", symbol="BTCUSDT") == {"symbol": "BTCUSDT", "price": "2.5"}


async def test_a_day_is_reckoned_from_its_whole_minutes(web: httpx.AsyncClient) -> None:
    day = TRUTH["BTCUSDT"][-1440:]
    told = await ask(web, f"{BASE}/ticker/24hr", symbol="BTCUSDT")
    whole = Timeframe(1440, Unit.MINUTE, origin_ms=NOON_MS - DAY_MS)
    (bar,) = [bar for bar in bars_of("BTCUSDT", whole) if bar.open_ms == NOON_MS - DAY_MS]
    change, quote_volume = round(bar.close - bar.open, 2), bar.quote_volume or 0
    assert told.pop("symbol") == "BTCUSDT"
    assert told.pop("priceChangePercent") == f"{change / bar.open * 100:.3f}"
    times = {name: told.pop(name) for name in ("openTime", "closeTime", "count")}
    assert times == {
        "openTime": NOON_MS - DAY_MS,
        "closeTime": NOON_MS - 1,
        "count": sum(minute.trades or 0 for minute in day),
    }
    assert {name: float(value) for name, value in told.items()} == {
        "priceChange": change,
        "weightedAvgPrice": quote_volume / bar.volume,
        "prevClosePrice": TRUTH["BTCUSDT"][-1441].close,
        "lastPrice": day[-1].close,
        "openPrice": day[0].open,
        "highPrice": max(minute.high for minute in day),
        "lowPrice": min(minute.low for minute in day),
        "volume": bar.volume,
        "quoteVolume": quote_volume,
    }


async def test_a_day_leaves_out_what_is_not_known(web: httpx.AsyncClient) -> None:
    (told,) = await ask(web, f"{OF_BITFINEX}/ticker/24hr", symbols='["DASHBTC"]')
    day = [bar for bar in TRUTH["DSHBTC"] if bar.open_ms >= NOON_MS - DAY_MS]
    assert not {"quoteVolume", "weightedAvgPrice", "count", "bidPrice", "askPrice"} & set(told)
    assert (float(told["openPrice"]), float(told["lastPrice"])) == (day[0].open, day[-1].close)


MANDATORY = "Mandatory parameter '{}' was not sent, was empty/null, or malformed."
ILLEGAL = "Illegal characters found in parameter '{}'; legal range is '^[0-9]{{1,20}}$'."
INVALID = "Data sent for parameter '{}' is not valid."
REFUSED: list[tuple[str, dict[str, Any], int, str]] = [
    ("klines", {"interval": "1m"}, -1102, MANDATORY.format("symbol")),
    ("klines", {"symbol": "BTCUSDT"}, -1102, MANDATORY.format("interval")),
    ("klines", BTCUSDT | {"symbol": ""}, -1102, MANDATORY.format("symbol")),
    ("klines", BTCUSDT | {"symbol": "NOPE"}, -1121, "Invalid symbol."),
    ("klines", BTCUSDT | {"interval": "7m"}, -1120, "Invalid interval."),
    ("klines", BTCUSDT | {"interval": "1H"}, -1120, "Invalid interval."),
    ("klines", BTCUSDT | {"startTime": "today"}, -1100, ILLEGAL.format("startTime")),
    ("klines", BTCUSDT | {"endTime": -1}, -1100, ILLEGAL.format("endTime")),
    ("klines", BTCUSDT | {"limit": "1.5"}, -1100, ILLEGAL.format("limit")),
    ("klines", BTCUSDT | {"limit": ""}, -1105, "Parameter 'limit' was empty."),
    ("klines", BTCUSDT | {"limit": 0}, -1130, INVALID.format("limit")),
    ("klines", BTCUSDT | {"timeZone": "15"}, -1130, INVALID.format("timeZone")),
    ("klines", BTCUSDT | {"timeZone": "-12:01"}, -1130, INVALID.format("timeZone")),
    ("klines", BTCUSDT | {"timeZone": "Europe/Berlin"}, -1130, INVALID.format("timeZone")),
    (
        "klines",
        BTCUSDT | {"interval": "1s"},
        -1120,
        "Invalid interval. Candlehouse has no candles shorter than a minute.",
    ),
    (
        "klines",
        BTCUSDT | {"symbol": "btcusdt"},
        -1100,
        "Illegal characters found in parameter 'symbol'; exchangeInfo lists them in capitals.",
    ),
    (
        "klines",
        BTCUSDT | {"starttime": 1},
        -1104,
        "Not all sent parameters were read; read '2' parameter(s) but was sent '3'. Unknown: starttime.",
    ),
    ("exchangeInfo", {"symbol": "NOPE"}, -1121, "Invalid symbol."),
    ("exchangeInfo", {"symbols": "BTCUSDT"}, -1135, "JSON sent for parameter 'symbols' is not valid"),
    ("exchangeInfo", {"symbols": "[]"}, -1130, "Data sent for parameter 'symbols' is not valid: 1 to 100 names."),
    ("exchangeInfo", {"symbol": "A", "symbols": "[]"}, -1128, "Combination of optional parameters invalid."),
    ("ticker/price", {"symbols": '["X","X"]'}, -1151, "Symbol is present multiple times in the list."),
    ("ticker/24hr", {}, -1102, "Param 'symbol' or 'symbols' must be sent, but both were empty/null!"),
]


@pytest.mark.parametrize(("path", "params", "code", "message"), REFUSED)
async def test_a_wrong_request_is_refused_as_binance_refuses_it(
    web: httpx.AsyncClient, path: str, params: dict[str, Any], code: int, message: str
) -> None:
    answer = await web.get(f"{BASE}/{path}", params=params)
    assert (answer.status_code, answer.json()) == (400, {"code": code, "msg": message})


async def test_what_is_not_here_is_said_in_the_same_form(web: httpx.AsyncClient) -> None:
    answer = await web.get(f"{BASE}/depth", params={"symbol": "BTCUSDT"})
    message = "This operation is not supported: Candlehouse has candles, and no depth."
    assert (answer.status_code, answer.json()) == (404, {"code": -1020, "msg": message})
    answer = await web.get("/binance/nowhere/api/v3/ping")
    message = "Unknown exchange 'nowhere'; use one of binance, bitfinex, bittrex."
    assert (answer.status_code, answer.json()) == (404, {"code": -1121, "msg": message})
    answer = await web.get(f"{BASE}/time", headers={"X-MBX-TIME-UNIT": "MICROSECOND"})
    message = "Invalid value for time unit; Candlehouse tells milliseconds alone."
    assert (answer.status_code, answer.json()) == (400, {"code": -1194, "msg": message})


async def test_a_market_without_candles_has_no_price_and_no_day(database: Database, redis_client: Redis) -> None:
    await store(database, BTC, [])
    async with rest(web_deps(database, redis_client, SetClock())) as web:
        assert await klines(web) == await ask(web, f"{BASE}/ticker/price") == []
        for path in ("price", "24hr"):
            answer = await web.get(f"{BASE}/ticker/{path}", params={"symbol": "BTCUSDT"})
            message = "No trading window could be found for the symbol."
            assert (answer.status_code, answer.json()) == (400, {"code": -2016, "msg": message})


async def test_a_database_that_is_away_is_a_disconnection(
    web: httpx.AsyncClient, truth_deps: Deps, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*asked: object) -> None:
        raise Retryable("PostgreSQL does not answer.")

    monkeypatch.setattr(truth_deps.candles, "read", away)
    answer = await web.get(f"{BASE}/klines", params=BTCUSDT)
    assert (answer.status_code, answer.json()) == (503, {"code": -1001, "msg": "PostgreSQL does not answer."})


async def test_every_answer_tells_its_weight(web: httpx.AsyncClient) -> None:
    asked = {"klines": 2, "exchangeInfo": 20, "ping": 1, "ticker/price": 2, "depth": 1}
    for _ in range(2):  # it does not grow
        for path, weight in asked.items():
            headers = (await web.get(f"{BASE}/{path}")).headers
            assert headers["X-MBX-USED-WEIGHT-1M"] == headers["X-MBX-USED-WEIGHT"] == str(weight), path


async def test_the_numbers_are_text_that_reads_as_the_very_float(web: httpx.AsyncClient) -> None:
    answer = await web.get(f"{BASE}/klines", params=BTCUSDT | {"symbol": "SHIBUSDT"})
    assert "e-" not in answer.text
    for row, bar in zip(json.loads(answer.text), TRUTH["SHIBUSDT"][-500:], strict=True):
        assert [float(value) for value in row[1:6]] == list(bar[1:6])
