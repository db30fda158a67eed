"""ccxt, an independent reader of the real exchanges, reads the simulator's truth."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import ccxt.async_support
import ccxt.pro
import pytest

from common.span import MINUTE_MS, floor_minute
from tests.fixtures.simulator import Simulator, running_simulator

#: 2023-03-28 10:40 UTC, long over.
START_MS = 28_000_000 * MINUTE_MS


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with running_simulator() as running:
        yield running


@pytest.fixture
async def binance(simulator: Simulator) -> AsyncIterator[Any]:
    options = {"defaultType": "spot", "fetchMarkets": {"types": ["spot"]}, "fetchCurrencies": False}
    client = ccxt.pro.binance({"options": options, "enableRateLimit": False})
    client.urls["api"]["public"] = f"{simulator.url}/binance/api/v3"
    client.urls["api"]["ws"]["spot"] = f"{simulator.ws_url}/binance/ws"
    yield client
    await client.close()


@pytest.fixture
async def bitfinex(simulator: Simulator) -> AsyncIterator[Any]:
    client = ccxt.pro.bitfinex({"enableRateLimit": False})
    client.urls["api"]["public"] = f"{simulator.url}/bitfinex"
    client.urls["api"]["ws"]["public"] = f"{simulator.ws_url}/bitfinex/ws/2"
    yield client
    await client.close()


@pytest.fixture
async def bybit(simulator: Simulator) -> AsyncIterator[Any]:
    options = {"fetchMarkets": {"types": ["spot"]}, "fetchCurrencies": False}
    client = ccxt.pro.bybit({"options": options, "enableRateLimit": False})
    client.urls["api"]["public"] = f"{simulator.url}/bybit"
    client.urls["api"]["ws"]["public"]["spot"] = f"{simulator.ws_url}/bybit/v5/public/spot"
    yield client
    await client.close()


@pytest.fixture
async def kraken(simulator: Simulator) -> AsyncIterator[Any]:
    client = ccxt.pro.kraken({"enableRateLimit": False})
    client.urls["api"]["public"] = f"{simulator.url}/kraken"
    client.urls["api"]["ws"]["publicV2"] = f"{simulator.ws_url}/kraken/v2"
    yield client
    await client.close()


@pytest.fixture
async def okx(simulator: Simulator) -> AsyncIterator[Any]:
    options = {"fetchMarkets": {"types": ["spot"]}, "fetchCurrencies": False}
    client = ccxt.pro.okx({"options": options, "enableRateLimit": False})
    client.urls["api"]["rest"] = f"{simulator.url}/okx"
    client.urls["api"]["ws"] = f"{simulator.ws_url}/okx/ws/v5"
    yield client
    await client.close()


@pytest.fixture
async def coinbase(simulator: Simulator) -> AsyncIterator[Any]:
    client = ccxt.async_support.coinbaseexchange({"enableRateLimit": False})
    client.urls["api"]["public"] = f"{simulator.url}/coinbase"
    yield client
    await client.close()


async def paged(client: Any, symbol: str, end_ms: int, limit: int) -> list[list[float]]:
    """Page forward as ccxt's manual says: from the last candle on."""
    rows: list[list[float]] = []
    since_ms = START_MS
    while page := await client.fetch_ohlcv(symbol, "1m", since_ms, limit):
        rows += [row for row in page if row[0] < end_ms]
        since_ms = page[-1][0] + MINUTE_MS
        if since_ms >= end_ms:
            break
    return rows


@pytest.mark.parametrize("symbol", ["BTC/USDT", "XLM/BTC", "SHIB/USDT"])
async def test_ccxt_pages_binance_to_the_truth(simulator: Simulator, binance: Any, symbol: str) -> None:
    end_ms = START_MS + 1500 * MINUTE_MS
    assert await paged(binance, symbol, end_ms, 1000) == simulator.truth(
        "binance", *symbol.split("/"), START_MS, end_ms
    )


