"""Real clients of exchanges, pointed at Candlehouse as its page says, read the truth."""

import asyncio
import re
import textwrap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
from pydantic import SecretStr

from common.market import Bar
from common.timeframe import parse
from tests.fixtures.shapes import NOON_MS, START_MS, TRUTH, bars_of, truth_address, truth_deps, truth_url
from tests.fixtures.web import NOW_MS, listening
from web.deps import Deps

ccxt = pytest.importorskip("ccxt", reason="ccxt is not installed; the image leaves it out")
binance = pytest.importorskip("binance.client", reason="python-binance is not installed; the image leaves it out")

__all__ = ["truth_address", "truth_deps", "truth_url"]
PAGE = Path(__file__).parents[2] / "docs/howto/use-existing-clients.md"
T = TypeVar("T")


async def call(work: Callable[..., T], *given: Any, **named: Any) -> T:
    """In a thread, since these clients wait for their answer, with the loop that python-binance looks for."""

    def apart() -> T:
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        try:
            return work(*given, **named)
        finally:
            asyncio.set_event_loop(None)
            loop.close()

    return await asyncio.to_thread(apart)


def klines(bars: list[Bar], timeframe: str = "1m") -> list[list[float]]:
    after = parse(timeframe).after
    return [[*bar[:6], after(bar.open_ms) - 1, bar.quote_volume or 0, bar.trades or 0, 0, 0, 0] for bar in bars]


def numbers(found: list[list[Any]]) -> list[list[float]]:
    return [[float(value) for value in row] for row in found]


def ohlcv(bars: list[Bar]) -> list[list[float]]:
    return [list(bar[:6]) for bar in bars]


def python_binance(address: str, path: str = "/binance/api") -> Any:
    client = binance.Client(ping=False)
    client.API_URL = address + path
    return client


def of_ccxt(address: str, path: str = "/binance/api/v3") -> Any:
    options = {"fetchMarkets": {"types": ["spot"]}, "fetchCurrencies": False}
    client = ccxt.binance({"options": options, "enableRateLimit": False})
    client.urls["api"]["public"] = address + path
    return client


