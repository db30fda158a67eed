"""The adapter over ccxt: what it asks, what it believes of an answer, and how it says what cannot be had."""

import gzip
import json
from collections.abc import Sequence
from urllib.parse import urlsplit

import pytest

from common.errors import BadInput, Blocked, Malformed, Rejected, Retryable
from common.market import Candle, Instrument
from common.ports import Request
from common.span import DAY_MS, MINUTE_MS, Span, floor_minute
from fetchers import registry
from fetchers.by_ccxt.adapter import CcxtExchange

NOW_MS = floor_minute(1_790_000_000_000)
OLD = Span(NOW_MS - 40 * DAY_MS, NOW_MS - 30 * DAY_MS)


def market(exchange: str, native: str = "BTC-USDT", quote: str = "USDT") -> Instrument:
    return Instrument(exchange, "BTC", quote, native, "BTC", quote)


BTC = market("kucoin")


def kucoin_page(times: Sequence[int]) -> bytes:
    rows = [[str(at // 1000), "1.5", "1.25", "2", "1", "3", "4"] for at in reversed(times)]
    return json.dumps({"code": "200000", "data": rows}).encode()


def dense(span: Span, count: int) -> list[int]:
    return [span.start_ms + number * MINUTE_MS for number in range(count)]


@pytest.fixture(scope="module")
def usable() -> list[CcxtExchange]:
    """All that ccxt reads minutes of spot markets from."""
    found = []
    for name in set(registry.known()) - set(registry.names()):
        try:
            exchange = CcxtExchange(name)
            assert exchange.limits
        except BadInput as error:
            assert error.sentence.count(".") <= 2 and error.sentence.endswith("here."), error.sentence
        else:
            found.append(exchange)
    return found


def test_every_exchange_that_ccxt_knows_is_asked_or_says_in_one_sentence_why_not(
    usable: list[CcxtExchange],
) -> None:
    assert len(usable) > 55
    assert {"bitget", "bitvavo", "cryptocom", "gate", "htx", "kucoin", "mexc", "upbit", "whitebit"} <= {
        one.name for one in usable
    }


def test_pages_of_every_exchange_lie_within_what_is_wanted_and_are_the_same_when_asked_for_later(
    usable: list[CcxtExchange],
) -> None:
    for exchange in usable:
        native = "1" if exchange.name in ("nado", "lighter") else "BTC-USDT"
        page = exchange.page(market(exchange.name, native), OLD, NOW_MS)
        again = exchange.page(market(exchange.name, native), OLD, NOW_MS + DAY_MS + 12_345)
        assert page == again, exchange.name
        assert OLD.start_ms <= page.span.start_ms < page.span.end_ms == OLD.end_ms
        assert 1 <= page.request.weight <= exchange.limits.weight_per_minute


def test_a_page_asks_for_a_minute_more_on_either_side() -> None:
    """KuCoin documents `startAt` and `endAt` in seconds, and at most 1,500 rows."""
    page = CcxtExchange("kucoin").page(BTC, OLD, NOW_MS)
    first_s = (OLD.end_ms - 1498 * MINUTE_MS) // 1000
    assert page.span == Span(first_s * 1000, OLD.end_ms)
    params = {"symbol": "BTC-USDT", "type": "1min", "startAt": str(first_s - 60), "endAt": str(first_s + 89_940)}
    assert page.request == Request("/api/v1/market/candles", params, weight=3)


def test_pages_are_no_longer_than_what_ccxt_asks_for_in_truth() -> None:
    """Its classes cut what they are asked for to what the exchange serves, and say nothing of it."""
    minutes = {name: CcxtExchange(name).limits.page_minutes for name in ("bullish", "mexc", "btcmarkets")}
    assert minutes == {"bullish": 98, "mexc": 499, "btcmarkets": 198}


def test_an_exchange_that_serves_files_of_a_day_is_asked_for_one_day_at_a_time() -> None:
    exchange, midnight_ms = CcxtExchange("bitbank"), NOW_MS // DAY_MS * DAY_MS
    wanted = Span(midnight_ms - DAY_MS, midnight_ms + 60 * MINUTE_MS)
    page = exchange.page(market("bitbank", "btc_usdt"), wanted, NOW_MS)
    assert page.span == Span(midnight_ms, wanted.end_ms)
    assert page.request.path == "/btc_usdt/candlestick/1min/20260921"


def test_what_another_host_answers_is_asked_by_its_whole_address() -> None:
    exchange = CcxtExchange("bitbank")
    assert (exchange.rest_url, exchange.instruments_request().path) == (
        "https://public.bitbank.cc",
        "https://api.bitbank.cc/spot/pairs",
    )


def test_an_exchange_that_wants_post_gets_the_json_in_its_body() -> None:
    request = CcxtExchange("hyperliquid").page(market("hyperliquid", "@1"), OLD, NOW_MS).request
    assert request.path == "/info" and json.loads(request.body or "")["type"] == "candleSnapshot"


def test_an_exchange_that_serves_its_newest_minutes_alone_says_so_before_and_after() -> None:
    exchange, coin = CcxtExchange("bithumb"), market("bithumb", "KRW-BTC", "KRW")
    assert exchange.limits.reach_minutes == 200
    row = {"candle_date_time_utc": "2026-09-21T13:00:00", "timestamp": 1, "candle_acc_trade_volume": 1}
    prices = {"opening_price": 2, "high_price": 3, "low_price": 1, "trade_price": 2}
    with pytest.raises(
        Rejected, match=r"^Bithumb serves only its newest minutes here, which reach back to 2026-09-2"
    ):
        exchange.parse_candles(
            json.dumps([{**row, **prices}]).encode(), coin, exchange.page(coin, OLD, NOW_MS).span
        )


def test_an_answer_that_is_not_understood_is_no_quiet_page() -> None:
    exchange, span = CcxtExchange("kucoin"), Span(OLD.end_ms - 10 * MINUTE_MS, OLD.end_ms)
    assert exchange.parse_candles(b'{"code":"200000","data":[]}', BTC, span) == []
    for body in (b"{}", b'{"code":"200000"}', b'{"code":"200000","data":{}}', b'{"code":"200000","rows":[[1]]}'):
        with pytest.raises(Malformed):
            exchange.parse_candles(body, BTC, span)


def test_an_answer_of_a_round_number_of_rows_is_asked_for_again_in_pages_of_that_many() -> None:
    exchange = CcxtExchange("kucoin")
    span = exchange.page(BTC, OLD, NOW_MS).span
    with pytest.raises(Malformed, match="cut short: 500 rows of 1498 minutes"):
        exchange.parse_candles(kucoin_page(dense(span, 500)), BTC, span)
    narrow = exchange.page(BTC, span, NOW_MS).span
    assert narrow == Span(span.end_ms - 498 * MINUTE_MS, span.end_ms)
    other = market("kucoin", "ETH-USDT")
    assert exchange.page(Instrument("kucoin", "ETH", "USDT", "ETH-USDT"), OLD, NOW_MS).span == span, other
    assert exchange.parse_candles(kucoin_page(dense(narrow, 77)), BTC, narrow)
    before = Span(OLD.start_ms, OLD.start_ms + 5 * DAY_MS)
    assert exchange.page(BTC, before, NOW_MS).span.minutes() == 1498, "so few rows are a quiet market's"
    full = kucoin_page(dense(narrow, 498))
    assert len(exchange.parse_candles(full, BTC, narrow)) == 498
    assert exchange.page(BTC, before, NOW_MS).span.minutes() == 498, "so many are not"


def test_other_numbers_of_rows_are_those_of_a_quiet_market() -> None:
    exchange = CcxtExchange("kucoin")
    span = exchange.page(BTC, OLD, NOW_MS).span
    times = [span.start_ms + 300 * MINUTE_MS, span.start_ms + 301 * MINUTE_MS]
    told = exchange.parse_candles(kucoin_page(times), BTC, span)
    assert [one.open_ms for one in told] == times


def test_an_answer_of_the_newest_rows_does_not_speak_for_older_minutes() -> None:
    """As Kraken answers, whatever it was asked for."""
    exchange = CcxtExchange("kucoin")
    span = exchange.page(BTC, OLD, NOW_MS).span
    newest = [NOW_MS - number * MINUTE_MS for number in range(1500)]
    with pytest.raises(Rejected, match="KuCoin serves only its newest minutes"):
        exchange.parse_candles(kucoin_page(newest[::-1]), BTC, span)


def test_listings_of_several_answers_are_asked_for_one_after_the_other() -> None:
    exchange = CcxtExchange("kucoin")
    assert exchange.instruments_request() == Request("/api/v2/symbols", weight=4)
    first = exchange.parse_instruments(b'{"code":"200000","data":[]}')
    assert first.more is not None and first.more.request == Request("/api/v1/market/allTickers", weight=15)
    assert (first.instruments, first.more.parse(b'{"code":"200000","data":{"ticker":[]}}').more) == ([], None)


REFUSALS = [
    (200, b'{"code":"200000","data":[]}', None, ""),
    (200, b'{"code":"429000","msg":"Too Many Requests"}', Retryable, "KuCoin answered 429: "),
    (200, b'{"code":"400100","msg":"Invalid symbol"}', Rejected, "KuCoin refuses the request: "),
    (200, b'{"code":"999999","msg":"odd"}', Retryable, "KuCoin answered "),
    (503, b"<html>", Retryable, "KuCoin answered 503"),
    (404, b"<html>", Rejected, "KuCoin answered 404"),
    (403, b"<html>", Blocked, "KuCoin refuses this network or country"),
]


@pytest.mark.parametrize(("status", "body", "kind", "words"), REFUSALS, ids=[str(one[:2]) for one in REFUSALS])
def test_what_ccxt_recognises_in_an_error_decides_whether_to_ask_again(
    status: int, body: bytes, kind: type | None, words: str
) -> None:
    refusal = CcxtExchange("kucoin").refusal(status, {}, body)
    assert (type(refusal) if refusal else None, str(refusal or "").startswith(words)) == (kind, True)


CANNOT = {
    "dydx": "dYdX has no spot markets, so it cannot be used here.",
    "zaif": "ccxt reads no candles of a minute from Zaif, so it cannot be used here.",
    "luno": 'ccxt cannot ask Luno: luno requires "apiKey" credential; it cannot be used here.',
}


@pytest.mark.parametrize("name", CANNOT)
def test_what_cannot_be_had_is_one_sentence(name: str) -> None:
    with pytest.raises(BadInput) as raised:
        _ = CcxtExchange(name).limits
    assert str(raised.value) == CANNOT[name]


def test_history_can_be_had_where_ccxt_watches_nothing() -> None:
    exchange = CcxtExchange("bitrue")
    assert exchange.limits.page_minutes > 0
    with pytest.raises(BadInput, match=r"^ccxt cannot watch Bitrue: .*\.$"):
        exchange.session([])


def test_every_exchange_that_is_said_to_be_live_says_how_it_is_subscribed_to(usable: list[CcxtExchange]) -> None:
    live = [one for one in usable if not registry.why_no_live(one.name)]
    assert len(live) > 35
    for exchange in live:
        native = "1" if exchange.name in ("nado", "lighter") else "BTC-USDT"
        session = exchange.session([market(exchange.name, native)])
        url = session.url(exchange.ws_url, None)
        assert session.handshake() or url.startswith("wss://"), exchange.name
        assert session.handshake() or session.to_send() or exchange.limits.subscriptions_per_socket == 1


def test_the_socket_that_an_exchange_tells_of_is_looked_for_where_it_is_to_be_asked() -> None:
    exchange = CcxtExchange("kucoin")
    session, golden = exchange.session([BTC]), b'{"code":"200000","data":{"token":"t","instanceServers":[%s]}}'
    assert session.handshake() == Request("/api/v1/bullet-public", body="")
    answer = golden % b'{"endpoint":"wss://push.example/endpoint","pingInterval":18000}'
    there = session.url("http://127.0.0.1:9/kucoin", answer)
    assert urlsplit(there)[:3] == ("ws", "127.0.0.1:9", "/kucoin/endpoint") and "token=t" in there
    own = exchange.session([BTC]).url(exchange.ws_url, answer)
    assert own.startswith("wss://push.example/endpoint?token=t")


def test_a_market_that_comes_back_is_subscribed_to_again() -> None:
    exchange = CcxtExchange("bitvavo")
    coin = market("bitvavo", "BTC-EUR", "EUR")
    session = exchange.session([coin])
    (first,) = session.to_send()
    session.drop([coin])
    session.add([coin])
    assert session.to_send() == [first]


def test_a_market_that_the_exchange_refuses_is_told_with_its_words() -> None:
    exchange = CcxtExchange("okx")
    session = exchange.session([market("okx"), Instrument("okx", "NO", "USDT", "NO-USDT", "NO", "USDT")])
    frame = {"event": "error", "msg": "channel:candle1m,instId:NO-USDT doesn't exist", "code": "60018"}
    assert session.receive(json.dumps(frame)) == []
    assert [words for words in session.notices() if "NO-USDT" in words]
    session.receive(json.dumps(frame))
    assert session.notices() == [], "each sentence is told once"


def test_packed_frames_are_unpacked() -> None:
    """HTX sends nothing but gzip."""
    session = CcxtExchange("htx").session([Instrument("htx", "BTC", "USDT", "btcusdt", "btc", "usdt")])
    tick = {
        "id": 1_790_000_040,
        "open": 1.5,
        "close": 1.25,
        "low": 1,
        "high": 2,
        "amount": 3,
        "vol": 4,
        "count": 5,
    }
    frame = {"ch": "market.btcusdt.kline.1min", "ts": 1_790_000_041_000, "tick": tick}
    (told,) = session.receive(gzip.compress(json.dumps(frame).encode()))
    assert told[1:7] == (1_790_000_040_000, 1.5, 2.0, 1.0, 1.25, 3.0)
    session.receive(gzip.compress(b'{"ping":1492420473027}'))
    assert json.loads(session.to_send()[-1]) == {"pong": 1492420473027}
    for bomb in (gzip.compress(bytes(1 << 27)), b"\x1f\x8b nothing"):
        with pytest.raises(Malformed):
            session.receive(bomb)


def upbit_trade(number: int | str, at_ms: int, price: float, amount: float) -> str:
    moment = {"trade_timestamp": at_ms, "timestamp": at_ms, "sequential_id": number}
    what = {"type": "trade", "code": "KRW-BTC", "trade_price": price, "trade_volume": amount, "ask_bid": "ASK"}
    return json.dumps({**what, **moment, "stream_type": "REALTIME"})


@pytest.mark.parametrize("called", ["{}", "3b1d-{}"])
def test_where_minutes_are_not_watched_they_are_made_of_trades(called: str) -> None:
    """A trade that is told twice counts once, whether it is known by a number or by words."""
    session = CcxtExchange("upbit").session([market("upbit", "KRW-BTC", "KRW")])
    open_ms, told = NOW_MS + MINUTE_MS, list[Candle]()
    for number, at_ms, price, amount in (
        (1, NOW_MS + 30_000, 5.0, 9.0),
        (2, open_ms + 1_000, 100.1, 0.1),
        (3, open_ms + 2_000, 99.9, 0.2),
        (3, open_ms + 2_000, 99.9, 0.2),
        (4, open_ms + 59_999, 100.0, 0.4),
    ):
        told += session.receive(upbit_trade(called.format(number), at_ms, price, amount))
    assert [one[1:9] for one in told][-1] == (open_ms, 100.1, 100.1, 99.9, 100.0, 0.7, None, None)
    assert {one.open_ms for one in told} == {open_ms}, "a minute that was joined midway is not told"


def test_a_minute_of_which_trades_were_passed_over_is_not_told_as_if_it_were_whole() -> None:
    coin = market("upbit", "KRW-BTC", "KRW")
    session = CcxtExchange("upbit").session([coin])
    open_ms = NOW_MS + MINUTE_MS
    session.receive(upbit_trade(1, NOW_MS + 30_000, 5.0, 9.0))
    assert session.receive(upbit_trade(2, open_ms + 1_000, 100.0, 0.1))
    session.drop([coin])
    assert session.receive(upbit_trade(3, open_ms + 2_000, 100.0, 0.2)) == []
    session.add([coin])
    assert session.receive(upbit_trade(4, open_ms + 3_000, 100.0, 0.4)) == []
    (told,) = session.receive(upbit_trade(5, open_ms + MINUTE_MS, 100.0, 0.8))
    assert (told.open_ms, told.volume) == (open_ms + MINUTE_MS, 0.8)


def test_a_candle_that_starts_on_no_minute_is_none() -> None:
    session = CcxtExchange("htx").session([Instrument("htx", "BTC", "USDT", "btcusdt", "btc", "usdt")])
    tick = {"id": 1_790_000_041, "open": 1, "close": 1, "low": 1, "high": 1, "amount": 1, "vol": 1, "count": 1}
    frame = {"ch": "market.btcusdt.kline.1min", "ts": 1_790_000_041_000, "tick": tick}
    with pytest.raises(Malformed, match="starts on no minute"):
        session.receive(gzip.compress(json.dumps(frame).encode()))


def test_a_market_that_takes_the_name_of_one_that_was_left_is_told_of_as_itself() -> None:
    """ccxt has no word for leaving, so the exchange goes on telling of the other."""
    gate = registry.get("gate")
    before = Instrument("gate", "LUNA", "USDT", "LUNA_USDT", "LUNA", "USDT")
    after = Instrument("gate", "LUNA", "USDT", "LUNA2_USDT", "LUNA2", "USDT")
    session = gate.session([before])
    session.to_send()
    session.drop([before])
    session.add([after])
    assert [json.loads(one)["payload"] for one in session.to_send()] == [["1m", "LUNA2_USDT"]]

    def told(native: str, price: str) -> list[tuple[Instrument, float]]:
        row = {"t": "1715776440", **dict.fromkeys("ohlcv", price), "n": f"1m_{native}", "a": "1", "w": False}
        said = {"time_ms": 1715776441000, "channel": "spot.candlesticks", "event": "update", "result": row}
        return [(one.instrument, one.close) for one in session.receive(json.dumps(said))]

    assert (told("LUNA_USDT", "0.0001"), told("LUNA2_USDT", "5")) == ([], [(after, 5)])
    session.add([before])
    assert told("LUNA_USDT", "0.0001") == [(before, 0.0001)]
