"""Bittrex: whole UTC days, SignalR's envelope, sequences and strays."""

import base64
import json
import time
import zlib
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from common.errors import Malformed, Rejected, Retryable
from common.market import Candle, Instrument, Source
from common.ports import Request, Subscription
from common.span import DAY_MS, MINUTE_MS, Span
from fetchers import registry

EXCHANGE = registry.get("bittrex")
BTC = Instrument("bittrex", "BTC", "USD", "BTC-USD", "BTC", "USD")
ETH = Instrument("bittrex", "ETH", "BTC", "ETH-BTC", "ETH", "BTC")
MINUTE = 1_615_521_780_000  # 2021-03-12T04:03:00Z
DAY = MINUTE - MINUTE % DAY_MS
DELTA = {"startsAt": "2021-03-12T04:03:00Z", "open": "57186.13000000", "high": "57186.13000000"}
DELTA |= {
    "low": "57186.12200000",
    "close": "57186.12200000",
    "volume": "0.00291046",
    "quoteVolume": "166.43793682",
}
CANDLE = Candle(BTC, MINUTE, 57186.13, 57186.13, 57186.122, 57186.122, 0.00291046, 166.43793682)


def push(sequence: int, market: str = "BTC-USD", delta: dict[str, str] = DELTA, **changes: Any) -> dict[str, Any]:
    return packed(message(sequence, market, delta, **changes))


def message(sequence: int, market: str = "BTC-USD", delta: dict[str, str] = DELTA, **changes: Any) -> bytes:
    told = {"sequence": sequence, "marketSymbol": market, "interval": "MINUTE_1", "delta": delta}
    return json.dumps(told | {"candleType": "TRADE"} | changes).encode()


def packed(text: bytes) -> dict[str, Any]:
    deflate = zlib.compressobj(wbits=-15)
    return {"H": "C3", "M": "candle", "A": [base64.b64encode(deflate.compress(text) + deflate.flush()).decode()]}


def frame(*pushes: dict[str, Any]) -> str:
    return json.dumps({"C": "d-D56EFF76-B,0|nuz,0", "M": list(pushes)})