async def test_python_binance_reads_history_page_by_page(
    truth_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its pages are a thousand bars; after every third it would rest for a second."""
    monkeypatch.setattr(binance.time, "sleep", lambda seconds: None)

    def read() -> None:
        client = python_binance(truth_address)
        for symbol in ("BTCUSDT", "ETHUSDT", "SHIBUSDT"):
            found = client.get_historical_klines(symbol, "1m", START_MS, NOW_MS)
            assert numbers(found) == klines(TRUTH[symbol]), symbol
        for interval in ("3m", "1h", "4h", "1d", "3d", "1w"):
            found = client.get_historical_klines("ETHUSDT", interval, "1 Jan 2020", NOW_MS)
            assert numbers(found) == klines(bars_of("ETHUSDT", parse(interval)), interval), interval
        generated = list(client.get_historical_klines_generator("BTCUSDT", "5m", 0))
        assert numbers(generated) == klines(bars_of("BTCUSDT", parse("5m")), "5m")
        newest = client.get_klines(symbol="BTCUSDT", interval=client.KLINE_INTERVAL_1MINUTE, limit=3)
        assert numbers(newest) == klines(TRUTH["BTCUSDT"][-3:])
        client.close_connection()

    await call(read)


async def test_python_binance_reads_markets_prices_and_refusals(truth_address: str) -> None:
    def read() -> None:
        client = python_binance(truth_address)
        assert client.ping() == {}
        assert client.get_server_time() == {"serverTime": NOW_MS}
        info = client.get_symbol_info("SHIBUSDT")
        filters = {one["filterType"]: one for one in info["filters"]}
        assert (info["baseAsset"], filters["PRICE_FILTER"]["tickSize"]) == ("SHIB", "0.00000001")
        prices = {one["symbol"]: float(one["price"]) for one in client.get_all_tickers()}
        assert prices == {symbol: TRUTH[symbol][-1].close for symbol in ("BTCUSDT", "ETHUSDT", "SHIBUSDT")}
        assert float(client.get_symbol_ticker(symbol="BTCUSDT")["price"]) == prices["BTCUSDT"]
        assert float(client.get_ticker(symbol="BTCUSDT")["lastPrice"]) == prices["BTCUSDT"]
        with pytest.raises(binance.BinanceAPIException) as refused:
            client.get_klines(symbol="NOPE", interval="1m")
        assert (refused.value.code, refused.value.message, refused.value.status_code) == (
            *(-1121, "Invalid symbol."),
            400,
        )
        with pytest.raises(binance.BinanceAPIException, match="not supported"):
            client.get_order_book(symbol="BTCUSDT")
        client.close_connection()

    await call(read)


async def test_python_binance_reads_another_exchange(truth_address: str) -> None:
    def read() -> None:
        client = python_binance(truth_address, "/binance/bitfinex/api")
        found = client.get_historical_klines("DASHBTC", "1h", 0, NOW_MS)
        assert numbers(found) == klines(bars_of("DSHBTC", parse("1h")), "1h")
        client.close_connection()

    await call(read)


async def test_ccxt_loads_the_markets_and_their_price_steps(truth_address: str) -> None:
    def read() -> None:
        client = of_ccxt(truth_address)
        markets = client.load_markets()
        assert sorted(markets) == ["BTC/USDT", "ETH/USDT", "SHIB/USDT"]
        assert all(market["active"] and market["spot"] for market in markets.values())
        assert client.price_to_precision("SHIB/USDT", 0.0000123456) == "0.00001235"
        assert client.price_to_precision("BTC/USDT", 61250.129) == "61250.13"
        assert client.fetch_time() == NOW_MS

    await call(read)


async def test_ccxt_pages_from_a_moment_on(truth_address: str) -> None:
    def read() -> None:
        client = of_ccxt(truth_address)
        for symbol, native in (("BTC/USDT", "BTCUSDT"), ("ETH/USDT", "ETHUSDT")):
            found, since = list[list[float]](), START_MS
            while page := client.fetch_ohlcv(symbol, "1m", since=since, limit=1000):
                found += page
                since = page[-1][0] + 60_000
            assert found == ohlcv(TRUTH[native]), symbol
        for timeframe in ("3m", "1h", "4h", "1d", "1w", "1M"):
            found = client.fetch_ohlcv("BTC/USDT", timeframe, since=0, limit=1000)
            assert found == ohlcv(bars_of("BTCUSDT", parse(timeframe))[:1000]), timeframe
        assert client.fetch_ohlcv("BTC/USDT", "1m", limit=5) == ohlcv(TRUTH["BTCUSDT"][-5:])
        assert client.fetch_ohlcv("BTC/USDT") == ohlcv(TRUTH["BTCUSDT"][-500:])
        pages = {"paginate": True, "until": NOON_MS - 60_000, "paginationCalls": 10}
        paged = client.fetch_ohlcv("BTC/USDT", "1m", since=START_MS, params=pages)
        assert paged == ohlcv(TRUTH["BTCUSDT"])

    await call(read)


async def test_ccxt_reads_tickers(truth_address: str) -> None:
    def read() -> None:
        client = of_ccxt(truth_address)
        newest = {symbol: TRUTH[symbol.replace("/", "")][-1].close for symbol in ("BTC/USDT", "ETH/USDT")}
        ticker = client.fetch_ticker("BTC/USDT")
        day = TRUTH["BTCUSDT"][-1440:]
        assert (ticker["symbol"], ticker["last"], ticker["open"]) == ("BTC/USDT", day[-1].close, day[0].open)
        assert ticker["high"] == max(bar.high for bar in day)
        assert (ticker["bid"], ticker["ask"], ticker["timestamp"]) == (None, None, NOON_MS - 1)
        tickers = client.fetch_tickers(list(newest))
        assert {symbol: one["last"] for symbol, one in tickers.items()} == newest
        prices = client.fetch_last_prices(list(newest))
        assert {symbol: one["price"] for symbol, one in prices.items()} == newest

    await call(read)


async def test_ccxt_understands_the_refusals(truth_address: str) -> None:
    def read() -> None:
        client = of_ccxt(truth_address)
        with pytest.raises(ccxt.BadSymbol):
            client.public_get_klines({"symbol": "NOPE", "interval": "1m"})
        with pytest.raises(ccxt.BadRequest):
            client.fetch_ohlcv("BTC/USDT", "1s")

    await call(read)


def examples() -> list[str]:
    return re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


async def run(number: int, address: str, **given: Any) -> dict[str, Any]:
    """The names that the page's example leaves behind."""
    code = textwrap.dedent(examples()[number]).replace("http://127.0.0.1:8000", address)
    names: dict[str, Any] = dict(given)
    await call(exec, compile(code, PAGE.name, "exec"), names)
    for client in names.values():
        if session := getattr(client, "session", None):
            session.close()
    return names


@pytest.mark.parametrize("number", range(4))
async def test_what_the_page_tells_people_to_run_reads_the_truth(truth_address: str, number: int) -> None:
    """Each example leaves what it read in `bars`."""
    found = [row[:6] for row in numbers((await run(number, truth_address))["bars"])]
    assert found == ohlcv(bars_of("BTCUSDT", parse("1h")))


async def test_the_clients_show_the_token_as_the_page_says(truth_deps: Deps) -> None:
    token = "a-token-that-nobody-guesses"
    async with listening(replace(truth_deps, token=SecretStr(token), is_public=True)) as address:
        names = await run(4, f"http://{address}", token=token)
    assert names["seen"] == [NOW_MS, NOW_MS]
    assert len(examples()) == 5  # all of the page's
