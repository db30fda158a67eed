"""Bybit: topics in tens, closing messages that hold two minutes, errors with HTTP 200."""

import json
from typing import Any

import pytest

from common.errors import Blocked, Malformed, Rejected, Retryable
from common.market import Candle, Instrument, Source
from common.ports import Page, Request, Session, Subscription
from common.span import MINUTE_MS, Span
from fetchers import registry

EXCHANGE = registry.get("bybit")
BTC = Instrument("bybit", "BTC", "USDT", "BTCUSDT", "BTC", "USDT")
ETH = Instrument("bybit", "ETH", "USDT", "ETHUSDT", "ETH", "USDT")
SOL = Instrument("bybit", "SOL", "USDT", "SOLUSDT", "SOL", "USDT")
MINUTE = 1_786_310_760_000
PAGE = b'{"retCode":0,"retMsg":"OK","result":{"category":"spot","symbol":"BTCUSDT","list":%s},"retExtInfo":{}}'


def entry(closed: bool, start: int = MINUTE, **changes: Any) -> dict[str, Any]:
    prices = {"open": "65140.4", "close": "65140.5", "high": "65140.9", "low": "65140.1"}
    one = {"start": start, "end": start + 59_999, "interval": "1", **prices, "volume": "0.15388"}
    return {**one, "turnover": "10023.8067889", "confirm": closed, "timestamp": start + 59_999, **changes}


def kline(*entries: object, topic: str = "kline.1.BTCUSDT") -> str:
    return json.dumps({"type": "snapshot", "topic": topic, "data": entries, "ts": MINUTE})


def candle(source: Source) -> Candle:
    return Candle(BTC, MINUTE, 65140.4, 65140.9, 65140.1, 65140.5, 0.15388, 10023.8067889, None, source)


def answered(session: Session, number: int, refusal: str = "") -> list[str]:
    """What the session says to the answer of its request `number`."""
    answer = {"success": not refusal, "ret_msg": refusal or "subscribe", "conn_id": "x", "req_id": str(number)}
    assert session.receive(json.dumps({**answer, "op": "subscribe"})) == []
    return session.to_send()


def topics(messages: list[str]) -> list[list[str]]:
    return [json.loads(one)["args"] for one in messages]


def test_the_closing_message_is_told_apart_from_a_running_minute() -> None:
    assert EXCHANGE.session([BTC]).receive(kline(entry(False))) == [candle(Source.RUNNING)]
    assert EXCHANGE.session([BTC]).receive(kline(entry(True))) == [candle(Source.CLOSING_MESSAGE)]


@pytest.mark.parametrize("turned", [False, True])
def test_a_closing_message_with_the_new_minute_tells_both_the_older_first(turned: bool) -> None:
    flat = dict.fromkeys(("open", "high", "low", "close"), "65140.5")
    entries = [entry(True), entry(False, MINUTE + MINUTE_MS, **flat, volume="0", turnover="0")]
    assert EXCHANGE.session([BTC]).receive(kline(*(reversed(entries) if turned else entries))) == [
        candle(Source.CLOSING_MESSAGE),
        Candle(BTC, MINUTE + MINUTE_MS, *(65140.5,) * 4, 0.0, 0.0, None, Source.RUNNING),
    ]


@pytest.mark.parametrize(
    "message",
    [
        '{"success":true,"ret_msg":"pong","conn_id":"x","req_id":"","op":"ping"}',
        '{"op":"pong","args":["1675418560633"],"conn_id":"x","req_id":""}',
        '{"success":true,"ret_msg":"","conn_id":"x","req_id":"9","op":"unsubscribe"}',
        '{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":1,"data":[{"T":1,"s":"BTCUSDT","p":"1","v":"2"}]}',
        '{"topic":"tickers.BTCUSDT","type":"snapshot","ts":1,"data":{"symbol":"BTCUSDT","lastPrice":"21109.77"}}',
    ],
)
def test_pongs_and_other_topics_tell_nothing(message: str) -> None:
    session = EXCHANGE.session([BTC])
    assert (session.receive(message), session.answered(), session.notices()) == ([], [], [])


@pytest.mark.parametrize(
    "message",
    [
        kline(entry(False), topic="kline.1.ETHUSDT"),
        kline(entry(False), topic="kline.5.BTCUSDT"),
        kline(entry(False, MINUTE + 15_000)),
        kline(entry(False, MINUTE * 1000)),
        kline(entry(False, high="65140.2")),
        kline(entry(False, volume="-1")),
        kline("entry"),
        "{}",
        "[]",
        "pong",
    ],
)
def test_a_kline_that_cannot_be_one_of_ours_is_malformed(message: str) -> None:
    with pytest.raises(Malformed):
        EXCHANGE.session([BTC]).receive(message)