def test_a_past_day_is_asked_as_history_and_the_current_one_as_recent() -> None:
    wanted, now_ms = Span(DAY - DAY_MS // 2, MINUTE), MINUTE + 90_000
    today = EXCHANGE.page(BTC, wanted, now_ms)
    before = EXCHANGE.page(BTC, Span(wanted.start_ms, today.span.start_ms), now_ms)
    assert (today.request.path, today.span) == (
        "/markets/BTC-USD/candles/TRADE/MINUTE_1/recent",
        Span(DAY, MINUTE),
    )
    assert (before.request.path, before.span) == (
        "/markets/BTC-USD/candles/TRADE/MINUTE_1/historical/2021/3/11",
        Span(DAY - DAY_MS // 2, DAY),
    )


@pytest.mark.parametrize("hours", [24, 30, 47, 48])
def test_w10_a_day_that_ended_is_never_asked_as_recent(hours: int) -> None:
    page = EXCHANGE.page(BTC, Span(DAY, DAY + DAY_MS), DAY + hours * 3_600_000)
    assert page.request.path.endswith("/historical/2021/3/12")


def test_w10_the_head_of_the_day_is_kept_when_the_wanted_span_starts_in_it() -> None:
    wanted = Span(DAY - DAY_MS + 5 * 3_600_000, DAY + DAY_MS)
    page = EXCHANGE.page(BTC, wanted, DAY + 3 * DAY_MS)
    assert page.span == Span(DAY, DAY + DAY_MS)


def test_w9_candle_times_do_not_depend_on_the_time_zone_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        monkeypatch.setenv("TZ", "Asia/Kathmandu")
        time.tzset()
        (one,) = EXCHANGE.parse_candles(json.dumps([DELTA]).encode(), BTC, Span(0, 10**13))
        path = EXCHANGE.page(BTC, Span(DAY, DAY + MINUTE_MS), DAY + 2 * DAY_MS).request.path
    finally:
        monkeypatch.undo()
        time.tzset()
    assert (one, path[-9:]) == (CANDLE._replace(source=Source.RECORD), "2021/3/12")


def test_w9_a_time_without_a_zone_is_malformed() -> None:
    body = json.dumps([DELTA | {"startsAt": "2021-03-12T04:03:00"}]).encode()
    with pytest.raises(Malformed):
        EXCHANGE.parse_candles(body, BTC, Span(0, 10**13))


def test_the_handshake_asks_for_a_token_and_the_address_bears_it_encoded() -> None:
    session = EXCHANGE.session([BTC])
    hub = {"connectionData": '[{"name":"c3"}]', "clientProtocol": "1.5"}
    assert session.handshake() == Request("/negotiate", hub)
    token = "lT/sa19+FcrEb4W53On2v+Pcc3d4=="
    answer = json.dumps({"Url": "/signalr", "ConnectionToken": token, "ProtocolVersion": "1.5"}).encode()
    url = session.url("wss://socket-v3.bittrex.com/signalr", answer)
    assert "connectionToken=lT%2Fsa19%2BFcrEb4W53On2v%2BPcc3d4%3D%3D&" in url
    assert urlsplit(url).path == "/signalr/connect"
    assert parse_qs(urlsplit(url).query) == {
        "transport": ["webSockets"],
        "connectionToken": [token],
        **{name: [value] for name, value in hub.items()},
    }


@pytest.mark.parametrize("answer", [None, b"", b"<html>", b"{}", b"[]"])
def test_a_handshake_without_a_token_is_tried_again(answer: bytes | None) -> None:
    with pytest.raises(Retryable):
        EXCHANGE.session([BTC]).url("wss://host/signalr", answer)


def test_channels_are_subscribed_fifty_a_message_with_the_heartbeat() -> None:
    markets = [Instrument("bittrex", f"C{n}", "BTC", f"C{n}-BTC") for n in range(60)]
    messages = [json.loads(message) for message in EXCHANGE.session(markets).to_send()]
    assert [(one["H"], one["M"], one["I"], len(one["A"][0])) for one in messages] == [
        ("c3", "Subscribe", 1, 50),
        ("c3", "Subscribe", 2, 11),
    ]
    channels = [channel for one in messages for channel in one["A"][0]]
    assert channels == ["heartbeat", *(f"candle_C{n}-BTC_MINUTE_1" for n in range(60))]


def test_a_refused_channel_is_named_though_the_answer_bears_its_number_as_text() -> None:
    session = EXCHANGE.session([BTC, ETH])
    results = [{"Success": ok, "ErrorCode": None if ok else "INVALID_TOPIC"} for ok in (True, True, False)]
    assert session.receive(json.dumps({"R": results, "I": "1"})) == []
    assert session.answered() == [Subscription(BTC), Subscription(ETH, "INVALID_TOPIC")]
    session = EXCHANGE.session([BTC, ETH])
    assert session.receive(json.dumps({"I": "1", "E": "There was an error."})) == []
    assert session.answered() == [Subscription(one, "There was an error.") for one in (BTC, ETH)]
    assert session.notices() == ["Bittrex refused to subscribe heartbeat: There was an error."]


@pytest.mark.parametrize(
    "quiet",
    [
        "{}",
        '{"C":"d-D56EFF76-B,0|nuz,0|nu0,1","S":1,"M":[]}',
        '{"C":"d-1","G":"6Hn8H2QXqOWWBBFQE","M":[]}',
        '{"C":"d-1","M":[{"H":"C3","M":"heartbeat","A":[]}]}',
        '{"C":"d-1","M":[{"H":"C3","M":"orderBook","A":["not a candle"]}]}',
    ],
)
def test_the_transports_own_frames_tell_no_candle(quiet: str) -> None:
    session = EXCHANGE.session([BTC])
    assert (session.receive(quiet), session.notices()) == ([], [])


def test_several_candles_in_one_frame_are_all_told() -> None:
    told = EXCHANGE.session([BTC, ETH]).receive(frame(push(2081), {"H": "C3", "M": "tickers"}, push(9, "ETH-BTC")))
    assert told == [CANDLE, CANDLE._replace(instrument=ETH)]


def test_a_placeholder_of_the_new_minute_is_running() -> None:
    quiet = (
        DELTA | dict.fromkeys(("open", "high", "low", "close"), "57186.122") | {"volume": "0", "quoteVolume": "0"}
    )
    (told,) = EXCHANGE.session([BTC]).receive(frame(push(1, delta=quiet)))
    assert (told.volume, told.quote_volume, told.source) == (0.0, 0.0, Source.RUNNING)


def test_a_leaked_midpoint_candle_is_no_trade_candle() -> None:
    session, middle = EXCHANGE.session([BTC]), DELTA | {"low": "57000", "volume": "0"}
    strays = [push(number, delta=middle, candleType="MIDPOINT") for number in (877, 10774)]
    assert session.receive(frame(push(876), *strays, push(877))) == [CANDLE] * 2
    assert session.notices() == []


def test_a_stray_far_out_of_sequence_is_dropped_and_the_series_goes_on() -> None:
    session = EXCHANGE.session([BTC])
    told = [len(session.receive(frame(push(number)))) for number in (876, 10774, 877, 877, 878)]
    assert (told, session.notices()) == ([1, 0, 1, 0, 1], [])


def test_a_gap_is_believed_once_it_is_confirmed_and_is_told() -> None:
    session = EXCHANGE.session([BTC])
    told = [len(session.receive(frame(push(number)))) for number in (876, 880, 881, 882)]
    assert (told, session.notices()) == ([1, 0, 1, 1], ["Bittrex skipped from 876 to 880 in BTC-USD"])


def test_sequences_count_for_each_market_alone() -> None:
    told = EXCHANGE.session([BTC, ETH]).receive(frame(push(5), push(90, "ETH-BTC"), push(6), push(91, "ETH-BTC")))
    assert [one.instrument for one in told] == [BTC, ETH, BTC, ETH]


@pytest.mark.parametrize(
    "bad",
    [
        push(1, "XRP-USD"),
        push(1, interval="MINUTE_5"),
        push(1, delta=DELTA | {"startsAt": "2021-03-12T04:03:15Z"}),
        push(1, delta=DELTA | {"startsAt": "1921-03-12T04:03:00Z"}),
        push(1, delta=DELTA | {"low": "60000"}),
        packed(b"no json"),
        packed(b"[" * 1_000_000),
        packed(b" " * 1_000_000 + message(1)),
        {"H": "C3", "M": "candle", "A": []},
        {"H": "C3", "M": "candle", "A": [7]},
        {"H": "C3", "M": "candle", "A": ["%%%"]},
        {"H": "C3", "M": "candle", "A": [base64.b64encode(zlib.compress(b"{}")).decode()]},
        {"H": "C3", "M": "candle", "A": [push(1)["A"][0][:40]]},
    ],
)
def test_a_payload_that_is_no_candle_of_ours_is_malformed(bad: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        EXCHANGE.session([BTC]).receive(frame(bad))


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (429, "THROTTLED", Retryable),
        (400, "THROTTLED", Retryable),
        (404, "MARKET_DOES_NOT_EXIST", Rejected),
        (400, "MARKET_NAME_REVERSED", Rejected),
        (400, "INVALID_DATE", Rejected),
        (400, "STARTDATE_OUT_OF_RANGE", Retryable),
        (503, "TEMPORARILY_UNAVAILABLE", Retryable),
    ],
)
def test_refusals_by_their_code(status: int, code: str, kind: type[Exception]) -> None:
    assert type(EXCHANGE.refusal(status, {}, json.dumps({"code": code}).encode())) is kind


def test_it_says_that_it_is_closed_and_the_others_are_not() -> None:
    closed = {name: registry.get(name).closed for name in registry.names()}
    assert closed.pop("bittrex").startswith("Bittrex closed on 4 December 2023; ")
    assert set(closed.values()) == {""}
