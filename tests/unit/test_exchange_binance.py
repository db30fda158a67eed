"""Binance: wrapped and bare payloads, closing messages, weights and bans."""

import itertools
import json
from typing import Any

import pytest

from common.errors import Malformed, Rejected, Retryable
from common.market import Candle, Instrument, Source
from common.ports import Page, Request, Subscription
from common.span import MINUTE_MS, Span
from fetchers import registry

EXCHANGE = registry.get("binance")
FTM = Instrument("binance", "FTM", "USDT", "FTMUSDT", "FTM", "USDT")
MINUTE = 1_628_952_360_000


def kline(closed: bool, **changes: Any) -> dict[str, Any]:
    k = {"t": MINUTE, "T": MINUTE + 59_999, "s": "FTMUSDT", "i": "1m", "f": 1, "L": 2, "o": "0.34064000"}
    k |= {"c": "0.33964000", "h": "0.34070000", "l": "0.33934000", "v": "209224.30000000", "n": 82, "x": closed}
    return {
        "e": "kline",
        "E": MINUTE + 61_387,
        "s": "FTMUSDT",
        "k": k | {"q": "71058.51891400", "B": "0"} | changes,
    }


def candle(source: Source) -> Candle:
    return Candle(FTM, MINUTE, 0.34064, 0.3407, 0.33934, 0.33964, 209224.3, 71058.518914, 82, source)


def receive(message: object) -> list[Candle]:
    return EXCHANGE.session([FTM]).receive(json.dumps(message))


def wrapped(data: object) -> dict[str, object]:
    return {"stream": "ftmusdt@kline_1m", "data": data}


@pytest.mark.parametrize("form", [lambda data: data, wrapped], ids=["bare", "wrapped"])
def test_the_closing_message_is_told_apart_from_a_running_minute(form: Any) -> None:
    assert receive(form(kline(False))) == [candle(Source.RUNNING)]
    assert receive(form(kline(True))) == [candle(Source.CLOSING_MESSAGE)]


def test_an_update_of_the_finished_minute_after_its_closing_message_is_told_too() -> None:
    session = EXCHANGE.session([FTM])
    sources = [session.receive(json.dumps(kline(closed)))[0].source for closed in (True, False)]
    assert sources == [Source.CLOSING_MESSAGE, Source.RUNNING]


def test_a_minute_without_trades_closes_with_volume_zero() -> None:
    quiet = {"f": -1, "L": -1, "n": 0, "v": "0.00000000", "q": "0.00000000"}
    quiet |= dict.fromkeys("ohlc", "0.33964000")
    assert receive(kline(True, **quiet)) == [
        Candle(FTM, MINUTE, *(0.33964,) * 4, 0.0, 0.0, 0, Source.CLOSING_MESSAGE)
    ]


@pytest.mark.parametrize(
    "message",
    [
        {"result": None, "id": 1},
        {"result": ["ftmusdt@kline_1m"], "id": 3},
        wrapped({"e": "depthUpdate", "E": 1, "s": "FTMUSDT", "b": [], "a": []}),
        {"stream": "ftmusdt@bookTicker", "data": {"u": 1, "s": "FTMUSDT", "b": "1", "B": "2", "a": "3", "A": "4"}},
    ],
)
def test_acknowledgements_and_other_streams_tell_no_candle(message: object) -> None:
    session = EXCHANGE.session([FTM])
    assert (session.receive(json.dumps(message)), session.notices()) == ([], [])


@pytest.mark.parametrize(
    ("error", "notice"),
    [
        ({"code": 2, "msg": "Invalid request: bad"}, "Binance refused a request: Invalid request: bad (2)"),
        (
            {"id": 7, "error": {"code": 3, "msg": "Invalid JSON: bad"}},
            "Binance refused a request: Invalid JSON: bad (3)",
        ),
    ],
)
def test_w23_an_error_object_is_a_notice_and_the_stream_goes_on(error: object, notice: str) -> None:
    session = EXCHANGE.session([FTM])
    assert session.receive(json.dumps(error)) == []
    assert (session.notices(), session.notices()) == ([notice], [])
    assert session.receive(json.dumps(kline(False))) == [candle(Source.RUNNING)]


def test_a_refused_message_refuses_each_of_its_markets_and_is_told_once() -> None:
    session = EXCHANGE.session([FTM])
    refused = json.dumps({"id": 1, "error": {"code": 2, "msg": "Invalid request"}})
    assert session.receive(refused) == session.receive('{"result":null,"id":1}') == []
    assert session.answered() == [Subscription(FTM, "Invalid request (2)")]
    assert (session.answered(), session.notices()) == ([], [])


@pytest.mark.parametrize("form", [lambda data: data, lambda data: {"stream": "!serverShutdown", "data": data}])
def test_w23_an_announced_shutdown_asks_to_connect_again(form: Any) -> None:
    with pytest.raises(Retryable):
        receive(form({"e": "serverShutdown", "E": 1_770_123_456_789}))


@pytest.mark.parametrize(
    "message",
    [
        kline(False, s="OTHER"),
        kline(False, i="5m"),
        kline(False, t=MINUTE + 15_000),
        kline(False, t=MINUTE * 1000),
        kline(False, h="0.1"),
        {"e": "kline", "s": "FTMUSDT"},
        {},
        [],
        "kline",
    ],
)
def test_a_kline_that_cannot_be_one_of_ours_is_malformed(message: object) -> None:
    with pytest.raises(Malformed):
        receive(message)


