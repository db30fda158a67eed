"""Bitfinex: rows with close before high, channel ids, refusals under any HTTP status."""

import json

import pytest

from common.errors import Malformed, Rejected, Retryable
from common.market import Candle, Instrument, Source
from common.ports import Page, Request, Session, Subscription
from common.span import MINUTE_MS, Span
from fetchers import registry

EXCHANGE = registry.get("bitfinex")
BTC = Instrument("bitfinex", "BTC", "USD", "BTCUSD", "BTC", "USD")
AAVE = Instrument("bitfinex", "AAVE", "USDT", "AAVE:UST", "AAVE", "UST")
MINUTE = 1_574_698_260_000
ROW = f"[{MINUTE},10,11,12,9,1.5]"
CANDLE = Candle(BTC, MINUTE, 10.0, 12.0, 9.0, 11.0, 1.5)


def subscribed(channel: int = 7, instrument: Instrument = BTC) -> Session:
    session = EXCHANGE.session([BTC, AAVE])
    key = f"trade:1m:t{instrument.native}"
    ack = {"event": "subscribed", "channel": "candles", "chanId": channel, "key": key}
    assert session.receive(json.dumps(ack)) == []
    return session


def conf(pairs: list[str], currencies: list[str], names: list[list[str]]) -> bytes:
    return json.dumps([pairs, currencies, names]).encode()


def test_one_request_asks_for_pairs_currencies_and_their_names() -> None:
    path = "/v2/conf/pub:list:pair:exchange,pub:list:currency,pub:map:currency:sym"
    assert EXCHANGE.instruments_request() == Request(path)


def test_w22_an_unknown_currency_skips_one_pair_and_says_so() -> None:
    body = conf(["BTCUSD", "XYZUSD", "NEW:UST", "ETHUSD"], ["BTC", "USD", "ETH", "UST"], [])
    listing = EXCHANGE.parse_instruments(body)
    assert [one.symbol for one in listing.instruments] == ["BTC/USD", "ETH/USD"]
    assert listing.skipped == [
        "bitfinex lists XYZUSD, but no currency XYZ.",
        "bitfinex lists NEW:UST, but no currency NEW.",
    ]


def test_w22_a_pair_that_cannot_be_split_is_skipped_with_a_sentence() -> None:
    listing = EXCHANGE.parse_instruments(conf(["BTCUSD", "LUNAUSD", ":USD", "A/B:USD"], [], []))
    assert [one.symbol for one in listing.instruments] == ["BTC/USD"]
    assert listing.skipped == [
        "bitfinex lists 'LUNAUSD', which is neither six letters nor BASE:QUOTE.",
        "bitfinex lists ':USD', whose currencies have no usable names.",
        "bitfinex lists 'A/B:USD', whose currencies have no usable names.",
    ]


def test_test_pairs_and_perpetuals_are_no_spot_markets_and_no_news() -> None:
    pairs = ["AAABBB", "TESTBTC:TESTUSD", "TESTBTC:TESTUSDT", "BTCF0:USTF0", "BTCUSD"]
    listing = EXCHANGE.parse_instruments(conf(pairs, [], [["AAA", "TESTAAA"]]))
    assert ([one.native for one in listing.instruments], listing.skipped) == (["BTCUSD"], [])


def test_names_follow_the_map_first_and_the_known_fixes_where_the_map_is_silent() -> None:
    names = [["UST", "USDt"], ["AMP", "AMPLY"], ["odd"]]
    listing = EXCHANGE.parse_instruments(conf(["BTCUST", "AMPUSD", "DSHUSD", "IOTUSD", "UDCUSD"], [], names))
    assert [one.symbol for one in listing.instruments] == [
        "BTC/USDT",
        "AMPLY/USD",
        "DASH/USD",
        "IOTA/USD",
        "USDC/USD",
    ]
    assert [one.native_base + one.native_quote for one in listing.instruments][:2] == ["BTCUST", "AMPUSD"]


@pytest.mark.parametrize("pairs", [["BCHN:USD", "BCHUSD"], ["BCHUSD", "BCHN:USD"]])
def test_of_two_markets_with_one_name_the_native_bearer_stays_in_any_order(pairs: list[str]) -> None:
    listing = EXCHANGE.parse_instruments(conf(pairs, [], []))
    assert [one.native for one in listing.instruments] == ["BCHUSD"]
    assert listing.skipped == ["bitfinex lists BCHUSD and BCHN:USD, both BCH/USD; BCHUSD is kept."]


