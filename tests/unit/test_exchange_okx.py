"""OKX: exclusive bounds, two endpoints for candles, a ping that is no JSON, errors with HTTP 200."""

import json
from typing import Any

import pytest

from common.errors import Blocked, Ending, Malformed, Rejected, Retryable
from common.market import Candle, Instrument, Source
from common.ports import Page, Request, Subscription
from common.span import DAY_MS, MINUTE_MS, Span
from fetchers import registry

EXCHANGE = registry.get("okx")
BTC = Instrument("okx", "BTC", "USDT", "BTC-USDT", "BTC", "USDT")
ETH = Instrument("okx", "ETH", "USDT", "ETH-USDT", "ETH", "USDT")
MINUTE = 1_747_093_980_000
ROW = [str(MINUTE), "102806", "102820.5", "102783.1", "102806.1", "71.64", "7364701.57", "7364701.57952", "1"]
#: What the exchange says to a channel that it does not know there.
UNKNOWN = (
    "Subscribe failed, wrong URL or channel:candle1m,instId:{name} doesn't exist."
    " Please use the correct URL, channel and parameters referring to API document."
)


def push(*rows: object, name: str = "BTC-USDT", channel: str = "candle1m") -> str:
    return json.dumps({"arg": {"channel": channel, "instId": name}, "data": rows})


def candle(source: Source) -> Candle:
    return Candle(BTC, MINUTE, 102806.0, 102820.5, 102783.1, 102806.1, 71.64, 7364701.57952, None, source)


def row(confirm: str = "1", open_ms: object = MINUTE, **changes: str) -> list[str]:
    fields = ("open", "high", "low", "close", "volume")
    values = [changes.get(name, text) for name, text in zip(fields, ROW[1:6], strict=True)]
    return [str(open_ms), *values, *ROW[6:8], confirm]


def event(name: str, **fields: object) -> str:
    return json.dumps({"event": name, **fields, "connId": "a4d3ae55"})


def subscribed(name: str) -> str:
    return event("subscribe", arg={"channel": "candle1m", "instId": name})


def refused(name: str) -> str:
    return event("error", msg=UNKNOWN.format(name=name), code="60018")


def args(messages: list[str]) -> list[tuple[str, list[str]]]:
    decoded = [json.loads(one) for one in messages]
    assert {arg["channel"] for one in decoded for arg in one["args"]} <= {"candle1m"}
    return [(one["op"], [arg["instId"] for arg in one["args"]]) for one in decoded]


def test_the_closing_message_is_told_apart_from_a_running_minute() -> None:
    assert EXCHANGE.session([BTC]).receive(push(row("0"))) == [candle(Source.RUNNING)]
    assert EXCHANGE.session([BTC]).receive(push(row("1"))) == [candle(Source.CLOSING_MESSAGE)]


def test_two_minutes_in_one_message_are_both_told_the_older_first() -> None:
    session, next_ms = EXCHANGE.session([BTC]), MINUTE + MINUTE_MS
    told = [session.receive(push(*rows)) for rows in ([row(), row("0", next_ms)], [row("0", next_ms), row()])]
    running = candle(Source.RUNNING)._replace(open_ms=next_ms)
    assert told == [[candle(Source.CLOSING_MESSAGE), running]] * 2


@pytest.mark.parametrize("frame", ["pong", b"pong"])
def test_a_pong_is_no_candle_and_no_malformed_frame(frame: str | bytes) -> None:
    session = EXCHANGE.session([BTC])
    assert (session.receive(frame), session.answered(), session.notices()) == ([], [], [])
    assert (EXCHANGE.limits.ping_s, EXCHANGE.limits.ping) == (20, "ping")