def test_topics_are_subscribed_ten_a_message_each_with_a_number_of_its_own() -> None:
    markets = [Instrument("bybit", f"C{n}", "USDT", f"C{n}USDT") for n in range(23)]
    session = EXCHANGE.session([*markets, markets[0]])
    messages = [json.loads(one) for one in session.to_send()]
    assert [(one["op"], one["req_id"], len(one["args"])) for one in messages] == [
        ("subscribe", "1", 10),
        ("subscribe", "2", 10),
        ("subscribe", "3", 3),
    ]
    assert [topic for one in messages for topic in one["args"]] == [f"kline.1.C{n}USDT" for n in range(23)]
    session.drop(markets[:11])
    assert [(json.loads(one)["op"], len(json.loads(one)["args"])) for one in session.to_send()] == [
        ("unsubscribe", 10),
        ("unsubscribe", 1),
    ]


def test_a_confirmed_message_confirms_each_of_its_markets_once() -> None:
    session = EXCHANGE.session([BTC, ETH])
    session.to_send()
    assert answered(session, 1) == answered(session, 1) == []
    assert session.answered() == [Subscription(BTC), Subscription(ETH)]
    assert (session.answered(), session.notices()) == ([], [])


@pytest.mark.parametrize(
    "words", ["Invalid symbol :[kline.1.ETHUSDT]", "error:handler not found,topic:kline.1.ETHUSDT"]
)
def test_a_market_that_is_refused_costs_the_others_of_its_message_nothing(words: str) -> None:
    """The exchange refuses all ten for one."""
    session = EXCHANGE.session([BTC, ETH, SOL])
    session.to_send()
    assert topics(answered(session, 1, words)) == [["kline.1.BTCUSDT", "kline.1.SOLUSDT"]]
    assert session.answered() == [Subscription(ETH, words)]
    assert answered(session, 2) == []
    assert session.answered() == [Subscription(BTC), Subscription(SOL)]
    session.add([ETH])
    assert topics(session.to_send()) == [["kline.1.ETHUSDT"]], "who was refused may be asked for again"


def test_a_market_that_was_left_before_its_answer_is_neither_confirmed_nor_asked_for_again() -> None:
    session = EXCHANGE.session([BTC, ETH])
    session.drop([BTC])
    session.to_send()
    assert topics(answered(session, 1, "Invalid symbol")) == [["kline.1.ETHUSDT"]]
    assert answered(session, 3) == []
    assert session.answered() == [Subscription(ETH)]


def test_what_still_comes_of_a_market_that_was_left_is_no_candle_and_no_complaint() -> None:
    session = EXCHANGE.session([BTC])
    session.drop([BTC])
    assert session.receive(kline(entry(True))) == []
    session.add([BTC])
    assert session.receive(kline(entry(True))) == [candle(Source.CLOSING_MESSAGE)]


def test_a_refusal_that_names_nobody_asks_for_each_market_alone() -> None:
    session = EXCHANGE.session([BTC, ETH])
    session.to_send()
    assert topics(answered(session, 1, "Invalid symbol")) == [["kline.1.BTCUSDT"], ["kline.1.ETHUSDT"]]
    assert session.answered() == []
    assert answered(session, 2) == answered(session, 3, "Invalid symbol") == []
    assert session.answered() == [Subscription(BTC), Subscription(ETH, "Invalid symbol")]


def test_a_market_that_is_subscribed_already_is_there_and_the_others_are_asked_for_again() -> None:
    session = EXCHANGE.session([BTC, ETH])
    session.to_send()
    again = answered(session, 1, "error:already subscribed,topic:kline.1.BTCUSDT")
    assert (topics(again), session.answered()) == ([["kline.1.ETHUSDT"]], [Subscription(BTC)])
    assert session.receive(kline(entry(False))) == [candle(Source.RUNNING)]


@pytest.mark.parametrize(
    "message",
    [
        '{"success":false,"ret_msg":"error:invalid op","conn_id":"x","req_id":"","op":""}',
        '{"success":false,"ret_msg":"error:invalid op","conn_id":"x","req_id":"","op":"subscribe"}',
        '{"success":false,"ret_msg":"error:invalid op","conn_id":"x","req_id":"1","op":"unsubscribe"}',
    ],
)
def test_a_refusal_of_nothing_that_was_asked_is_a_notice_and_the_stream_goes_on(message: str) -> None:
    session = EXCHANGE.session([BTC])
    assert (session.receive(message), session.answered()) == ([], [])
    assert session.notices() == ["Bybit refused a request: error:invalid op"]
    assert session.receive(kline(entry(False))) == [candle(Source.RUNNING)]


