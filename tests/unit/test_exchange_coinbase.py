"""Coinbase: rows with low and high before open, minutes made of trades, frames that are counted."""

import json
from functools import reduce
from operator import add
from typing import Any

import pytest

from common.errors import Malformed, Rejected, Retryable
from common.market import Candle, Instrument, Source
from common.ports import Page, Request, Session, Subscription
from common.span import DAY_MS, MINUTE_MS, Span
from fetchers import registry

EXCHANGE = registry.get("coinbase")
BTC = Instrument("coinbase", "BTC", "USD", "BTC-USD", "BTC", "USD")
ETH = Instrument("coinbase", "ETH", "USD", "ETH-USD", "ETH", "USD")
#: 2026-08-09 21:06:00 UTC.
MINUTE = 1_786_309_560_000


def trade(
    number: int, at: str, price: str = "10.5", size: str = "0.1", product: str = "BTC-USD"
) -> dict[str, str]:
    """`at` is a time of 2026-08-09."""
    moment = f"2026-08-09T{at}Z"
    return {
        "trade_id": str(number),
        "product_id": product,
        "price": price,
        "size": size,
        "time": moment,
        "side": "BUY",
    }


def frame(number: int, *trades: dict[str, str], kind: str = "update") -> str:
    events = [{"type": kind, "trades": trades}]
    return json.dumps({"channel": "market_trades", "client_id": "", "sequence_num": number, "events": events})


def confirmation(number: int, *products: str) -> str:
    told = {"heartbeats": ["heartbeats"], "market_trades": products}
    return json.dumps({"channel": "subscriptions", "sequence_num": number, "events": [{"subscriptions": told}]})


def subscribed(*markets: Instrument) -> Session:
    session = EXCHANGE.session(list(markets) or [BTC])
    session.to_send()
    return session


def candle(open_ms: int, *values: float, source: Source = Source.RUNNING) -> Candle:
    return Candle(BTC, open_ms, *values, source=source)


def test_rows_have_low_and_high_first_and_come_newest_first() -> None:
    body = f"[[{MINUTE // 1000 + 60},1,4,2,3,5.5],[{MINUTE // 1000},1,1,1,1,0.00000001]]".encode()
    assert EXCHANGE.parse_candles(body, BTC, Span(MINUTE, MINUTE + DAY_MS)) == [
        candle(MINUTE, 1.0, 1.0, 1.0, 1.0, 1e-8, source=Source.RECORD),
        candle(MINUTE + MINUTE_MS, 2.0, 4.0, 1.0, 3.0, 5.5, source=Source.RECORD),
    ]


@pytest.mark.parametrize("into_minute_ms", [0, 30_000])
def test_a_page_is_three_hundred_minutes_with_both_bounds_included(into_minute_ms: int) -> None:
    end = MINUTE + MINUTE_MS - into_minute_ms
    query = {"granularity": 60, "start": "2026-08-09T16:07:00Z", "end": "2026-08-09T21:06:00Z"}
    page = EXCHANGE.page(BTC, Span(0, end), end)
    assert page == Page(Request("/products/BTC-USD/candles", query), Span(MINUTE - 299 * MINUTE_MS, end))


def test_products_have_the_names_of_the_field_and_trade_when_nothing_forbids_it() -> None:
    assert EXCHANGE.instruments_request() == Request("/products")
    one = {"id": "CGLD-USD", "base_currency": "CGLD", "quote_currency": "USD", "status": "online"}
    two = {"id": "BAL-USD", "base_currency": "BAL", "quote_currency": "USD", "status": "online"}
    three = {"id": "REP-USD", "base_currency": "REP", "quote_currency": "USD", "status": "delisted"}
    auction = {"id": "BALAUCTION-USD", "base_currency": "BAL", "quote_currency": "USD", "status": "offline"}
    odd = [{**one, "quote_increment": "0.001"}, {**two, "trading_disabled": True}, three, auction, {"id": "X-Y"}]
    listing = EXCHANGE.parse_instruments(json.dumps(odd).encode())
    assert listing.instruments == [
        Instrument("coinbase", "CELO", "USD", "CGLD-USD", "CGLD", "USD", tick_size=0.001),
        Instrument("coinbase", "BAL", "USD", "BAL-USD", "BAL", "USD", is_trading=False),
        Instrument("coinbase", "REP", "USD", "REP-USD", "REP", "USD", is_trading=False),
    ]
    assert [sentence.partition(" (")[0] for sentence in listing.skipped] == [
        "coinbase lists a market that cannot be read",
        "coinbase lists BAL-USD and BALAUCTION-USD, both BAL/USD; BAL-USD is kept.",
    ]