@pytest.mark.parametrize(
    "frame",
    [
        push(row("0"), name="ETH-USDT"),
        push(row("0"), channel="candle5m"),
        push(row("0", MINUTE + 15_000)),
        push(row("0", MINUTE * 1000)),
        push(row("0", high="102800")),
        push(row("0", volume="-1")),
        push(row("2")),
        push(ROW[:8]),
        push("row"),
        event("dance"),
        "{}",
        "[]",
        "ping",
    ],
)
def test_a_frame_that_cannot_be_one_of_ours_is_malformed(frame: str) -> None:
    with pytest.raises(Malformed):
        EXCHANGE.session([BTC]).receive(frame)


def test_markets_are_subscribed_a_hundred_a_message() -> None:
    markets = [Instrument("okx", f"C{n}", "USDT", f"C{n}-USDT") for n in range(230)]
    session = EXCHANGE.session([*markets, markets[0]])
    messages = args(session.to_send())
    assert [(op, len(names)) for op, names in messages] == [
        ("subscribe", 100),
        ("subscribe", 100),
        ("subscribe", 30),
    ]
    assert [name for _, names in messages for name in names] == [one.native for one in markets]
    session.drop(markets[:2])
    assert args(session.to_send()) == [("unsubscribe", ["C0-USDT", "C1-USDT"])]


def test_each_market_is_confirmed_or_refused_by_itself() -> None:
    session = EXCHANGE.session([BTC, ETH])
    assert session.receive(refused("ETH-USDT")) == session.receive(subscribed("BTC-USDT")) == []
    words = f"{UNKNOWN.format(name='ETH-USDT')} (60018)"
    assert session.answered() == [Subscription(ETH, words), Subscription(BTC)]
    assert (session.answered(), session.notices()) == ([], [])
    session.to_send()
    session.add([BTC, ETH])
    assert args(session.to_send()) == [("subscribe", ["ETH-USDT"])], "who was refused may be asked for again"


def test_an_error_that_names_no_market_of_ours_is_a_notice_and_the_stream_goes_on() -> None:
    session = EXCHANGE.session([BTC])
    assert session.receive(event("error", code="60012", msg="Invalid request: {}")) == []
    assert session.receive(refused("NOPE-USDT")) == []
    assert session.receive(event("notice", code="64000", msg="Something else")) == []
    assert (session.answered(), session.notices()) == (
        [],
        [
            "OKX refused a request: Invalid request: {} (60012)",
            f"OKX refused a request: {UNKNOWN.format(name='NOPE-USDT')} (60018)",
            "OKX says: Something else (64000)",
        ],
    )
    assert session.receive(push(row("0"))) == [candle(Source.RUNNING)]


def test_an_announced_end_of_the_connection_asks_for_the_next_one_while_it_works() -> None:
    words = "The connection will soon be closed for a service upgrade. Please reconnect."
    with pytest.raises(Ending) as raised:
        EXCHANGE.session([BTC]).receive(event("notice", code="64008", msg=words))
    assert str(raised.value) == f"OKX announces the end of this connection: {words} (64008)"


def test_what_still_comes_of_a_market_that_was_left_is_no_candle_and_no_complaint() -> None:
    session = EXCHANGE.session([BTC])
    session.drop([BTC])
    assert session.receive(push(row())) == session.receive(subscribed("BTC-USDT")) == []
    assert (session.answered(), session.notices()) == ([], [])
    session.add([BTC])
    assert session.receive(push(row())) == [candle(Source.CLOSING_MESSAGE)]


def test_the_address_is_the_configured_one() -> None:
    session = EXCHANGE.session([BTC])
    assert session.handshake() is None
    assert session.url("ws://127.0.0.1:9900/okx/ws/v5/business", None) == "ws://127.0.0.1:9900/okx/ws/v5/business"