@pytest.mark.parametrize(
    ("symbol", "base", "quote"),
    [
        ("BTC/USD", "BTC", "USD"),
        ("DASH/BTC", "DASH", "BTC"),
        ("DUSK/USD", "DUSK", "USD"),
        ("ETH/USDT", "ETH", "UST"),
    ],
)
async def test_ccxt_pages_bitfinex_across_quiet_minutes_to_the_truth(
    simulator: Simulator, bitfinex: Any, symbol: str, base: str, quote: str
) -> None:
    end_ms = START_MS + 1500 * MINUTE_MS
    assert await paged(bitfinex, symbol, end_ms, 200) == simulator.truth("bitfinex", base, quote, START_MS, end_ms)


@pytest.mark.parametrize("symbol", ["BTC/USDT", "ETH/BTC", "DASH/USDT"])
async def test_ccxt_pages_bybit_to_the_truth(simulator: Simulator, bybit: Any, symbol: str) -> None:
    end_ms = START_MS + 1500 * MINUTE_MS
    assert await paged(bybit, symbol, end_ms, 1000) == simulator.truth(
        "bybit", *symbol.split("/"), START_MS, end_ms
    )


@pytest.mark.parametrize("symbol", ["BTC/USDT", "ETH/BTC", "DASH/USDT"])
async def test_ccxt_pages_okx_to_the_truth(simulator: Simulator, okx: Any, symbol: str) -> None:
    end_ms = START_MS + 1500 * MINUTE_MS
    assert await paged(okx, symbol, end_ms, 100) == simulator.truth("okx", *symbol.split("/"), START_MS, end_ms)


async def test_ccxt_pages_the_newest_candles_of_okx_to_the_truth(simulator: Simulator, okx: Any) -> None:
    since_ms = simulator.clock.now_ms() // MINUTE_MS * MINUTE_MS - 200 * MINUTE_MS
    rows = await okx.fetch_ohlcv("ETH/USDT", "1m", since_ms, 150)
    assert rows == simulator.truth("okx", "ETH", "USDT", since_ms, since_ms + 150 * MINUTE_MS)
    assert simulator.log("/market/candles")


@pytest.mark.parametrize("symbol", ["BTC/USD", "SHIB/USD", "DASH/USD"])
async def test_ccxt_pages_coinbase_across_quiet_minutes_to_the_truth(
    simulator: Simulator, coinbase: Any, symbol: str
) -> None:
    end_ms = START_MS + 1000 * MINUTE_MS
    truth = simulator.truth("coinbase", *symbol.split("/"), START_MS, end_ms)
    assert await paged(coinbase, symbol, end_ms, 300) == truth and len(truth) > 200


@pytest.mark.parametrize("symbol", ["BTC/USD", "DOGE/USD", "ETH/BTC", "DASH/USD"])
async def test_ccxt_reads_the_newest_hours_of_kraken_as_the_truth(
    simulator: Simulator, kraken: Any, symbol: str
) -> None:
    minute_ms = floor_minute(simulator.clock.now_ms())
    rows = await kraken.fetch_ohlcv(symbol, "1m", minute_ms - 500 * MINUTE_MS, 400)
    truth = simulator.truth("kraken", *symbol.split("/"), minute_ms - 500 * MINUTE_MS, minute_ms - 100 * MINUTE_MS)
    assert rows == truth and len(rows) == 400


async def test_ccxt_watches_binance(binance: Any) -> None:
    candles = await binance.watch_ohlcv("BTC/USDT", "1m")
    assert [row[0] % MINUTE_MS for row in candles] == [0]


async def test_ccxt_watches_bitfinex_from_its_snapshot(simulator: Simulator, bitfinex: Any) -> None:
    candles = await bitfinex.watch_ohlcv("BTC/USD", "1m")
    finished = candles[:-2]
    assert finished == simulator.truth("bitfinex", "BTC", "USD", finished[0][0], finished[-1][0] + MINUTE_MS)


async def test_ccxt_watches_bybit(bybit: Any) -> None:
    candles = await bybit.watch_ohlcv("BTC/USDT", "1m")
    assert [row[0] % MINUTE_MS for row in candles] == [0]


async def test_ccxt_watches_okx(okx: Any) -> None:
    candles = await okx.watch_ohlcv("BTC/USDT", "1m")
    assert [row[0] % MINUTE_MS for row in candles] == [0]
