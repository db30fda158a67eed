"""Which stored market a listed one is: names may change, ours or the exchange's, and the market stays."""

from dataclasses import replace

from app.stores.identity import APART_MS, Identified, Known, identify
from common.market import Instrument
from common.span import DAY_MS

NOW = 100 * DAY_MS
BTC = Instrument("bitfinex", "BTC", "USD", "BTCUSD", "BTC", "USD")
ABC = Instrument("bitfinex", "BCHABC", "USD", "BABUSD", "BAB", "USD")
BCH = replace(ABC, base="BCH")


def known(*instruments: Instrument, listed_ms: int | None = NOW) -> list[Known]:
    return [Known(number, one, listed_ms) for number, one in enumerate(instruments, 1)]


def test_what_is_listed_as_before_is_the_same() -> None:
    assert identify([BTC, ABC], known(BTC, ABC)) == Identified({1: BTC, 2: ABC})


def test_a_market_that_nobody_knows_is_new() -> None:
    assert identify([BTC, ABC], known(BTC)) == Identified({1: BTC}, [ABC])


def test_a_market_that_we_call_otherwise_is_the_same() -> None:
    assert identify([BTC, BCH], known(BTC, ABC)) == Identified({1: BTC, 2: BCH})


def test_a_market_that_its_exchange_calls_otherwise_is_the_same() -> None:
    dashed = replace(BTC, native="BTC-USD")
    assert identify([dashed], known(BTC, ABC)) == Identified({1: dashed})


def test_two_markets_may_change_names_with_one_another() -> None:
    first, second = replace(BTC, base="BCHABC"), replace(ABC, base="BTC")
    assert identify([first, second], known(BTC, ABC)) == Identified({1: first, 2: second})


def test_a_name_that_its_market_gave_up_goes_to_a_new_market() -> None:
    other = replace(ABC, native="ABCUSD")
    assert identify([BCH, other], known(ABC)) == Identified({1: BCH}, [other])


def test_a_listing_that_was_not_read_for_months_makes_no_market_another_one() -> None:
    dashed = replace(BTC, native="BTC-USD")
    assert identify([dashed], known(BTC, listed_ms=NOW - 60 * DAY_MS)) == Identified({1: dashed})


def test_a_name_that_comes_back_long_after_its_market_went_is_another_markets() -> None:
    went, there = Known(1, replace(ABC, is_trading=False), NOW - APART_MS - 1), Known(2, BTC, NOW)
    again = replace(ABC, native="ABCUSD")
    assert identify([BTC, again], [went, there]) == Identified({2: BTC}, [again], [1])
    assert identify([BTC, again], [went._replace(listed_ms=NOW - APART_MS), there]).same == {1: again, 2: BTC}


def test_a_market_that_comes_back_under_all_its_names_is_the_same() -> None:
    went, there = Known(1, replace(ABC, is_trading=False), NOW - 900 * DAY_MS), Known(2, BTC, NOW)
    assert identify([BTC, ABC], [went, there]) == Identified({1: ABC, 2: BTC})


def test_a_market_that_went_gives_its_name_to_the_one_that_is_called_so_now() -> None:
    went, there = Known(1, replace(BCH, native="BCHUSD", is_trading=False), NOW - DAY_MS), Known(2, ABC, NOW)
    assert identify([BCH], [went, there]) == Identified({2: BCH}, closed=[1])


def test_an_imported_market_becomes_what_is_listed_under_its_names() -> None:
    imported = Known(1, replace(BCH, native="BCHUSD", is_trading=False), None)
    assert identify([BCH], [imported]) == Identified({1: BCH})


def test_an_imported_native_name_is_no_identity() -> None:
    """It was made up of the currencies, and the exchange may mean another market by it."""
    imported = Known(1, Instrument("bitfinex", "BAB", "USD", "BABUSD", "BAB", "USD", is_trading=False), None)
    assert identify([ABC], [imported]) == Identified({}, [ABC])


def test_an_imported_market_keeps_its_name_until_a_person_says_whose_it_is() -> None:
    imported, there = Known(1, replace(BCH, native="BCHUSD", is_trading=False), None), Known(2, ABC, NOW)
    assert identify([replace(BCH, tick_size=0.1)], [imported, there]) == Identified(
        {2: replace(ABC, tick_size=0.1)}, disputed=[replace(BCH, tick_size=0.1)]
    )


def test_a_former_name_that_an_exchange_still_lists_without_trade_is_no_new_market() -> None:
    pol = Instrument("binance", "POL", "USDT", "POLUSDT", "POL", "USDT")
    matic = Instrument("binance", "MATIC", "USDT", "MATICUSDT", "MATIC", "USDT", is_trading=False)
    joined = known(replace(pol, former=(matic,)))
    assert identify([pol, matic], joined) == Identified({1: pol})
    assert identify([pol, replace(matic, is_trading=True)], joined).new == [replace(matic, is_trading=True)]