def test_heartbeats_are_asked_for_first_then_a_hundred_products_in_a_message() -> None:
    many = [Instrument("coinbase", f"C{n}", "USD", f"C{n}-USD") for n in range(150)]
    beats, *asked = [json.loads(message) for message in EXCHANGE.session(many).to_send()]
    assert beats == {"type": "subscribe", "channel": "heartbeats"}
    assert [(one["type"], one["channel"], len(one["product_ids"])) for one in asked] == [
        ("subscribe", "market_trades", 100),
        ("subscribe", "market_trades", 50),
    ]
    assert [name for one in asked for name in one["product_ids"]] == [f"C{n}-USD" for n in range(150)]


def test_the_snapshot_makes_its_whole_minutes_and_updates_go_on_with_the_last() -> None:
    session = subscribed()
    snapshot = [
        trade(5, "21:06:01.5", "12", "0.2"),
        trade(4, "21:05:59.9", "9", "0.3"),
        trade(3, "21:05:00", "10", "0.1"),
        trade(2, "21:04:58", "7", "5"),
    ]
    assert session.receive(frame(0, *snapshot, kind="snapshot")) == [
        candle(MINUTE - MINUTE_MS, 10.0, 10.0, 9.0, 9.0, 0.4),
        candle(MINUTE, 12.0, 12.0, 12.0, 12.0, 0.2),
    ]
    update = [
        trade(7, "21:06:02", "11", "0.1"),
        trade(6, "21:06:02", "13", "0.1"),
        trade(5, "21:06:01.5", "12", "0.2"),
    ]
    assert session.receive(frame(1, *update)) == [candle(MINUTE, 12.0, 13.0, 11.0, 11.0, 0.4)]


def test_sums_are_exact_as_those_of_the_exchange_are() -> None:
    session = subscribed()
    trades = [trade(number, f"21:06:0{number}", size="0.1") for number in range(8)]
    told = session.receive(frame(0, trade(99, "21:05:00"), kind="snapshot")) + session.receive(frame(1, *trades))
    assert told == [candle(MINUTE, 10.5, 10.5, 10.5, 10.5, 0.8)]
    assert reduce(add, [0.1] * 8) != 0.8, "as floats they would not be; `sum` makes up for it from Python 3.12 on"


def test_the_minute_of_the_snapshots_oldest_trade_is_told_by_nobody() -> None:
    session = subscribed()
    assert session.receive(frame(0, trade(1, "21:05:59.999"), kind="snapshot")) == []
    assert session.receive(frame(1, trade(2, "21:05:59.999999"))) == []
    assert session.receive(frame(2, trade(3, "21:06:00"))) == [candle(MINUTE, 10.5, 10.5, 10.5, 10.5, 0.1)]


def test_a_fraction_of_nanoseconds_does_not_round_a_trade_into_the_next_minute() -> None:
    session = subscribed()
    session.receive(frame(0, trade(1, "21:05:00"), kind="snapshot"))
    told = [
        session.receive(frame(n, trade(n + 1, at)))[0] for n, at in ((1, "21:06:59.99999999"), (2, "21:07:00"))
    ]
    assert [one.open_ms for one in told] == [MINUTE, MINUTE + MINUTE_MS]


def test_an_empty_snapshot_tells_nothing() -> None:
    session = subscribed()
    assert session.receive(frame(0, kind="snapshot")) == session.receive(frame(1, trade(1, "21:05:59"))) == []
    assert len(session.receive(frame(2, trade(2, "21:06:59")))) == 1


def test_trades_of_several_markets_in_one_frame_make_minutes_of_each() -> None:
    session = subscribed(BTC, ETH)
    session.receive(frame(0, trade(1, "21:05:00"), trade(1, "21:05:00", product="ETH-USD"), kind="snapshot"))
    told = session.receive(frame(1, trade(2, "21:07:00"), trade(2, "21:06:00", product="ETH-USD")))
    assert [(one.instrument, one.open_ms) for one in told] == [(ETH, MINUTE), (BTC, MINUTE + MINUTE_MS)]


@pytest.mark.parametrize("channel", ["market_trades", "heartbeats", "subscriptions", "ticker"])
def test_w23_a_jump_of_the_sequence_asks_to_connect_again_whatever_the_channel(channel: str) -> None:
    session = subscribed()
    session.receive(frame(7))
    session.receive(json.dumps({"channel": "heartbeats", "sequence_num": 8, "events": [{}]}))
    with pytest.raises(Retryable) as raised:
        session.receive(json.dumps({"channel": channel, "sequence_num": 10, "events": []}))
    assert str(raised.value) == "Coinbase skipped from frame 8 to 10, so that trades may be lost"