def test_the_address_is_the_configured_one_and_hears_a_ping_every_twenty_seconds() -> None:
    session = EXCHANGE.session([BTC])
    assert session.handshake() is None
    assert (
        session.url("ws://127.0.0.1:9900/bybit/v5/public/spot", None) == "ws://127.0.0.1:9900/bybit/v5/public/spot"
    )
    assert (EXCHANGE.limits.ping_s, json.loads(EXCHANGE.limits.ping)) == (20, {"op": "ping"})


def test_a_page_is_a_thousand_minutes_with_both_bounds() -> None:
    end = MINUTE + MINUTE_MS
    start = end - 1000 * MINUTE_MS
    series = {"category": "spot", "symbol": "BTCUSDT", "interval": "1"}
    query = {**series, "start": start, "end": end - 1, "limit": 1000}
    assert EXCHANGE.page(BTC, Span(0, end), end) == Page(Request("/v5/market/kline", query, 1), Span(start, end))
    assert EXCHANGE.oldest(BTC) is None


def test_a_page_newest_first_becomes_ascending_candles_with_what_was_paid() -> None:
    rows = b'[["%d","2","4","1","3","5","9.5"],["%d","1","2","1","2","0","0"]]' % (MINUTE + MINUTE_MS, MINUTE)
    assert EXCHANGE.parse_candles(PAGE % rows, BTC, Span(0, MINUTE + 9 * MINUTE_MS)) == [
        Candle(BTC, MINUTE, 1.0, 2.0, 1.0, 2.0, 0.0, 0.0, None, Source.RECORD),
        Candle(BTC, MINUTE + MINUTE_MS, 2.0, 4.0, 1.0, 3.0, 5.0, 9.5, None, Source.RECORD),
    ]


def test_a_market_that_cannot_be_read_skips_itself_only() -> None:
    good = {"symbol": "BTCUSDT", "baseCoin": "BTC", "quoteCoin": "USDT", "status": "Trading"}
    halted = {
        **good,
        "symbol": "ETHUSDT",
        "baseCoin": "ETH",
        "status": "Closed",
        "priceFilter": {"tickSize": "0.01"},
    }
    body = {"retCode": 0, "result": {"category": "spot", "list": [good, {"symbol": "X"}, None, halted]}}
    listing = EXCHANGE.parse_instruments(json.dumps(body).encode())
    assert [(one.symbol, one.is_trading, one.tick_size) for one in listing.instruments] == [
        ("BTC/USDT", True, None),
        ("ETH/USDT", False, 0.01),
    ]
    assert [sentence.partition(" (")[0] for sentence in listing.skipped] == [
        "bybit lists a market that cannot be read"
    ] * 2


def error(code: int, words: str) -> bytes:
    return json.dumps({"retCode": code, "retMsg": words, "result": {}, "retExtInfo": {}, "time": 1}).encode()


@pytest.mark.parametrize(
    ("code", "words", "wait_s"),
    [(10006, "Too many visits!", 5), (10018, "Exceeded the IP Rate Limit.", 600)],
)
def test_a_rate_limit_told_with_http_200_quiets_everybody_for_its_window(
    code: int, words: str, wait_s: float
) -> None:
    refusal = EXCHANGE.refusal(200, {}, error(code, words))
    assert isinstance(refusal, Retryable)
    assert (refusal.retry_after_s, refusal.status) == (wait_s, 429)
    assert str(refusal) == f"Bybit answered 429: {words} ({code})"


def test_an_address_that_asked_too_often_waits_ten_minutes_and_is_not_taken_for_a_refused_country() -> None:
    refusal = EXCHANGE.refusal(403, {}, b"403, access too frequent")
    assert isinstance(refusal, Retryable)
    assert (refusal.retry_after_s, refusal.status) == (600, 429)
    page = b"<H1>403 ERROR</H1>The Amazon CloudFront distribution is configured to block access from your country."
    assert isinstance(EXCHANGE.refusal(403, {}, page), Blocked)


def test_wrong_parameters_are_refused_for_good_and_every_other_error_is_tried_again() -> None:
    wrong = EXCHANGE.refusal(200, {}, error(10001, "Not supported symbols"))
    assert (type(wrong), str(wrong)) == (Rejected, "Bybit refuses the request: Not supported symbols (10001)")
    busy = EXCHANGE.refusal(200, {}, error(10016, "Server error"))
    assert (type(busy), str(busy)) == (Retryable, "Bybit answered Server error (10016)")
