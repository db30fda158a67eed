"""People may write a market as they know it, and a selection as patterns."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import BadInput
from common.market import Instrument
from common.symbols import matches, parse_symbol, validate_patterns

BTC_USDT = Instrument("bitfinex", "BTC", "USDT", "BTCUST", "BTC", "UST")
BTC_USD = Instrument("bitfinex", "BTC", "USD", "BTCUSD", "BTC", "USD")
AAVE = Instrument("bitfinex", "AAVE", "USDT", "AAVE:UST", "AAVE", "UST")
TBTC = Instrument("bitfinex", "TBTC", "USD", "TBTC:USD", "TBTC", "USD")
BITFINEX = [BTC_USDT, BTC_USD, AAVE, TBTC]
ETH_BTC = Instrument("bittrex", "ETH", "BTC", "ETH-BTC", "ETH", "BTC")
BNB = Instrument("binance", "BTC", "USDT", "BTCUSDT", "BTC", "USDT")


@pytest.mark.parametrize(
    "text",
    [
        "BTC/USDT",
        "btc-usdt",
        "BTC:USDT",
        "BTC_USDT",
        "BTCUST",
        "tBTCUST",
        "TBTCUST",
        "BTC/UST",
        "BTCUSDT",
        " btcust ",
    ],
)
def test_a_market_is_found_by_every_spelling_in_use(text: str) -> None:
    assert parse_symbol(text, BITFINEX) is BTC_USDT


@pytest.mark.parametrize(
    ("text", "market"),
    [
        ("AAVE:UST", AAVE),
        ("tAAVE:UST", AAVE),
        ("AAVEUST", AAVE),
        ("aave/usdt", AAVE),
        ("eth-btc", ETH_BTC),
        ("ETHBTC", ETH_BTC),
        ("bittrex:spot:ETH/BTC", ETH_BTC),
        ("tBTC/USD", TBTC),
    ],
)
def test_native_names_and_keys_are_understood(text: str, market: Instrument) -> None:
    assert parse_symbol(text, iter([*BITFINEX, ETH_BTC])) is market


def test_a_market_that_trades_wins_over_its_delisted_namesake() -> None:
    old = Instrument("bitfinex", "BTC", "USDT", "BTC:OLD", "BTC", "OLD", is_trading=False)
    assert parse_symbol("BTC/USDT", [old, BTC_USDT]) is BTC_USDT


def test_a_market_is_found_by_every_name_that_it_had_unless_another_bears_it_now() -> None:
    old = Instrument("bitfinex", "BAB", "USD", "BABUSD", "BCHABC", "USD")
    bch = Instrument("bitfinex", "BCH", "USD", "BCHUSD", "BCH", "USD", former=(old,))
    for text in ("BAB/USD", "babusd", "BCHABC-USD", "tBABUSD", "bitfinex:spot:BAB/USD"):
        assert parse_symbol(text, [bch, BTC_USD]) is bch
    other = Instrument("bitfinex", "BAB", "USD", "NEWUSD", "NEW", "USD", is_trading=False)
    assert parse_symbol("BAB/USD", [bch, other]) is other
    assert parse_symbol("BABUSD", [bch, other]) is other
    assert parse_symbol("BCHABC/USD", [bch, other]) is bch


def test_a_selection_goes_on_to_mean_a_market_that_was_renamed() -> None:
    matic = Instrument("binance", "MATIC", "USDT", "MATICUSDT", "MATIC", "USDT")
    pol = Instrument("binance", "POL", "USDT", "POLUSDT", "POL", "USDT", former=(matic,))
    assert matches("binance:MATIC:USDT", pol) and matches("POL/*", pol)
    assert not matches("binance:*:USDT, !*:MATIC:*", pol)


def test_an_unknown_symbol_is_refused_with_at_most_five_that_look_like_it() -> None:
    with pytest.raises(BadInput) as raised:
        parse_symbol("BTC/USTD", [*BITFINEX, *(Instrument("x", f"BTC{n}", "USTD", f"n{n}") for n in range(9))])
    assert (raised.value.field, len(raised.value.allowed.split(", "))) == ("symbol", 5)
    assert str(raised.value) == f"Unknown symbol 'BTC/USTD'; did you mean {raised.value.allowed}?"


@pytest.mark.parametrize("text", ["", "💥", "QQQQ/ZZZZ"])
def test_a_symbol_like_nothing_is_refused_without_a_guess(text: str) -> None:
    with pytest.raises(BadInput, match="nothing looks like it"):
        parse_symbol(text, BITFINEX)


@pytest.mark.parametrize(
    ("patterns", "selected"),
    [
        ("*", [BTC_USDT, BTC_USD, AAVE, TBTC, ETH_BTC, BNB]),
        ("binance:*", [BNB]),
        ("bit*:*", [BTC_USDT, BTC_USD, AAVE, TBTC, ETH_BTC]),
        ("*:BTC:USDT", [BTC_USDT, BNB]),
        ("BTC/USDT", [BTC_USDT, BNB]),
        ("btc/usd*", [BTC_USDT, BTC_USD, BNB]),
        ("bitfinex:*:UST", [BTC_USDT, AAVE]),
        ("bitfinex:BTC/USDT", [BTC_USDT]),
        ("bitfinex:spot:BTC/USDT", [BTC_USDT]),
        ("bitfinex:perp:BTC/USDT", []),
        ("binance:*:USDT, ETH/*", [ETH_BTC, BNB]),
        ("*, !bitfinex:*", [ETH_BTC, BNB]),
        ("!bitfinex:*,*", [ETH_BTC, BNB]),
        ("!*:BTC:*", [AAVE, TBTC, ETH_BTC]),
        ("BITFINEX:aave:usdt,\n,", [AAVE]),
    ],
)
def test_patterns_select_by_exchange_and_by_either_spelling(patterns: str, selected: list[Instrument]) -> None:
    validate_patterns(patterns)
    assert [one for one in [*BITFINEX, ETH_BTC, BNB] if matches(patterns, one)] == selected


def test_a_pattern_without_a_market_type_means_spot() -> None:
    perpetual = Instrument("binance", "BTC", "USDT", "BTCUSDT", market_type="perp")
    selected = [matches(text, perpetual) for text in ("*", "binance:*", "BTC/USDT", "binance:perp:BTC/USDT")]
    assert selected == [False, False, False, True]


@pytest.mark.parametrize(
    "text", ["", " , ", "BTCUSDT", "binance", "a:b:c:d:e", "binance:USDT", "::", "BTC/", "!", "a/b/c"]
)
def test_what_is_no_pattern_is_refused_in_the_name_of_the_setting(text: str) -> None:
    with pytest.raises(BadInput) as raised:
        validate_patterns(text)
    assert raised.value.field == "SYMBOLS"
    assert "exchange:BASE:QUOTE" in raised.value.allowed


@given(st.text(max_size=30))
def test_any_text_is_a_selection_or_a_refusal(text: str) -> None:
    for ask in (lambda: validate_patterns(text), lambda: matches(text, BNB), lambda: parse_symbol(text, BITFINEX)):
        try:
            ask()
        except BadInput:
            continue
