"""freqtrade's flags mean what they mean there."""

import pytest

from app.jobs import freqtrade
from app.stores.symbols import StoredSymbol
from common.errors import BadInput
from common.market import Instrument
from common.span import DAY_MS, MINUTE_MS, Span

#: 2024-03-01T12:00:30.
NOW_MS = 1_709_294_430_000
JANUARY = Span(1_704_067_200_000, 1_706_745_600_000)
NOON_MS = NOW_MS - 30_000
NAMES = [("BTC", "USDT", True), ("ETH", "USDT", True), ("ETH", "BTC", True), ("LUNA", "USDT", False)]
MARKETS = [
    Instrument("binance", base, quote, base + quote, base, quote, is_trading=trading)
    for base, quote, trading in NAMES
]
STORED = {one.key: StoredSymbol(number, one) for number, one in enumerate(MARKETS)}


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("20240101-20240201", JANUARY),
        ("1704067200-1706745600", JANUARY),
        ("1704067200000-1706745600000", JANUARY),
        ("20240101-", Span(JANUARY.start_ms, NOON_MS)),
        ("-20240201", Span(freqtrade.asked.EARLIEST_MS, JANUARY.end_ms)),
    ],
)
def test_a_timerange_is_dates_or_unix_times_with_open_ends(text: str, span: Span) -> None:
    assert freqtrade.parse_span(None, None, None, text, NOW_MS) == span


def test_days_begin_at_midnight() -> None:
    start_ms = NOW_MS - NOW_MS % DAY_MS - 30 * DAY_MS
    assert freqtrade.parse_span("", "", 30, None, NOW_MS) == Span(start_ms, NOON_MS // MINUTE_MS * MINUTE_MS)


@pytest.mark.parametrize(
    ("start", "days", "timerange", "words"),
    [
        (None, None, "-", "is not understood; write YYYYMMDD-YYYYMMDD"),
        (None, None, "20241399-20250101", "20241399 is no date"),
        (None, None, "20240201-20240101", "must be after"),
        (None, 0, None, "is no number of days"),
        (None, 3, "20240101-", "--days and --timerange are both there"),
        ("2024-01-01", 3, None, "--days and --start are both there"),
    ],
)
def test_another_time_is_a_sentence(
    start: str | None, days: int | None, timerange: str | None, words: str
) -> None:
    with pytest.raises(BadInput, match=words):
        freqtrade.parse_span(start, None, days, timerange, NOW_MS)


@pytest.mark.parametrize(
    ("pairs", "inactive", "ids"),
    [
        (["BTC/USDT", "ethbtc"], False, [0, 2]),
        ([".*/USDT"], False, [0, 1]),
        ([".*/usdt", "BTC/USDT"], True, [0, 1, 3]),
        (["(BTC|ETH)/(USDT|BTC)"], False, [0, 1, 2]),
        (["BTC/USDT,ETH/USDT"], False, [0, 1]),
    ],
)
def test_pairs_are_names_or_expressions(pairs: list[str], inactive: bool, ids: list[int]) -> None:
    assert [one.id for one in freqtrade.choose_pairs(pairs, STORED, inactive=inactive)] == ids


@pytest.mark.parametrize(("pair", "words"), [("XXX.*", "selects no market"), ("(BTC", "is no regular expression")])
def test_an_expression_that_finds_nothing_is_a_sentence(pair: str, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        freqtrade.choose_pairs([pair], STORED, inactive=False)


def test_other_timeframes_than_minutes_are_known_or_refused() -> None:
    assert freqtrade.others_than_minutes(["1m", "5m", "1d"]) == ["5m", "1d"]
    with pytest.raises(BadInput, match="Unknown interval '5x'"):
        freqtrade.others_than_minutes(["5x"])