def test_a_page_is_a_hundred_minutes_between_bounds_that_exclude_themselves() -> None:
    end = MINUTE + MINUTE_MS
    start = end - 100 * MINUTE_MS
    query = {"instId": "BTC-USDT", "bar": "1m", "after": end, "before": start - 1, "limit": 100}
    old = Page(Request("/api/v5/market/history-candles", query, 2), Span(start, end))
    new = Page(Request("/api/v5/market/candles", query, 1), Span(start, end))
    assert EXCHANGE.page(BTC, Span(0, end), end) == new
    assert EXCHANGE.page(BTC, Span(0, end), end + DAY_MS) == old
    assert EXCHANGE.oldest(BTC) is None


def test_what_is_asked_as_recent_is_still_among_the_newest_1440_minutes_an_hour_later() -> None:
    wanted = Span(MINUTE - 100 * MINUTE_MS, MINUTE)
    ages = range(0, 2 * DAY_MS, MINUTE_MS)
    recent = [age for age in ages if "history" not in EXCHANGE.page(BTC, wanted, MINUTE + age).request.path]
    assert recent == [age for age in ages if age + 100 * MINUTE_MS < 1380 * MINUTE_MS]


def test_a_page_newest_first_becomes_ascending_candles_without_the_running_minute() -> None:
    rows = [row("0", MINUTE + 2 * MINUTE_MS), row("1", MINUTE + MINUTE_MS), row()]
    body = json.dumps({"code": "0", "msg": "", "data": rows}).encode()
    second = candle(Source.RECORD)._replace(open_ms=MINUTE + MINUTE_MS)
    assert EXCHANGE.parse_candles(body, BTC, Span(0, MINUTE + DAY_MS)) == [candle(Source.RECORD), second]


def test_a_market_that_cannot_be_read_skips_itself_only() -> None:
    good = {"instId": "BTC-USDT", "baseCcy": "BTC", "quoteCcy": "USDT", "state": "live"}
    halted = {**good, "instId": "ETH-USDT", "baseCcy": "ETH", "state": "suspend", "tickSz": "0.01"}
    body = {"code": "0", "msg": "", "data": [good, {"instId": "X"}, None, halted]}
    listing = EXCHANGE.parse_instruments(json.dumps(body).encode())
    assert [(one.symbol, one.is_trading, one.tick_size) for one in listing.instruments] == [
        ("BTC/USDT", True, None),
        ("ETH/USDT", False, 0.01),
    ]
    assert [sentence.partition(" (")[0] for sentence in listing.skipped] == [
        "okx lists a market that cannot be read"
    ] * 2


def refusal(status: int, code: str, words: str) -> Any:
    return EXCHANGE.refusal(status, {}, json.dumps({"code": code, "msg": words, "data": []}).encode())


@pytest.mark.parametrize("status", [200, 429])
def test_a_rate_limit_quiets_everybody_for_its_window_whatever_its_status(status: int) -> None:
    limited = refusal(status, "50011", "Too Many Requests")
    assert isinstance(limited, Retryable)
    assert (limited.retry_after_s, limited.status) == (2, 429)
    assert str(limited) == "OKX answered 429: Too Many Requests (50011)"


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (200, "51001", "Instrument ID, Instrument ID code, or Spread ID doesn't exist."),
        (400, "51000", "Parameter bar error"),
        (400, "50014", "Parameter instId cannot be empty."),
    ],
)
def test_a_wrong_question_is_refused_for_good(status: int, code: str, words: str) -> None:
    wrong = refusal(status, code, words)
    assert (type(wrong), str(wrong), wrong.status) == (
        Rejected, f"OKX refuses the request: {words} ({code})", status
    )  # fmt: skip


def test_every_other_error_is_tried_again() -> None:
    told = [refusal(200, "50026", "System error"), refusal(503, "50001", "Service temporarily unavailable")]
    assert [(type(one), str(one)) for one in told] == [
        (Retryable, "OKX answered System error (50026)"),
        (Retryable, "OKX answered 503: Service temporarily unavailable (50001)"),
    ]
    assert isinstance(EXCHANGE.refusal(403, {}, b"<html>"), Blocked)
