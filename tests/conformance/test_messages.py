"""What an adapter says and hears, held to what its exchange really sends."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest

from common.errors import Ending, Malformed, Retryable
from common.market import Candle, Instrument, Source
from common.ports import Exchange, Request, Session
from common.span import MINUTE_MS, Span
from tests.conformance.kit import (
    NEAR,
    NOW_MS,
    empty_page,
    every_exchange,
    frames,
    golden,
    markets,
    opened,
    page_body,
)

VALUES = ["1.5", "2", "1", "1.25", "3"]


def lines(candles: Iterable[Candle]) -> list[str]:
    return [
        f"{one.instrument.native} {datetime.fromtimestamp(one.open_ms / 1000, UTC):%Y-%m-%dT%H:%MZ} "
        f"{' '.join(map(repr, one[2:9]))} {one.source.name}"
        for one in candles
    ]


def listed(exchange: Exchange) -> list[Instrument]:
    extra = [Instrument("binance", "OMG", "BUSD", "OMGBUSD", "OMG", "BUSD")] if exchange.name == "binance" else []
    return [*markets(exchange), *extra]


def heard(session: Session, all_frames: Iterable[str | bytes]) -> list[list[Candle]]:
    """What each frame tells; nothing where it cannot be read, or ends the connection."""
    told = []
    for frame in all_frames:
        try:
            told.append(session.receive(frame))
        except (Malformed, Retryable):
            told.append([])
    return told


@every_exchange
def test_recorded_frames_tell_exactly_the_expected_candles(exchange: Exchange) -> None:
    session = opened(exchange, listed(exchange))
    told = [
        f"{number} {line}"
        for number, frame in enumerate(frames(exchange), 1)
        for line in lines(session.receive(frame))
    ]
    assert told == golden(exchange, "expected.txt").decode().splitlines()


@every_exchange
def test_text_and_bytes_tell_the_same(exchange: Exchange) -> None:
    text = heard(opened(exchange, listed(exchange)), frames(exchange))
    assert heard(opened(exchange, listed(exchange)), [one.encode() for one in frames(exchange)]) == text


@every_exchange
def test_candles_of_a_socket_are_of_its_markets_on_whole_minutes_and_never_records(exchange: Exchange) -> None:
    candles = [one for told in heard(opened(exchange, listed(exchange)), frames(exchange)) for one in told]
    assert candles
    assert {one.instrument.key for one in candles} <= {one.key for one in listed(exchange)}
    assert {one.open_ms % MINUTE_MS for one in candles} == {0}
    assert {one.source for one in candles} <= {Source.RUNNING, Source.CLOSING_MESSAGE}
    assert all(one.low <= min(one.open, one.close) <= max(one.open, one.close) <= one.high for one in candles)


@every_exchange
def test_candles_of_one_frame_come_oldest_first(exchange: Exchange) -> None:
    for told in heard(opened(exchange, listed(exchange)), frames(exchange)):
        for market in {one.instrument.key for one in told}:
            times = [one.open_ms for one in told if one.instrument.key == market]
            assert times == sorted(times)


@every_exchange
def test_only_what_was_asked_for_is_confirmed_or_refused_and_each_once(exchange: Exchange) -> None:
    session = opened(exchange, listed(exchange))
    heard(session, frames(exchange))
    answered = session.answered()
    assert {one.instrument.key for one in answered} <= {one.key for one in listed(exchange)}
    assert session.answered() == []


@every_exchange
def test_a_session_without_a_market_hears_without_harm(exchange: Exchange) -> None:
    session = opened(exchange, [])
    assert [one for told in heard(session, frames(exchange)) for one in told] == []


@every_exchange
def test_messages_are_small_enough_for_any_server(exchange: Exchange) -> None:
    market = markets(exchange)[0]
    size = exchange.limits.subscriptions_per_socket
    many = [
        Instrument(
            exchange.name, f"C{number}", market.quote, f"{market.native}{number}", f"C{number}", market.quote
        )
        for number in range(size)
    ]
    messages = opened(exchange, many).to_send()
    assert messages and max(map(len, messages)) < 16_384
    assert all(json.loads(one) for one in messages)


@every_exchange
def test_the_address_of_the_socket_is_one_and_its_host_is_ours_to_choose(exchange: Exchange) -> None:
    session = exchange.session(markets(exchange))
    asked = session.handshake()
    assert asked is None or isinstance(asked, Request)
    if asked is None:
        made = urlsplit(session.url("ws://127.0.0.1:9/prefix", None))
        assert (made.scheme, made.netloc, made.path.startswith("/prefix")) == ("ws", "127.0.0.1:9", True)
    else:
        with pytest.raises(Retryable):
            session.url("ws://127.0.0.1:9/prefix", b"no answer at all")


@every_exchange
def test_an_end_that_is_announced_is_no_malformed_frame(exchange: Exchange) -> None:
    session = opened(exchange, listed(exchange))
    for frame in frames(exchange):
        try:
            session.receive(frame)
        except Malformed as error:
            raise AssertionError(f"a recorded frame is not understood: {frame}") from error
        except (Ending, Retryable):
            continue


@every_exchange
def test_of_two_rows_of_one_minute_the_later_one_counts(exchange: Exchange) -> None:
    """And rows come ascending, whichever order the exchange sends."""
    one, two = (json.loads(page_body(exchange, [*VALUES[:4], volume])) for volume in ("3", "4"))
    body, market = json.dumps(_joined(one, two)).encode(), markets(exchange)[0]
    (told,) = exchange.parse_candles(body, market, NEAR)
    assert told.volume in (3.0, 4.0)
    other = json.loads(page_body(exchange, VALUES, NOW_MS - MINUTE_MS))
    for pair in ((one, other), (other, one)):
        rows = exchange.parse_candles(json.dumps(_joined(*pair)).encode(), market, NEAR)
        assert [row.open_ms for row in rows] == [NOW_MS - MINUTE_MS, NOW_MS]


def _joined(one: object, other: object) -> object:
    """Two pages of one candle as a page of two."""
    if isinstance(one, list) and isinstance(other, list):
        return [*one, *other]
    assert isinstance(one, dict) and isinstance(other, dict)
    places = [key for key, value in one.items() if _holds_rows(value)]
    assert len(places) == 1, one
    return {**one, places[0]: _joined(one[places[0]], other[places[0]])}


def _holds_rows(value: object) -> bool:
    if isinstance(value, list):
        return any(isinstance(row, list) for row in value)
    return isinstance(value, dict) and any(map(_holds_rows, value.values()))


@every_exchange
def test_a_page_tells_records_of_its_market_alone(exchange: Exchange) -> None:
    market = markets(exchange)[-1]
    (told,) = exchange.parse_candles(page_body(exchange, VALUES), market, NEAR)
    assert (told.instrument, told.source, told[1:7]) == (market, Source.RECORD, (NOW_MS, 1.5, 2.0, 1.0, 1.25, 3.0))


@every_exchange
def test_a_row_off_the_minute_is_no_candle(exchange: Exchange) -> None:
    body = page_body(exchange, VALUES, NOW_MS + 7_000)
    assert exchange.parse_candles(body, markets(exchange)[0], NEAR) == []


@every_exchange
def test_an_answer_says_nothing_of_used_weight_where_it_has_no_header_of_it(exchange: Exchange) -> None:
    assert exchange.used_weight({}) is None
    assert exchange.used_weight({"x-mbx-used-weight-1m": "many", "server": "x"}) is None


@every_exchange
def test_the_request_for_the_first_candle_is_the_same_each_time_or_there_is_none(exchange: Exchange) -> None:
    market = markets(exchange)[0]
    assert exchange.oldest(market) == exchange.oldest(market)


@every_exchange
def test_a_listing_that_is_none_is_malformed_and_not_an_empty_exchange(exchange: Exchange) -> None:
    for body in (b"", b"null", b"<html></html>", b'"words"', b"7"):
        with pytest.raises(Malformed):
            exchange.parse_instruments(body)


@every_exchange
def test_a_page_that_is_none_is_malformed_and_not_an_empty_one(exchange: Exchange) -> None:
    for body in (b"", b"null", b"<html></html>", b'"words"', b"7"):
        with pytest.raises(Malformed):
            exchange.parse_candles(body, markets(exchange)[0], NEAR)


@every_exchange
def test_an_empty_page_is_an_answer_for_all_its_minutes(exchange: Exchange) -> None:
    span = Span(NOW_MS - 2 * MINUTE_MS, NOW_MS)
    assert exchange.parse_candles(empty_page(exchange), markets(exchange)[0], span) == []
