"""What holds for every adapter, whichever exchange it speaks with."""

import json
import math
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import Blocked, Malformed, Rejected, Retryable
from common.market import Source
from common.ports import Exchange, Session
from common.span import DAY_MS, MINUTE_MS, Span, union
from tests.conformance.kit import NEAR, NOW_MS, empty_page, every_exchange, frames, markets, opened, page_body

minutes = st.integers(min_value=0, max_value=30_000)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=7) | st.dictionaries(st.text(max_size=8), inner, max_size=5),
    max_leaves=20,
)


def subscribed(exchange: Exchange) -> Session:
    """A session in the middle of its work: every golden frame but the last, which may end a subscription."""
    session = opened(exchange, markets(exchange))
    for frame in frames(exchange)[:-1]:
        try:
            session.receive(frame)
        except Malformed:
            continue
    return session


@every_exchange
@given(start=minutes, length=st.integers(min_value=1, max_value=25_000), age=st.integers(0, 3 * DAY_MS))
@settings(max_examples=60, deadline=None)
def test_pages_tile_any_wanted_span_and_never_overlap(
    exchange: Exchange, start: int, length: int, age: int
) -> None:
    start_ms = NOW_MS - start * MINUTE_MS
    wanted = Span(start_ms, start_ms + length * MINUTE_MS)
    now_ms, market = wanted.end_ms + age, markets(exchange)[0]
    left, spans = wanted, list[Span]()
    while not left.is_empty():
        page = exchange.page(market, left, now_ms)
        assert left.start_ms <= page.span.start_ms < page.span.end_ms == left.end_ms
        assert (page.span.start_ms % MINUTE_MS, page.request.weight > 0) == (0, True)
        assert page.span.minutes() <= exchange.limits.page_minutes
        spans.append(page.span)
        left = Span(left.start_ms, page.span.start_ms)
    assert union(spans) == [wanted]
    assert sum(span.minutes() for span in spans) == length
    assert len(spans) <= length // exchange.limits.page_minutes + 2


@every_exchange
def test_a_page_request_is_the_same_whenever_it_is_asked_again(exchange: Exchange) -> None:
    wanted = Span(NOW_MS - 9 * DAY_MS, NOW_MS - 2 * DAY_MS)
    market = markets(exchange)[0]
    assert exchange.page(market, wanted, NOW_MS) == exchange.page(market, wanted, NOW_MS + DAY_MS)


@every_exchange
def test_every_instrument_belongs_to_its_exchange_and_is_listed_once(exchange: Exchange) -> None:
    listed = markets(exchange)
    assert {one.exchange for one in listed} == {exchange.name}
    assert len({one.key for one in listed}) == len({one.native for one in listed}) == len(listed)
    assert all(one.base == one.base.upper() and one.quote == one.quote.upper() for one in listed)
    assert all(one.native_base and one.native_quote for one in listed)


@every_exchange
def test_an_empty_page_is_no_candle_and_no_error(exchange: Exchange) -> None:
    assert exchange.parse_candles(empty_page(exchange), markets(exchange)[0], NEAR) == []


@every_exchange
def test_every_message_to_send_is_sent_once(exchange: Exchange) -> None:
    session = opened(exchange, markets(exchange))
    first = session.to_send()
    assert first and all(isinstance(json.loads(message), dict) for message in first)
    assert session.to_send() == []


@every_exchange
def test_a_session_takes_and_leaves_markets_while_it_lives(exchange: Exchange) -> None:
    first, *more = markets(exchange)
    session, whole = opened(exchange, [first]), opened(exchange, [first, *more])
    session.to_send()
    session.add([first])
    assert session.to_send() == [], "what is subscribed is not asked for again"
    session.add(more)
    assert (session.to_send() != []) == (more != [])
    for frame in frames(exchange):
        told = [_receive(one, frame) for one in (session, whole)]
        assert told[0] == told[1]
    for _ in range(2):
        session.drop([first, *more])
    left = session.to_send()
    assert (len(set(left)), session.to_send()) == (len(left), [])


@every_exchange
def test_what_still_comes_of_a_market_that_was_left_is_passed_over(exchange: Exchange) -> None:
    session = subscribed(exchange)
    session.drop(markets(exchange))
    lines = frames(exchange)
    told = [_receive(session, frame) for frame in lines]
    assert [one for one in told if isinstance(one, list)] == [[]] * sum(isinstance(one, list) for one in told)


