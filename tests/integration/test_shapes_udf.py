"""TradingView's UDF: the requests of its own client, udf-compatible-datafeed, played against the truth."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from app.stores.database import Database
from common.errors import Retryable
from common.market import Bar, Instrument
from common.span import DAY_MS, MINUTE_MS
from common.timeframe import Timeframe, parse
from tests.fixtures.shapes import HOLE, NOON_MS, TRUTH, bars_of, truth_deps, truth_url
from tests.fixtures.web import NOW_MS, SetClock, rest, store, web_deps
from web.deps import Deps

__all__ = ["truth_deps", "truth_url"]
NOW_S = NOW_MS // 1000


@pytest.fixture
async def web(truth_deps: Deps) -> AsyncIterator[httpx.AsyncClient]:
    async with rest(truth_deps) as client:
        yield client


class Datafeed:
    """What the client of charting_library's datafeeds/udf does: Requester, HistoryProvider, symbol search.

    `most` is its limitedServerResponse: answers of so many bars are taken for cut, and the rest is asked for.
    """

    def __init__(self, web: httpx.AsyncClient, most: int = 0) -> None:
        self._web = web
        self._most = most

    async def send(self, path: str, **params: Any) -> Any:
        """As the client, which reads the body whatever the status is."""
        return (await self._web.get(f"/udf/{path}", params=params)).json()

    async def bars(self, symbol: str, resolution: str, **asked: int) -> tuple[list[Bar], dict[str, Any]]:
        params = {"symbol": symbol, "resolution": resolution, **asked}
        bars, meta = self._parsed(await self.send("history", **params))
        got = len(bars)
        while self._most and got == self._most and params["from"] < params["to"]:
            params["countback"] -= got if params["countback"] else 0  # down to 0, which is sent as well
            params["to"] = bars[0].open_ms // 1000
            more, _ = self._parsed(await self.send("history", **params))
            got, bars = len(more), more + bars
        return bars, meta

    def _parsed(self, answer: dict[str, Any]) -> tuple[list[Bar], dict[str, Any]]:
        if answer["s"] == "no_data":
            assert set(answer) <= {"s", "nextTime"}
            return [], {"noData": True, "nextTime": answer.get("nextTime")}
        assert answer["s"] == "ok" and set(answer) == set("stohlcv"), answer
        columns = zip(*(answer[name] for name in "tohlcv"), strict=True)
        return [Bar(seconds * 1000, *values) for seconds, *values in columns], {"noData": False}


def ohlcv(bars: list[Bar]) -> list[tuple[float, ...]]:
    return [bar[:6] for bar in bars]


async def scroll(feed: Datafeed, symbol: str, resolution: str, countback: int) -> list[Bar]:
    """As a chart that is dragged to its beginning: always as many bars as fit, ending before the oldest."""
    timeframe, found, to_s = parse(resolution), list[Bar](), NOW_S
    while True:
        from_s = to_s - countback * (timeframe.after(NOW_MS) - timeframe.floor(NOW_MS)) // 1000
        asked = {"from": from_s, "to": to_s, "countback": countback, "firstDataRequest": not found}
        bars, meta = await feed.bars(symbol, resolution, **asked)
        if meta["noData"]:
            assert meta["nextTime"] is None
            return found
        assert len(bars) <= countback
        found, to_s = bars + found, bars[0].open_ms // 1000


RESOLUTIONS = ["1", "3", "5", "15", "60", "120", "240", "1D", "D", "3D", "1W", "1M"]


@pytest.mark.parametrize("resolution", RESOLUTIONS)
async def test_scrolling_back_to_the_beginning_shows_every_bar_once(
    web: httpx.AsyncClient, resolution: str
) -> None:
    for native, symbol in (("ETHUSDT", "BINANCE:ETHUSDT"), ("DSHBTC", "BITFINEX:DASHBTC")):
        seen = await scroll(Datafeed(web), symbol, resolution, 329)
        assert ohlcv(seen) == ohlcv(bars_of(native, parse(resolution))), symbol


@pytest.mark.parametrize("countback", [1200, 1000])
async def test_a_client_told_of_the_longest_answer_gets_all_it_wants(
    web: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, countback: int
) -> None:
    """The client's `limitedServerResponse: {maxResponseLength: 500, expectedOrder: "latestFirst"}`."""
    monkeypatch.setattr("web.shapes.udf.history.MOST_BARS", 500)
    asked = {"from": NOON_MS // 1000 - countback * 60, "to": NOON_MS // 1000, "countback": countback}
    bars, _ = await Datafeed(web, most=500).bars("BINANCE:BTCUSDT", "1", **asked)
    assert ohlcv(bars) == ohlcv(TRUTH["BTCUSDT"][-countback:])


async def test_without_countback_next_time_leads_over_a_hole(web: httpx.AsyncClient) -> None:
    """The older way: a span at a time, all of it; where a span is empty, on with the newest bar before."""
    feed, found, to_s, jumps = Datafeed(web), list[Bar](), NOW_S, 0
    while True:
        asked = {"from": to_s - DAY_MS // 1000, "to": to_s}
        bars, meta = await feed.bars("BINANCE:ETHUSDT", "1", **asked)
        if meta["noData"] and meta["nextTime"] is None:
            break
        if meta["noData"]:
            assert meta["nextTime"] * 1000 == HOLE.start_ms - MINUTE_MS
            jumps, to_s = jumps + 1, meta["nextTime"] + 60
        else:
            found, to_s = bars + found, asked["from"]
    assert jumps == 1 and ohlcv(found) == ohlcv(TRUTH["ETHUSDT"])


async def test_the_live_pulse_reads_the_two_newest_bars(web: httpx.AsyncClient) -> None:
    asked = {"from": NOW_S - 600, "to": NOW_S, "countback": 2}
    bars, _ = await Datafeed(web).bars("BINANCE:BTCUSDT", "1", **asked)
    assert ohlcv(bars) == ohlcv(TRUTH["BTCUSDT"][-2:])


async def test_countback_goes_before_from_and_the_end_is_excluded(web: httpx.AsyncClient) -> None:
    feed, newest = Datafeed(web), TRUTH["BTCUSDT"][-1]
    asked = {"from": newest.open_ms // 1000, "to": newest.open_ms // 1000, "countback": 3}
    assert ohlcv((await feed.bars("BINANCE:BTCUSDT", "1", **asked))[0]) == ohlcv(TRUTH["BTCUSDT"][-4:-1])
    asked = {"from": newest.open_ms // 1000, "to": newest.open_ms // 1000 + 1}
    assert ohlcv((await feed.bars("BINANCE:BTCUSDT", "1", **asked))[0]) == ohlcv([newest])
    none = {"from": newest.open_ms // 1000 - 60, "to": newest.open_ms // 1000 + 60, "countback": 0}
    assert ohlcv((await feed.bars("BINANCE:BTCUSDT", "1", **none))[0]) == ohlcv(TRUTH["BTCUSDT"][-2:])
    future = {"from": NOON_MS // 1000, "to": 10**12, "countback": 1}
    assert ohlcv((await feed.bars("BINANCE:BTCUSDT", "1", **future))[0]) == ohlcv([newest])


async def test_the_configuration_names_what_the_feed_can_do(web: httpx.AsyncClient) -> None:
    told = await Datafeed(web).send("config")
    assert told.pop("supported_resolutions") == [
        *["1", "3", "5", "15", "30", "60", "120", "180", "240", "360", "480", "720"],
        *["1D", "3D", "1W", "1M"],
    ]
    exchanges = [{"value": one.upper(), "name": one, "desc": one} for one in ("Binance", "Bitfinex", "Bittrex")]
    assert told == {
        "exchanges": [{"value": "", "name": "All exchanges", "desc": ""}, *exchanges],
        "symbols_types": [{"name": "All types", "value": ""}, {"name": "Crypto", "value": "crypto"}],
        "supports_search": True,
        "supports_group_request": False,
        "supports_marks": False,
        "supports_timescale_marks": False,
        "supports_time": True,
    }
    for resolution in (await Datafeed(web).send("config"))["supported_resolutions"]:
        assert isinstance(parse(resolution), Timeframe)


async def test_the_time_is_plain_seconds_and_nothing_is_marked(web: httpx.AsyncClient) -> None:
    answer = await web.get("/udf/time")
    assert (answer.text, answer.headers["content-type"]) == (str(NOW_S), "text/plain; charset=utf-8")
    for path in ("marks", "timescale_marks"):
        assert await Datafeed(web).send(path, symbol="BTCUSDT", **{"from": 0, "to": 1}, resolution="1D") == []


SPELLINGS = ["BINANCE:BTCUSDT", "binance:btcusdt", "BTCUSDT", "btcusdt", "BINANCE:BTC/USDT", "BTC/USDT"]


@pytest.mark.parametrize("symbol", SPELLINGS)
async def test_a_symbol_is_resolved_in_any_spelling(web: httpx.AsyncClient, symbol: str) -> None:
    told = await Datafeed(web).send("symbols", symbol=symbol)
    minutes = ["1", "3", "5", "15", "30", "60", "120", "180", "240", "360", "480", "720"]
    assert told == {
        "symbol": "BTCUSDT",
        "name": "BTCUSDT",
        "full_name": "BINANCE:BTCUSDT",
        "ticker": "BINANCE:BTCUSDT",
        "description": "BTC/USDT on Binance",
        "exchange": "BINANCE",
        "listed_exchange": "BINANCE",
        "type": "crypto",
        "session": "24x7",
        "timezone": "Etc/UTC",
        "minmov": 1,
        "pricescale": 100,
        "has_intraday": True,
        "intraday_multipliers": minutes,
        "has_daily": True,
        "daily_multipliers": ["1", "3"],
        "has_weekly_and_monthly": True,
        "supported_resolutions": [*minutes, "1D", "3D", "1W", "1M"],
        "volume_precision": 8,
        "format": "price",
        "visible_plots_set": "ohlcv",
        "data_status": "streaming",
    }


async def test_a_name_may_have_a_colon_of_its_own(database: Database, redis_client: Redis) -> None:
    """As Bitfinex' longer ones do."""
    await store(database, Instrument("bitfinex", "DUSK", "USD", "DUSK:USD", "DUSK", "USD"), [])
    async with rest(web_deps(database, redis_client, SetClock())) as web:
        for symbol in ("BITFINEX:DUSK:USD", "DUSK:USD", "bitfinex:duskusd", "BITFINEX:DUSK/USD"):
            assert (await Datafeed(web).send("symbols", symbol=symbol))["ticker"] == "BITFINEX:DUSKUSD", symbol
        for query in ("DUSK:USD", "BITFINEX:DUSK:USD", "dusk-usd"):
            (found,) = await Datafeed(web).send("search", query=query)
            assert found["ticker"] == "BITFINEX:DUSKUSD"


async def test_two_markets_that_read_alike_have_tickers_of_their_own(
    database: Database, redis_client: Redis
) -> None:
    await store(database, Instrument("bitfinex", "AB", "CUSD", "AB:CUSD"), [])
    await store(database, Instrument("bitfinex", "ABC", "USD", "ABCUSD"), [])
    async with rest(web_deps(database, redis_client, SetClock())) as web:
        told = await Datafeed(web).send("search", query="ABCUSD")
        assert {one["ticker"]: one["description"] for one in told} == {
            "BITFINEX:AB:CUSD": "AB/CUSD on Bitfinex",
            "BITFINEX:ABCUSD": "ABC/USD on Bitfinex",
        }
        for one in told:
            assert one.items() <= (await Datafeed(web).send("symbols", symbol=one["ticker"])).items()


async def test_an_exchange_without_a_price_step_shows_five_digits_of_the_price(web: httpx.AsyncClient) -> None:
    told = await Datafeed(web).send("symbols", symbol="BITFINEX:DASHBTC")
    assert (told["minmov"], told["pricescale"], told["ticker"]) == (1, 10**8, "BITFINEX:DASHBTC")
    assert (await Datafeed(web).send("symbols", symbol="BITFINEX:DSHBTC"))["ticker"] == "BITFINEX:DASHBTC"


async def test_a_group_is_a_table_of_its_symbols(web: httpx.AsyncClient) -> None:
    told = await Datafeed(web).send("symbol_info", group="BINANCE")
    assert told["symbol"] == ["BTCUSDT", "ETHUSDT", "SHIBUSDT"]
    assert told["ticker"] == ["BINANCE:BTCUSDT", "BINANCE:ETHUSDT", "BINANCE:SHIBUSDT"]
    assert (told["minmovement"], told["pricescale"]) == ([1, 1, 1], [100, 100, 10**8])
    assert (told["exchange-traded"], told["session-regular"]) == ("BINANCE", "24x7")


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"query": "BTCUSDT"}, ["BINANCE:BTCUSDT", "BITFINEX:BTCUSDT"]),
        ({"query": "btc/us"}, ["BINANCE:BTCUSDT", "BITFINEX:BTCUSDT"]),
        ({"query": "USDT", "exchange": "BINANCE"}, ["BINANCE:BTCUSDT", "BINANCE:ETHUSDT", "BINANCE:SHIBUSDT"]),
        ({"query": "BITFINEX:BTC"}, ["BITFINEX:BTCUSDT", "BITFINEX:DASHBTC"]),
        ({"query": "BTC", "limit": 1}, ["BINANCE:BTCUSDT"]),
        ({"query": "ETH", "type": "crypto"}, ["BINANCE:ETHUSDT"]),
        ({"query": "ETH", "type": "stock"}, []),
        ({"query": "NOTHING"}, []),
    ],
)
async def test_search_ranks_the_very_name_and_its_beginning_first(
    web: httpx.AsyncClient, asked: dict[str, Any], found: list[str]
) -> None:
    told = await Datafeed(web).send("search", **{"type": "", "exchange": "", "limit": 30, **asked})
    assert [one["ticker"] for one in told] == found
    for one in told:
        assert set(one) == {"symbol", "full_name", "ticker", "description", "exchange", "type"}
        assert (await Datafeed(web).send("symbols", symbol=one["ticker"]))["ticker"] == one["ticker"]


HISTORY = {"symbol": "BTCUSDT", "resolution": "1", "from": 0, "to": NOW_S, "countback": 5}


@pytest.mark.parametrize(
    ("path", "params", "status", "errmsg"),
    [
        (
            "symbols",
            {"symbol": "BINANCE:NOPE"},
            404,
            "unknown_symbol: binance has no market 'NOPE'.",
        ),
        ("symbols", {"symbol": "NOPE"}, 404, "unknown_symbol: no exchange has a market 'NOPE'."),
        (
            "symbols",
            {"symbol": "X:Y"},
            404,
            "Unknown exchange 'X'; use one of binance, bitfinex, bittrex.",
        ),
        ("history", HISTORY | {"symbol": "NOPE"}, 404, "unknown_symbol: no exchange has a market 'NOPE'."),
        ("history", HISTORY | {"to": "soon"}, 422, "to must be a whole number, not 'soon'."),
        ("history", HISTORY | {"countback": -1}, 422, "countback must not be negative, and is -1."),
        (
            "history",
            HISTORY | {"resolution": "1T"},
            422,
            "Unknown resolution '1T'; use one of 1 3 5 15 30 60 120 180 240 360 480 720 1D 3D 1W 1M.",
        ),
        (
            "history",
            {"symbol": "BTCUSDT", "resolution": "1", "to": NOW_S},
            422,
            "from is required where countback is not given.",
        ),
    ],
)
async def test_a_wrong_request_gets_one_sentence_in_the_form_that_the_client_reads(
    web: httpx.AsyncClient, path: str, params: dict[str, Any], status: int, errmsg: str
) -> None:
    answer = await web.get(f"/udf/{path}", params=params)
    assert (answer.status_code, answer.json()) == (status, {"s": "error", "errmsg": errmsg})


async def test_a_server_that_does_not_answer_is_told_in_the_same_form(
    web: httpx.AsyncClient, truth_deps: Deps, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*asked: object) -> None:
        raise Retryable("PostgreSQL does not answer.")

    monkeypatch.setattr(truth_deps.candles, "read", away)
    answer = await web.get("/udf/history", params=HISTORY)
    assert (answer.status_code, answer.json()["errmsg"]) == (503, "PostgreSQL does not answer.")


async def test_a_span_of_too_many_bars_is_refused_and_not_cut(
    web: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks without countback would take the missing beginning for a hole."""
    monkeypatch.setattr("web.shapes.udf.history.MOST_BARS", 100)
    asked = {"symbol": "BTCUSDT", "resolution": "1", "from": NOON_MS // 1000 - 100 * 60, "to": NOON_MS // 1000}
    assert len((await Datafeed(web).send("history", **asked))["t"]) == 100
    asked["from"] -= 60
    told = await Datafeed(web).send("history", **asked)
    assert told == {"s": "error", "errmsg": "More than 100 bars; ask for less time, or with countback."}
    assert len((await Datafeed(web).send("history", **asked, countback=200))["t"]) == 100