def test_streams_are_subscribed_in_lower_case_two_hundred_a_message() -> None:
    markets = [Instrument("binance", f"C{n}", "USDT", f"C{n}USDT") for n in range(450)]
    messages = [json.loads(message) for message in EXCHANGE.session(markets).to_send()]
    assert [(one["method"], one["id"], len(one["params"])) for one in messages] == [
        ("SUBSCRIBE", 1, 200),
        ("SUBSCRIBE", 2, 200),
        ("SUBSCRIBE", 3, 50),
    ]
    assert [name for one in messages for name in one["params"]] == [f"c{n}usdt@kline_1m" for n in range(450)]


def test_the_address_is_the_bare_endpoint_below_the_configured_one() -> None:
    session = EXCHANGE.session([FTM])
    assert session.handshake() is None
    assert session.url("ws://127.0.0.1:9900/binance", None) == "ws://127.0.0.1:9900/binance/ws"


def test_w20_a_page_is_a_thousand_minutes_of_weight_two_with_both_bounds() -> None:
    end = MINUTE + MINUTE_MS
    start = end - 1000 * MINUTE_MS
    query = {"symbol": "FTMUSDT", "interval": "1m", "startTime": start, "endTime": end - 1, "limit": 1000}
    assert EXCHANGE.page(FTM, Span(0, end), end) == Page(Request("/api/v3/klines", query, 2), Span(start, end))


def test_w25_pages_share_no_row_at_their_edges() -> None:
    wanted = Span(MINUTE, MINUTE + 2500 * MINUTE_MS)
    asked = []
    while not wanted.is_empty():
        page = EXCHANGE.page(FTM, wanted, wanted.end_ms)
        asked.append((page.request.params["startTime"], page.request.params["endTime"]))
        wanted = Span(wanted.start_ms, page.span.start_ms)
    assert [later[0] - earlier[1] for later, earlier in itertools.pairwise(asked)] == [1, 1]


def test_rows_off_the_minute_are_the_candle_of_no_minute() -> None:
    texts = ["1", "2", "1", "2", "5"]
    times = [MINUTE, MINUTE + MINUTE_MS + 15_000, MINUTE + 3 * MINUTE_MS]
    body = json.dumps([[at, *texts, at + 59_999, "9", 3, "0", "0", "0"] for at in times]).encode()
    candles = EXCHANGE.parse_candles(body, FTM, Span(0, MINUTE + 9 * MINUTE_MS))
    assert candles == [
        Candle(FTM, at, 1.0, 2.0, 1.0, 2.0, 5.0, 9.0, 3, Source.RECORD) for at in (times[0], times[2])
    ]


def test_w22_a_market_that_cannot_be_read_skips_itself_only() -> None:
    good = {"symbol": "ETHBTC", "status": "TRADING", "baseAsset": "ETH", "quoteAsset": "BTC"}
    halted = {**good, "symbol": "LTCBTC", "baseAsset": "LTC", "status": "HALT"}
    listing = EXCHANGE.parse_instruments(json.dumps({"symbols": [good, {"symbol": "X"}, None, halted]}).encode())
    assert [(one.symbol, one.is_trading, one.tick_size) for one in listing.instruments] == [
        ("ETH/BTC", True, None),
        ("LTC/BTC", False, None),
    ]
    assert [sentence.partition(" (")[0] for sentence in listing.skipped] == [
        "binance lists a market that cannot be read"
    ] * 2


def test_of_two_markets_with_one_name_the_one_that_trades_stays() -> None:
    old = {"symbol": "AETHBTC", "status": "BREAK", "baseAsset": "ETH", "quoteAsset": "BTC"}
    new = {**old, "symbol": "ETHBTC", "status": "TRADING"}
    listing = EXCHANGE.parse_instruments(json.dumps({"symbols": [old, new]}).encode())
    assert [one.native for one in listing.instruments] == ["ETHBTC"]
    assert listing.skipped == ["binance lists ETHBTC and AETHBTC, both ETH/BTC; ETHBTC is kept."]


def test_w22_a_listing_without_symbols_is_malformed_and_not_an_empty_exchange() -> None:
    with pytest.raises(Malformed):
        EXCHANGE.parse_instruments(b'{"code":0,"msg":"Service unavailable from a restricted location"}')


def test_w20_the_servers_own_count_is_read() -> None:
    texts = {"1200": 1200, "0": 0, "": None, "many": None, "²": None}
    assert {text: EXCHANGE.used_weight({"x-mbx-used-weight-1m": text}) for text in texts} == texts
    assert EXCHANGE.used_weight({}) is None


def test_w19_a_ban_waits_longer_than_a_limit_and_says_what_the_exchange_said() -> None:
    body = b'{"code":-1003,"msg":"Way too much request weight used; IP banned until 1573993214000."}'
    refusals = [EXCHANGE.refusal(status, {}, body) for status in (429, 418)]
    assert [one.retry_after_s for one in refusals if isinstance(one, Retryable)] == [60, 120]
    assert str(refusals[1]) == (
        "Binance answered 418: Way too much request weight used; IP banned until 1573993214000."
    )
    told = EXCHANGE.refusal(418, {"retry-after": "259200"}, body)
    assert isinstance(told, Retryable)
    assert told.retry_after_s == 259_200


def test_an_invalid_symbol_is_rejected_for_good() -> None:
    refusal = EXCHANGE.refusal(400, {}, b'{"code":-1121,"msg":"Invalid symbol."}')
    assert isinstance(refusal, Rejected)
    assert (str(refusal), refusal.status) == ("Binance answered 400: Invalid symbol.", 400)