def _receive(session: Session, frame: str) -> Any:
    try:
        return session.receive(frame)
    except (Malformed, Retryable) as error:
        return type(error)


@every_exchange
def test_w23_sessions_of_one_exchange_share_nothing(exchange: Exchange) -> None:
    subscribed(exchange)
    fresh = opened(exchange, markets(exchange))
    assert fresh.to_send() == opened(exchange, markets(exchange)).to_send()
    assert (fresh.notices(), fresh.answered()) == ([], [])


def hostile(receive: Any, data: str | bytes) -> None:
    """Feed `data`; whatever it is, the only errors are those that the runner knows to survive."""
    try:
        receive(data)
    except (Malformed, Retryable):
        return


@every_exchange
@given(data=st.binary(max_size=200) | st.text(max_size=100))
@settings(max_examples=150, deadline=None)
def test_random_text_never_ends_a_stream_or_a_page(exchange: Exchange, data: str | bytes) -> None:
    raw = data if isinstance(data, bytes) else data.encode("utf-8", "surrogatepass")
    hostile(opened(exchange, markets(exchange)).receive, data)
    hostile(exchange.parse_instruments, raw)
    hostile(lambda body: exchange.parse_candles(body, markets(exchange)[0], NEAR), raw)
    exchange.refusal(500, {}, raw)
    hostile(lambda answer: exchange.session([]).url("wss://host/path", answer), raw)


@every_exchange
@given(value=anything)
@settings(max_examples=150, deadline=None)
def test_random_json_never_ends_a_stream_or_a_page(exchange: Exchange, value: Any) -> None:
    text = json.dumps(value)
    hostile(opened(exchange, markets(exchange)).receive, text)
    hostile(exchange.parse_instruments, text.encode())
    hostile(lambda body: exchange.parse_candles(body, markets(exchange)[0], NEAR), text.encode())
    for status in (200, 400, 500):
        exchange.refusal(status, {"retry-after": text}, text.encode())


@every_exchange
@given(seed=st.integers(0, 2**32), junk=anything)
@settings(max_examples=150, deadline=None)
def test_damaged_real_frames_never_end_a_stream(exchange: Exchange, seed: int, junk: Any) -> None:
    """Cut off, with a byte flipped, or with one value replaced by any other."""
    dice = random.Random(seed)
    frame = dice.choice(frames(exchange))
    session = subscribed(exchange)
    flipped = bytearray(frame.encode())
    flipped[dice.randrange(len(flipped))] = dice.randrange(256)
    for damaged in (frame[: dice.randrange(len(frame))], bytes(flipped), json.dumps(replaced(frame, dice, junk))):
        hostile(session.receive, damaged)


def replaced(frame: str, dice: random.Random, junk: Any) -> Any:
    """The JSON of `frame` with one value somewhere in it exchanged for `junk`."""
    root: Any = [json.loads(frame)]
    holder, key = root, 0
    while isinstance(holder[key], (dict, list)) and holder[key] and dice.random() < 0.8:
        holder = holder[key]
        key = dice.choice(list(holder)) if isinstance(holder, dict) else dice.randrange(len(holder))
    holder[key] = junk
    return root[0]


@every_exchange
def test_json_nested_past_any_reason_is_malformed(exchange: Exchange) -> None:
    for text in ("[" * 100_000, '{"a":' * 100_000, "[1," + "[" * 100_000, "[" * 5000 + "]" * 5000):
        with pytest.raises(Malformed):
            opened(exchange, []).receive(text)
        with pytest.raises(Malformed):
            exchange.parse_candles(text.encode(), markets(exchange)[0], NEAR)


@every_exchange
@given(digits=st.integers(1, 10**25), exponent=st.integers(0, 18), volume=st.integers(0, 10**22))
@settings(max_examples=100, deadline=None)
def test_w2_prices_and_volumes_are_the_floats_nearest_to_the_decimal_text(
    exchange: Exchange, digits: int, exponent: int, volume: int
) -> None:
    price = f"{digits // 10**exponent}.{digits % 10**exponent:0{exponent}d}" if exponent else str(digits)
    amount = f"{volume // 10**8}.{volume % 10**8:08d}"
    body = page_body(exchange, [price, price, price, price, amount])
    (one,) = exchange.parse_candles(body, markets(exchange)[0], NEAR)
    assert one[1:7] == (NOW_MS, *(float(price),) * 4, float(amount))