def test_a_market_is_confirmed_once_it_is_among_the_subscriptions() -> None:
    session = subscribed(BTC, ETH)
    session.receive(confirmation(0, "BTC-USD", "OTHER-USD"))
    assert session.answered() == [Subscription(BTC)]
    session.receive(confirmation(1, "BTC-USD", "ETH-USD"))
    assert (session.answered(), session.answered(), session.notices()) == ([Subscription(ETH)], [], [])


def test_an_error_that_names_a_market_refuses_it_and_another_is_a_notice() -> None:
    session = subscribed(BTC, ETH)
    session.receive(confirmation(0, "BTC-USD"))
    for words in ("ETH-USD is not a valid product", "BTC-USD is busy", "rate limit exceeded"):
        assert session.receive(json.dumps({"type": "error", "message": words})) == []
    assert session.answered() == [Subscription(BTC), Subscription(ETH, "ETH-USD is not a valid product")]
    assert session.notices() == [
        "Coinbase refused a request: BTC-USD is busy",
        "Coinbase refused a request: rate limit exceeded",
    ]


def test_a_market_left_is_passed_over_and_begins_anew_when_it_is_wanted_again() -> None:
    session = subscribed()
    session.receive(frame(0, trade(1, "21:04:00"), kind="snapshot"))
    session.drop([BTC])
    assert list(map(json.loads, session.to_send())) == [
        {"type": "unsubscribe", "product_ids": ["BTC-USD"], "channel": "market_trades"}
    ]
    assert session.receive(frame(1, trade(2, "21:05:00"))) == []
    session.add([BTC])
    assert session.receive(frame(2, trade(4, "21:06:30"), trade(3, "21:06:10"), kind="snapshot")) == []
    assert len(session.receive(frame(3, trade(5, "21:07:00")))) == 1
    assert (session.answered(), session.notices()) == ([], [])


def test_trades_of_a_market_nobody_asked_for_are_told_once_in_words() -> None:
    session = subscribed()
    for number in range(3):
        assert session.receive(frame(number, trade(number, "21:06:00", product="FOO-USD"))) == []
    assert session.notices() == ["Coinbase tells trades of FOO-USD, which is not subscribed"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"price": "0"},
        {"price": "-1"},
        {"price": "NaN"},
        {"price": "one"},
        {"size": "sNaN"},
        {"size": "Infinity"},
        {"size": "0"},
        {"time": "21:06"},
        {"time": "2026-08-09T21:06:00"},
        {"trade_id": "one"},
    ],
)
def test_after_a_trade_that_cannot_be_no_minute_is_told_that_lacks_it(wrong: dict[str, str]) -> None:
    session = subscribed()
    session.receive(frame(0, trade(1, "21:05:00"), kind="snapshot"))
    assert len(session.receive(frame(1, trade(2, "21:06:00")))) == 1
    with pytest.raises(Malformed):
        session.receive(frame(2, {**trade(3, "21:06:01"), **wrong}))
    assert session.receive(frame(3, trade(4, "21:06:02"))) == []
    assert session.receive(frame(4, trade(5, "21:07:02"))) == [candle(MINUTE + MINUTE_MS, *(10.5,) * 4, 0.1)]


@pytest.mark.parametrize(
    "message",
    [
        "{}",
        "[]",
        '{"channel":1}',
        '{"channel":"subscriptions","events":[{"subscriptions":[]}]}',
        '{"type":"hello"}',
    ],
)
def test_a_frame_of_no_known_kind_is_malformed(message: str) -> None:
    with pytest.raises(Malformed):
        subscribed().receive(message)


def test_heartbeats_and_other_channels_tell_nothing() -> None:
    session = subscribed()
    for number, channel in enumerate(("heartbeats", "ticker", "candles")):
        event: dict[str, Any] = {"channel": channel, "sequence_num": number, "events": [{"type": "update"}]}
        assert session.receive(json.dumps(event)) == []
    assert (session.notices(), session.answered()) == ([], [])


def test_the_address_is_the_configured_one() -> None:
    assert (subscribed().handshake(), subscribed().url("ws://host/x", None)) == (None, "ws://host/x")


def test_w19_the_rate_limit_waits_and_is_named() -> None:
    refusal = EXCHANGE.refusal(429, {}, b'{"message":"Public rate limit exceeded"}')
    assert isinstance(refusal, Retryable)
    assert (str(refusal), refusal.status) == ("Coinbase answered 429: Public rate limit exceeded", 429)


@pytest.mark.parametrize(
    ("status", "said"), [(404, "NotFound"), (400, "granularity too small for the requested time range")]
)
def test_a_question_that_makes_no_sense_is_rejected_in_the_exchanges_words(status: int, said: str) -> None:
    refusal = EXCHANGE.refusal(status, {}, json.dumps({"message": said}).encode())
    assert isinstance(refusal, Rejected)
    assert str(refusal) == f"Coinbase answered {status}: {said}"
