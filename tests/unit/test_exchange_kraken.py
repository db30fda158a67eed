"""Kraken: rows that reach back so far and no farther, two spellings of a pair, errors under HTTP 200."""

import json
from typing import Any

import pytest

from common.errors import Malformed, Rejected, Retryable
from common.market import Candle, Instrument, Source
from common.ports import Page, Request, Session, Subscription
from common.span import DAY_MS, MINUTE_MS, Span
from fetchers import registry

EXCHANGE = registry.get("kraken")
BTC = Instrument("kraken", "BTC", "USD", "XBTUSD", "XBT", "USD")
DOGE = Instrument("kraken", "DOGE", "BTC", "XDGXBT", "XDG", "XBT")
#: 2023-10-04 16:25:00 UTC.
MINUTE = 1_696_436_700_000


def row(open_ms: int, close: str = "2", volume: str = "5.00000000") -> list[Any]:
    return [open_ms // 1000, "1.0", "3.0", "1.0", close, "2.0", volume, 7]


def body(rows: list[list[Any]], name: str = "XXBTZUSD") -> bytes:
    return json.dumps({"error": [], "result": {name: rows, "last": rows[-1][0] - 60 if rows else 0}}).encode()


def minutes(last_ms: int, count: int) -> list[list[Any]]:
    return [row(last_ms - back * MINUTE_MS) for back in reversed(range(count))]


def live(open_ms: int = MINUTE, **changes: Any) -> dict[str, Any]:
    at = "2023-10-04T16:25:00.000000000Z" if open_ms == MINUTE else "2023-10-04T16:24:00.000000000Z"
    values = {"open": 1.0, "high": 3.0, "low": 1.0, "close": 2.0, "trades": 7, "volume": 5.0, "vwap": 2.0}
    return {"symbol": "BTC/USD", **values, "interval_begin": at, "interval": 1, **changes}


def frame(*rows: dict[str, Any], kind: str = "update") -> str:
    return json.dumps({"channel": "ohlc", "type": kind, "timestamp": "2023-10-04T16:25:30.5Z", "data": rows})


def candle(open_ms: int = MINUTE, source: Source = Source.RUNNING) -> Candle:
    return Candle(BTC, open_ms, 1.0, 3.0, 1.0, 2.0, 5.0, None, 7, source)


def subscribed(*markets: Instrument) -> Session:
    session = EXCHANGE.session(list(markets) or [BTC])
    session.to_send()
    return session


def test_a_row_has_its_close_before_its_average_and_is_a_record_without_a_quote_volume() -> None:
    span = Span(MINUTE, MINUTE + 2 * MINUTE_MS)
    candles = EXCHANGE.parse_candles(body([row(MINUTE), row(MINUTE + MINUTE_MS)]), BTC, span)
    assert candles == [candle(at, Source.RECORD) for at in (MINUTE, MINUTE + MINUTE_MS)]


def test_the_rows_may_bear_any_name_of_the_pair() -> None:
    span = Span(MINUTE, MINUTE + MINUTE_MS)
    for name in ("XBTUSD", "XXBTZUSD", "XBT/USD"):
        assert EXCHANGE.parse_candles(body([row(MINUTE)], name), BTC, span) == [candle(source=Source.RECORD)]


def test_an_answer_without_rows_for_any_pair_is_malformed() -> None:
    for text in ('{"error":[],"result":{"last":0}}', '{"error":[]}', "{}", '{"error":[],"result":[]}'):
        with pytest.raises(Malformed):
            EXCHANGE.parse_candles(text.encode(), BTC, Span(MINUTE, MINUTE + MINUTE_MS))


def test_an_answer_that_reaches_back_to_the_beginning_speaks_for_the_whole_page() -> None:
    oldest = MINUTE - 719 * MINUTE_MS
    candles = EXCHANGE.parse_candles(body(minutes(MINUTE, 720)), BTC, Span(oldest, MINUTE))
    assert [one.open_ms for one in candles] == [*range(oldest, MINUTE, MINUTE_MS)]


@pytest.mark.parametrize("rows", [720, 650, 1], ids=["full", "with an outage in it", "of a market that is new"])
def test_minutes_that_the_answer_cannot_speak_for_are_rejected_and_never_taken_for_quiet(rows: int) -> None:
    """An outage leaves rows out, so only the last row, the running minute, tells how far an answer reaches."""
    beyond = Span(MINUTE - 720 * MINUTE_MS, MINUTE - 700 * MINUTE_MS)
    with pytest.raises(Rejected) as raised:
        EXCHANGE.parse_candles(body(minutes(MINUTE, rows)), BTC, beyond)
    assert str(raised.value) == (
        "Kraken serves only its newest 720 minutes, which reach back to 2023-10-04 04:26 UTC"
    )


def test_a_721st_row_is_as_good_as_any() -> None:
    oldest = MINUTE - 720 * MINUTE_MS
    candles = EXCHANGE.parse_candles(body(minutes(MINUTE, 721)), BTC, Span(oldest, oldest + 2 * MINUTE_MS))
    assert [one.open_ms for one in candles] == [oldest, oldest + MINUTE_MS]


def test_minutes_within_reach_that_have_no_row_are_answered() -> None:
    span = Span(MINUTE - 100 * MINUTE_MS, MINUTE)
    candles = EXCHANGE.parse_candles(body(minutes(MINUTE, 50)), BTC, span)
    assert [one.open_ms for one in candles] == [*range(MINUTE - 49 * MINUTE_MS, MINUTE, MINUTE_MS)]


def test_the_newest_minutes_are_asked_from_the_one_before_them() -> None:
    wanted = Span(MINUTE - 15 * MINUTE_MS, MINUTE)
    query = {"pair": "XBTUSD", "interval": 1, "since": wanted.start_ms // 1000 - 60}
    assert EXCHANGE.page(BTC, wanted, MINUTE + 30_000) == Page(Request("/0/public/OHLC", query), wanted)


def test_what_is_surely_within_reach_and_what_may_not_be_are_different_pages() -> None:
    wanted, all_there_is = (
        Span(MINUTE - DAY_MS, MINUTE),
        Request("/0/public/OHLC", {"pair": "XBTUSD", "interval": 1}),
    )
    cut = MINUTE - 700 * MINUTE_MS
    assert EXCHANGE.page(BTC, wanted, MINUTE + 59_999) == Page(all_there_is, Span(cut, MINUTE))
    older = EXCHANGE.page(BTC, Span(wanted.start_ms, cut), MINUTE)
    assert older == Page(all_there_is, Span(cut - 720 * MINUTE_MS, cut))


def test_a_page_stays_whole_for_a_quarter_of_an_hour() -> None:
    page = EXCHANGE.page(BTC, Span(MINUTE - DAY_MS, MINUTE), MINUTE)
    spans = [EXCHANGE.page(BTC, page.span, MINUTE + late * MINUTE_MS).span for late in (1, 15)]
    assert spans == [page.span, page.span]


def test_pairs_have_the_names_of_the_field_and_both_spellings_of_the_exchange() -> None:
    assert EXCHANGE.instruments_request() == Request("/0/public/AssetPairs")
    pair = {"altname": "XDGXBT", "wsname": "XDG/XBT", "status": "online", "pair_decimals": 8}
    other = {"altname": "REPV2USD", "wsname": "REPV2/USD", "status": "reduce_only", "pair_decimals": 3}
    pairs = {"XXDGXXBT": pair, "REPV2USD": {**other, "tick_size": "0.005"}, "XBTUSD.d": {"altname": "XBTUSD.d"}}
    listing = EXCHANGE.parse_instruments(json.dumps({"error": [], "result": pairs}).encode())
    rep = Instrument("kraken", "REP", "USD", "REPV2USD", "REPV2", "USD", tick_size=0.005, is_trading=False)
    doge = Instrument("kraken", "DOGE", "BTC", "XDGXBT", "XDG", "XBT", tick_size=1e-8)
    assert listing.instruments == [doge, rep]
    assert [sentence.partition(" (")[0] for sentence in listing.skipped] == [
        "kraken lists a market that cannot be read"
    ]


def test_the_socket_is_asked_for_its_own_names_a_hundred_in_a_message() -> None:
    params = {"channel": "ohlc", "symbol": ["BTC/USD", "DOGE/BTC"], "interval": 1, "snapshot": True}
    (message,) = EXCHANGE.session([BTC, DOGE]).to_send()
    assert json.loads(message) == {"method": "subscribe", "params": params, "req_id": 1}
    many = [Instrument("kraken", f"C{n}", "USD", f"C{n}USD", f"C{n}", "USD") for n in range(250)]
    asked = [json.loads(message) for message in EXCHANGE.session(many).to_send()]
    assert [(one["req_id"], len(one["params"]["symbol"])) for one in asked] == [(1, 100), (2, 100), (3, 50)]


def test_a_market_left_is_unsubscribed_and_passed_over_until_it_is_wanted_again() -> None:
    session = subscribed()
    session.drop([BTC])
    params = {"channel": "ohlc", "symbol": ["BTC/USD"], "interval": 1}
    assert list(map(json.loads, session.to_send())) == [{"method": "unsubscribe", "params": params, "req_id": 2}]
    assert session.receive(frame(live())) == []
    session.add([BTC])
    assert session.receive(frame(live())) == [candle()]


def test_a_snapshot_is_told_oldest_first() -> None:
    told = subscribed().receive(frame(live(), live(MINUTE - MINUTE_MS), kind="snapshot"))
    assert told == [candle(MINUTE - MINUTE_MS), candle()]


@pytest.mark.parametrize("count", [7, 7.0, "7"])
def test_trades_are_counted_in_whole_numbers_however_they_are_written(count: object) -> None:
    assert subscribed().receive(frame(live(trades=count))) == [candle()]


@pytest.mark.parametrize(
    "message",
    [
        frame(live(symbol="XBT/USD")),
        frame(live(interval=5)),
        frame(live(interval_begin="2023-10-04T16:25:01.000000000Z")),
        frame(live(interval_begin="2023-10-04T16:25:00")),
        frame(live(interval_begin="1969-12-31T23:59:00Z")),
        frame(live(high=0.5)),
        frame(live(trades=-1)),
        '{"channel":"ohlc","data":{}}',
        "{}",
        '{"type":"update"}',
    ],
)
def test_a_candle_that_cannot_be_one_of_ours_is_malformed(message: str) -> None:
    with pytest.raises(Malformed):
        subscribed().receive(message)


@pytest.mark.parametrize(
    "message",
    [
        '{"channel":"heartbeat"}',
        '{"channel":"status","type":"update","data":[{"system":"online","api_version":"v2"}]}',
        '{"method":"pong","req_id":1}',
        '{"channel":"ticker","type":"update","data":[{"symbol":"BTC/USD","last":1}]}',
        frame(),
    ],
)
def test_other_frames_tell_no_candle(message: str) -> None:
    session = subscribed()
    assert (session.receive(message), session.notices(), session.answered()) == ([], [], [])


def test_each_market_is_confirmed_and_refused_by_itself() -> None:
    session = subscribed(BTC, DOGE)
    good = {
        "method": "subscribe",
        "result": {"channel": "ohlc", "symbol": "BTC/USD"},
        "success": True,
        "req_id": 1,
    }
    bad = {"method": "subscribe", "error": "Currency pair not supported DOGE/BTC", "success": False}
    for message in (good, {**bad, "symbol": "DOGE/BTC", "req_id": 1}):
        assert session.receive(json.dumps(message)) == []
    refusal = Subscription(DOGE, "Currency pair not supported DOGE/BTC")
    assert session.answered() == [Subscription(BTC), refusal]
    assert (session.answered(), session.notices()) == ([], [])
    session.add([BTC, DOGE])
    assert [json.loads(one)["params"]["symbol"] for one in session.to_send()] == [["DOGE/BTC"]]


def test_a_failure_that_names_no_market_refuses_all_of_its_message() -> None:
    session = subscribed(BTC, DOGE)
    session.receive('{"method":"subscribe","error":"Exceeded msg rate","success":false,"req_id":1}')
    assert session.answered() == [Subscription(one, "Exceeded msg rate") for one in (BTC, DOGE)]


@pytest.mark.parametrize(
    ("message", "notice"),
    [
        (
            {"method": "subscribe", "error": "Currency pair not supported FOO/USD", "symbol": "FOO/USD"},
            "Kraken refused FOO/USD: Currency pair not supported FOO/USD",
        ),
        ({"method": "subscribe", "error": "Exceeded msg rate"}, "Kraken refused a request: Exceeded msg rate"),
        ({"method": "unsubscribe", "error": "Not subscribed"}, "Kraken refused a request: Not subscribed"),
        ({"error": "Malformed request"}, "Kraken refused a request: Malformed request"),
        (
            {"channel": "status", "data": [{"system": "cancel_only"}]},
            "Kraken says that its system is cancel_only",
        ),
    ],
)
def test_w23_a_sentence_that_ends_no_subscription_is_a_notice(message: dict[str, Any], notice: str) -> None:
    session = subscribed()
    assert session.receive(json.dumps(message)) == []
    assert (session.notices(), session.notices(), session.answered()) == ([notice], [], [])
    assert session.receive(frame(live())) == [candle()]


def test_maintenance_asks_to_connect_again_later() -> None:
    with pytest.raises(Retryable) as raised:
        subscribed().receive('{"channel":"status","data":[{"system":"maintenance"}]}')
    assert raised.value.retry_after_s == 60


@pytest.mark.parametrize("status", [200, 429, 503])
@pytest.mark.parametrize(
    "said",
    [
        "EGeneral:Too many requests",
        "EAPI:Rate limit exceeded",
        "EGeneral:Temporary lockout",
        "EService: Throttled: 1700000000",
    ],
)
def test_w19_a_rate_limit_under_any_status_is_told_to_all_and_waits_a_minute(status: int, said: str) -> None:
    refusal = EXCHANGE.refusal(status, {}, json.dumps({"error": [said]}).encode())
    assert isinstance(refusal, Retryable)
    assert (str(refusal), refusal.status, refusal.retry_after_s) == (f"Kraken answered 429: {said}", 429, 60)


@pytest.mark.parametrize("said", ["EQuery:Unknown asset pair", "EGeneral:Invalid arguments"])
def test_a_question_that_makes_no_sense_is_rejected_although_the_status_is_200(said: str) -> None:
    refusal = EXCHANGE.refusal(200, {}, json.dumps({"error": [said]}).encode())
    assert isinstance(refusal, Rejected)
    assert str(refusal) == f"Kraken refuses the request: {said}"


@pytest.mark.parametrize("said", ["EService:Unavailable", "EService:Busy", "EGeneral:Internal error", "Whatever"])
def test_any_other_error_is_retried_and_named(said: str) -> None:
    refusal = EXCHANGE.refusal(200, {}, json.dumps({"result": {}, "error": [said]}).encode())
    assert isinstance(refusal, Retryable)
    assert str(refusal) == f"Kraken answered {said}"


def test_an_answer_may_be_spaced_and_ordered_in_any_way() -> None:
    for text in ('{ "error" : [ ] , "result" : {} }', '{"result":{},"error":[]}'):
        assert EXCHANGE.refusal(200, {}, text.encode()) is None