@every_exchange
def test_w2_a_price_of_eight_decimals_survives(exchange: Exchange) -> None:
    body = page_body(exchange, ["0.00001234", "0.00001235", "0.00000008", "0.00001234", "1"])
    (one,) = exchange.parse_candles(body, markets(exchange)[0], NEAR)
    assert one[2:7] == (0.00001234, 0.00001235, 0.00000008, 0.00001234, 1.0)
    assert one.source is Source.RECORD


IMPOSSIBLE = {
    "open above high": ["3", "2", "1", "1.5", "1"],
    "close below low": ["1.5", "2", "1", "0.5", "1"],
    "high below low": ["1.5", "1", "2", "1.5", "1"],
    "zero price": ["0", "2", "0", "1", "1"],
    "negative price": ["-1", "2", "-1", "1", "1"],
    "negative volume": ["1", "2", "1", "1", "-1"],
    "no number": ["NaN", "NaN", "NaN", "NaN", "1"],
    "infinite": ["1", "Infinity", "1", "1", "1"],
    "too large": ["1", "1e999", "1", "1", "1"],
    "a word": ["1", "2", "1", "one", "1"],
    "nothing": ["1", "2", "1", "", "1"],
}


@every_exchange
@pytest.mark.parametrize("values", IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_an_impossible_candle_is_malformed(exchange: Exchange, values: list[str]) -> None:
    with pytest.raises(Malformed):
        exchange.parse_candles(page_body(exchange, values), markets(exchange)[0], NEAR)


@every_exchange
def test_rows_outside_the_page_are_left_out(exchange: Exchange) -> None:
    body, market = page_body(exchange, ["1", "2", "1", "2", "1"]), markets(exchange)[0]
    around = [Span(NOW_MS + MINUTE_MS, NEAR.end_ms), Span(NOW_MS, NOW_MS + MINUTE_MS), Span(NEAR.start_ms, NOW_MS)]
    assert [len(exchange.parse_candles(body, market, span)) for span in around] == [0, 1, 0]


@every_exchange
def test_w22_a_geo_block_is_one_sentence_and_final(exchange: Exchange) -> None:
    for status in (403, 451):
        refusal = exchange.refusal(status, {}, b"<html>Service unavailable from a restricted location</html>")
        assert isinstance(refusal, Blocked)
        name = {"okx": "OKX", "kucoin": "KuCoin"}.get(exchange.name, exchange.name.capitalize())
        assert str(refusal) == (
            f"{name} refuses this network or country (HTTP {status}): ask it from elsewhere,"
            " through HTTPS_PROXY or from another host, or leave it out of EXCHANGES and choose another."
        )
        assert refusal.status == status


@every_exchange
def test_w22_a_server_error_is_retried_and_never_parsed_as_a_result(exchange: Exchange) -> None:
    for status in (408, 500, 502, 503, 504, 520):
        refusal = exchange.refusal(status, {}, b"upstream")
        assert isinstance(refusal, Retryable)
        assert refusal.status == status


@every_exchange
def test_w19_a_429_waits_as_long_as_the_exchange_says_and_a_minute_when_it_does_not(exchange: Exchange) -> None:
    waits = [
        exchange.refusal(429, headers, b"") for headers in ({"retry-after": "37"}, {}, {"retry-after": "soon"})
    ]
    assert [type(one) for one in waits] == [Retryable] * 3
    assert [one.retry_after_s for one in waits if isinstance(one, Retryable)] == [37, 60, 60]


@every_exchange
def test_a_good_answer_is_no_refusal(exchange: Exchange) -> None:
    assert exchange.refusal(200, {}, page_body(exchange, ["1", "2", "1", "2", "1"])) is None
    assert exchange.refusal(200, {}, empty_page(exchange)) is None


@every_exchange
def test_a_request_that_makes_no_sense_is_rejected(exchange: Exchange) -> None:
    assert isinstance(exchange.refusal(404, {}, b""), Rejected)


@every_exchange
def test_limits_are_positive_and_a_whole_socket_can_be_subscribed(exchange: Exchange) -> None:
    limits = exchange.limits
    numbers = [limits.weight_per_minute, limits.page_minutes, limits.subscriptions_per_socket]
    numbers += [limits.connections_per_minute, limits.silence_s, limits.settle_s]
    assert all(0 < number < math.inf for number in (*numbers, limits.messages_per_second))
    market = markets(exchange)[0]
    session = opened(exchange, [market] * limits.subscriptions_per_socket)
    assert len(session.to_send()) / limits.messages_per_second < limits.silence_s
