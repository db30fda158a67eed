"""What a person asks for is parsed, or refused in one sentence."""

import pytest

from app.jobs.asked import check_open, named, parse_span, parse_time, selected
from app.stores.symbols import StoredSymbol
from common.errors import BadInput
from common.market import Instrument
from common.span import Span
from fetchers import registry

NOW = 1_735_689_600_000  # 2025-01-01T00:00:00Z
DAY_2021 = 1_609_459_200_000


@pytest.mark.parametrize(
    "text",
    [
        "2021-01-01",
        "2021-01-01T00:00",
        "2021-01-01T00:00:00",
        "2021-01-01 00:00:00",
        "2021-01-01T00:00:00Z",
        "2021-01-01T02:00:00+02:00",
        "2020-12-31T19:00:00-0500",
    ],
)
def test_a_moment_is_understood_with_and_without_time_and_offset_and_is_utc(text: str) -> None:
    assert parse_time("start", text) == DAY_2021


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/New_York"])
def test_the_zone_of_the_machine_changes_nothing(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert parse_time("start", "2021-01-01T00:00:00") == DAY_2021
    finally:
        monkeypatch.undo()
        time.tzset()


def test_parts_of_minutes_are_left_out_and_the_end_is_excluded() -> None:
    assert parse_span("2021-01-01T00:00:30", "2021-01-01T00:03:00", NOW) == Span(
        DAY_2021 + 60_000, DAY_2021 + 180_000
    )
    assert parse_span("2021-01-01T00:00:00", "2021-01-01T00:02:30", NOW) == Span(DAY_2021, DAY_2021 + 180_000)


def test_the_minute_under_way_is_not_asked_for() -> None:
    assert parse_span("2024-12-31T23:00", "2025-01-01T00:00:30", NOW + 40_000).end_ms == NOW


@pytest.mark.parametrize(
    ("start", "end", "field", "words"),
    [
        (None, "2021-01-02", "start", "Say --start"),
        ("2021-01-01", "", "end", "Say --end"),
        ("yesterday", "2021-01-02", "start", "is not a date"),
        ("2021-02-30", "2021-03-02", "start", "is not a date"),
        ("2021-01-01T25:00:00", "2021-03-02", "start", "is not a date"),
        ("20210101", "2021-03-02", "start", "is not a date"),
        ("2021-01-02", "2021-01-01", "end", "must be after"),
        ("2021-01-02", "2021-01-02", "end", "must be after"),
        ("2021-01-02", "2025-01-01T00:01:00", "end", "in the future; it is 2025-01-01T00:00:00 UTC now"),
        ("2008-12-31", "2021-01-01", "start", "before 2009-01-03"),
        ("2021-01-01T00:00:10", "2021-01-01T00:00:40", "end", "No whole minute"),
    ],
)
def test_a_bad_range_is_refused_in_one_sentence(start: str | None, end: str, field: str, words: str) -> None:
    with pytest.raises(BadInput, match=words) as refused:
        parse_span(start, end, NOW)
    assert refused.value.field == field and "\n" not in str(refused.value)


def stored(*symbols: str, trading: bool = True) -> dict[str, StoredSymbol]:
    made = [Instrument("binance", *text.split("/"), text.replace("/", ""), is_trading=trading) for text in symbols]
    return {one.key: StoredSymbol(number, one) for number, one in enumerate(made)}


def test_named_markets_may_be_spelled_in_any_way_and_count_once() -> None:
    known = stored("BTC/USDT", "ETH/USDT", "ETH/BTC")
    assert [one.instrument.symbol for one in named("ethusdt, BTC-USDT,btc/usdt,", known)] == [
        "ETH/USDT",
        "BTC/USDT",
    ]


def test_a_market_that_does_not_trade_can_be_named_but_is_not_selected() -> None:
    gone = stored("LUNA/USDT", trading=False)
    assert [one.instrument.symbol for one in named("LUNA/USDT", gone)] == ["LUNA/USDT"]
    with pytest.raises(BadInput, match="selects no market of binance"):
        selected("binance", "*", gone.values())


def test_an_unknown_market_is_refused_with_names_that_look_like_it() -> None:
    with pytest.raises(BadInput, match="BTC/USDT"):
        named("BTC/USTD", stored("BTC/USDT"))


def test_a_closed_exchange_is_asked_only_where_a_simulator_stands_in_for_it() -> None:
    bittrex = registry.get("bittrex")
    check_open(bittrex, "http://127.0.0.1:9900/bittrex/v3")
    check_open(registry.get("binance"), registry.get("binance").rest_url)
    with pytest.raises(BadInput, match="2023"):
        check_open(bittrex, bittrex.rest_url)