def test_a_page_is_the_newest_ten_thousand_minutes_oldest_first_with_both_bounds() -> None:
    end = MINUTE + MINUTE_MS
    page = EXCHANGE.page(AAVE, Span(0, end), end)
    start = end - 10_000 * MINUTE_MS
    query = {"start": start, "end": end - 1, "limit": 10_000, "sort": 1}
    assert page == Page(Request("/v2/candles/trade:1m:tAAVE:UST/hist", query), Span(start, end))


def test_of_two_rows_of_a_minute_the_later_one_wins_and_fields_may_be_appended() -> None:
    body = f"[[{MINUTE},10,10,10,10,1],[{MINUTE - MINUTE_MS},9,9,9,9,1,null],[{MINUTE},10,11,12,9,1.5,0]]".encode()
    candles = EXCHANGE.parse_candles(body, BTC, Span(0, MINUTE + MINUTE_MS))
    before = Candle(BTC, MINUTE - MINUTE_MS, 9.0, 9.0, 9.0, 9.0, 1.0, source=Source.RECORD)
    assert candles == [before, CANDLE._replace(source=Source.RECORD)]


def test_w7_the_snapshot_after_a_reconnect_is_told_oldest_first() -> None:
    snapshot = f"[7,[{ROW},[{MINUTE - MINUTE_MS},9,9,9,9,1],[{MINUTE - 5 * MINUTE_MS},8,8,8,8,1]]]"
    told = subscribed().receive(snapshot)
    assert [one.open_ms for one in told] == [MINUTE - 5 * MINUTE_MS, MINUTE - MINUTE_MS, MINUTE]
    assert {one.source for one in told} == {Source.RUNNING}


@pytest.mark.parametrize("tail", ["", ",127", ",127,1574698290123", ',127,1574698290123,"new"'])
def test_an_update_may_bear_a_sequence_and_a_time(tail: str) -> None:
    assert subscribed().receive(f"[7,{ROW}{tail}]") == [CANDLE]
    assert subscribed().receive(f'[7,"hb"{tail}]') == []
    assert subscribed().receive(f"[7,[]{tail}]") == []


def test_the_candle_before_the_running_one_is_told_again() -> None:
    session, previous = subscribed(), f"[7,[{MINUTE - MINUTE_MS},9,9,9,9,1]]"
    times = [session.receive(frame)[0].open_ms for frame in (previous, f"[7,{ROW}]", previous, f"[7,{ROW}]")]
    assert times == [MINUTE - MINUTE_MS, MINUTE] * 2


def test_w23_a_channel_id_means_something_on_its_own_connection_only() -> None:
    first, second = subscribed(7, BTC), subscribed(7, AAVE)
    assert [one.receive(f"[7,{ROW}]")[0].instrument for one in (first, second)] == [BTC, AAVE]


def test_a_frame_of_an_unknown_channel_is_malformed_also_after_its_end() -> None:
    session = subscribed()
    session.receive('{"event":"unsubscribed","status":"OK","chanId":7}')
    for frame in (f"[7,{ROW}]", f"[8,{ROW}]", '[8,"te",[1,2,3,4]]'):
        with pytest.raises(Malformed):
            session.receive(frame)


@pytest.mark.parametrize(
    ("event", "notice"),
    [
        (
            {"symbol": "tFAKE", "msg": "symbol: invalid", "code": 10300, "pair": "FAKE"},
            "Bitfinex refused tFAKE: symbol: invalid (10300)",
        ),
        (
            {"channel": "candles", "key": "trade:1m:tBTCUSD", "msg": "subscribe: dup", "code": 10301},
            "Bitfinex refused trade:1m:tBTCUSD: subscribe: dup (10301)",
        ),
        ({"msg": "subscribe: limit", "code": 10305}, "Bitfinex refused a request: subscribe: limit (10305)"),
    ],
)
def test_w23_a_refusal_that_ends_no_subscription_is_a_notice_and_the_stream_goes_on(
    event: dict[str, object], notice: str
) -> None:
    session = subscribed()
    assert session.receive(json.dumps({"event": "error", **event})) == []
    assert (session.notices(), session.notices()) == ([notice], [])
    assert session.receive(f"[7,{ROW}]") == [CANDLE]


