"""GET /ccxt/*: lists as ccxt's own methods return them."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from common.market import Bar
from common.span import MINUTE_MS
from common.timeframe import parse
from tests.fixtures.shapes import HOLE, START_MS, TRUTH, bars_of, truth_deps, truth_url
from tests.fixtures.web import NOW_MS, rest
from web.deps import Deps

__all__ = ["truth_deps", "truth_url"]
OHLCV = "/ccxt/binance/ohlcv"


@pytest.fixture
async def web(truth_deps: Deps) -> AsyncIterator[httpx.AsyncClient]:
    async with rest(truth_deps) as client:
        yield client


async def ask(web: httpx.AsyncClient, path: str = OHLCV, **params: Any) -> Any:
    answer = await web.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


def lists(bars: list[Bar]) -> list[list[float]]:
    return [list(bar[:6]) for bar in bars]


async def test_without_since_the_newest_come_and_with_it_the_oldest_from_there(web: httpx.AsyncClient) -> None:
    bars = lists(TRUTH["ETHUSDT"])
    assert await ask(web, symbol="ETH/USDT") == bars[-500:]
    assert await ask(web, symbol="ETH/USDT", limit=3) == bars[-3:]
    assert await ask(web, symbol="ETH/USDT", since=0, limit=3) == bars[:3]
    assert await ask(web, symbol="ETH/USDT", since=START_MS + MINUTE_MS, limit=3) == bars[1:4]
    until = START_MS + 9 * MINUTE_MS
    assert await ask(web, symbol="ETH/USDT", until=until, limit=3) == bars[7:10]
    assert await ask(web, symbol="ETH/USDT", since=START_MS, until=until) == bars[:10]
    behind = [bar for bar in bars if bar[0] >= HOLE.end_ms]
    assert await ask(web, symbol="ETH/USDT", since=HOLE.start_ms, limit=5) == behind[:5]
    assert await ask(web, symbol="ETH/USDT", since=NOW_MS + MINUTE_MS) == []


@pytest.mark.parametrize("timeframe", ["3m", "7m", "1h", "4h", "1d", "1w", "1M", "3M"])
async def test_pages_of_any_timeframe_join_to_the_truth(web: httpx.AsyncClient, timeframe: str) -> None:
    for exchange, symbol, native in (("binance", "ETH/USDT", "ETHUSDT"), ("bitfinex", "DASH/BTC", "DSHBTC")):
        found, since = list[list[float]](), 0
        asked = {"symbol": symbol, "timeframe": timeframe, "limit": 333}
        while page := await ask(web, f"/ccxt/{exchange}/ohlcv", since=since, **asked):
            found, since = found + page, page[-1][0] + 1
        assert found == lists(bars_of(native, parse(timeframe))), symbol


async def test_at_most_a_thousand_come_at_once(web: httpx.AsyncClient) -> None:
    assert await ask(web, symbol="BTC/USDT", limit=5000) == lists(TRUTH["BTCUSDT"][-1000:])


async def test_markets_have_the_names_and_facts_that_ccxt_gives_them(web: httpx.AsyncClient) -> None:
    told = await ask(web, "/ccxt/bitfinex/markets")
    assert [market["symbol"] for market in told] == ["BTC/USDT", "DASH/BTC"]
    nothing = {"min": None, "max": None}
    assert told[1] == {
        "id": "DSHBTC",
        "symbol": "DASH/BTC",
        "base": "DASH",
        "quote": "BTC",
        "settle": None,
        "baseId": "DSH",
        "quoteId": "BTC",
        "type": "spot",
        "spot": True,
        "margin": False,
        "swap": False,
        "future": False,
        "option": False,
        "contract": False,
        "active": True,
        "precision": {"price": None, "amount": None},
        "limits": {"amount": nothing, "price": nothing, "cost": nothing, "leverage": nothing},
        "info": {},
    }
    assert [one["precision"]["price"] for one in await ask(web, "/ccxt/binance/markets")] == [0.01, 0.01, 1e-08]


@pytest.mark.parametrize(
    ("path", "params", "status", "field"),
    [
        ("/ccxt/nowhere/markets", {}, 404, "exchange"),
        ("/ccxt/nowhere/ohlcv", {"symbol": "BTC/USDT"}, 404, "exchange"),
        (OHLCV, {}, 422, "symbol"),
        (OHLCV, {"symbol": "BTCUSDT"}, 422, "symbol"),
        (OHLCV, {"symbol": "NOPE/USDT"}, 404, "base_id"),
        (OHLCV, {"symbol": "BTC/USDT", "timeframe": "soon"}, 422, "interval"),
        (OHLCV, {"symbol": "BTC/USDT", "since": -1}, 422, "since"),
        (OHLCV, {"symbol": "BTC/USDT", "until": 10**17}, 422, "until"),
        (OHLCV, {"symbol": "BTC/USDT", "limit": 0}, 422, "limit"),
    ],
)
async def test_a_wrong_request_is_told_what_is_wrong(
    web: httpx.AsyncClient, path: str, params: dict[str, Any], status: int, field: str
) -> None:
    answer = await web.get(path, params=params)
    assert (answer.status_code, answer.json()["field"]) == (status, field), answer.text