@pytest.mark.parametrize("named", [{"symbol": "tBTCUSD", "pair": "BTCUSD"}, {"key": "trade:1m:tBTCUSD"}])
def test_a_refused_subscription_names_its_market_and_costs_no_other(named: dict[str, str]) -> None:
    session = EXCHANGE.session([BTC])
    refused = {"event": "error", "msg": "symbol: invalid", "code": 10300, **named}
    assert session.receive(json.dumps(refused)) == []
    assert session.answered() == [Subscription(BTC, "symbol: invalid (10300)")]
    assert (session.answered(), session.notices()) == ([], [])


def test_a_market_left_before_it_was_confirmed_is_left_when_it_is() -> None:
    session = EXCHANGE.session([BTC])
    session.to_send()
    session.drop([BTC])
    assert session.to_send() == []
    session.receive('{"event":"subscribed","channel":"candles","chanId":7,"key":"trade:1m:tBTCUSD"}')
    assert list(map(json.loads, session.to_send())) == [{"event": "unsubscribe", "chanId": 7}]
    assert session.receive(f"[7,{ROW}]") == session.answered() == []


def test_a_market_left_and_wanted_again_while_it_is_asked_for_is_asked_for_once() -> None:
    session = EXCHANGE.session([BTC])
    session.to_send()
    session.drop([BTC])
    session.add([BTC])
    session.receive('{"event":"subscribed","channel":"candles","chanId":7,"key":"trade:1m:tBTCUSD"}')
    assert (session.to_send(), session.answered()) == ([], [Subscription(BTC)])
    assert session.receive(f"[7,{ROW}]") == [CANDLE]


@pytest.mark.parametrize(
    ("info", "wait_s"),
    [
        ({"code": 20051, "msg": "Stop/Restart Websocket Server (please reconnect)"}, None),
        ({"code": 20060, "msg": "Entering in Maintenance mode"}, 120),
        ({"code": 20061, "msg": "Maintenance ended"}, None),
        ({"version": 2, "platform": {"status": 0}}, 120),
    ],
)
def test_maintenance_and_restart_ask_to_connect_again(info: dict[str, object], wait_s: float | None) -> None:
    with pytest.raises(Retryable) as raised:
        subscribed().receive(json.dumps({"event": "info", **info}))
    assert raised.value.retry_after_s == wait_s


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, '["error", 11010, "ratelimit: error"]'),
        (429, '["error", 11010, "ratelimit: error"]'),
        (500, '["error", 11010, "ratelimit: error"]'),
        (429, '{"error":"ERR_RATE_LIMIT"}'),
        (500, '{"error":"ERR_RATE_LIMIT"}'),
    ],
)
def test_w19_a_rate_limit_under_any_status_waits_a_minute(status: int, body: str) -> None:
    refusal = EXCHANGE.refusal(status, {}, body.encode())
    assert isinstance(refusal, Retryable)
    assert refusal.retry_after_s == 60


@pytest.mark.parametrize("status", [200, 500, 503])
def test_maintenance_by_rest_waits_under_any_status(status: int) -> None:
    refusal = EXCHANGE.refusal(status, {}, b'["error",20060,"maintenance"]')
    assert isinstance(refusal, Retryable)
    assert refusal.retry_after_s == 120


def test_a_refused_parameter_is_final_although_the_status_is_500() -> None:
    refusal = EXCHANGE.refusal(500, {}, b'["error",10020,"limit: invalid"]')
    assert isinstance(refusal, Rejected)
    assert str(refusal) == "Bitfinex refuses the request: limit: invalid (10020)"


def test_any_other_error_is_retried_and_named() -> None:
    refusals = [EXCHANGE.refusal(status, {}, b'["error",10001,"unknown"]') for status in (200, 500)]
    assert [type(one) for one in refusals] == [Retryable] * 2
    assert [str(one) for one in refusals] == [
        "Bitfinex answered unknown (10001)",
        "Bitfinex answered 500: unknown",
    ]
