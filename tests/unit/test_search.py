"""Markets by whatever somebody types."""

from dataclasses import replace
from typing import NamedTuple

import pytest

from common.market import Instrument
from web.search import Index, Rank


class Listed(NamedTuple):
    id: int
    instrument: Instrument


MATIC = Instrument("binance", "MATIC", "USDT", "MATICUSDT", "MATIC", "USDT")
LISTED = [
    Listed(1, Instrument("binance", "BTC", "USDT", "BTCUSDT", "BTC", "USDT")),
    Listed(2, Instrument("bitfinex", "BTC", "USDT", "BTCUST", "BTC", "UST")),
    Listed(3, Instrument("kraken", "BTC", "USD", "XBTUSD", "XBT", "USD")),
    Listed(4, Instrument("binance", "WBTC", "BTC", "WBTCBTC", "WBTC", "BTC")),
    Listed(5, Instrument("binance", "BTCDOM", "USDT", "BTCDOMUSDT", "BTCDOM", "USDT")),
    Listed(6, replace(Instrument("binance", "POL", "USDT", "POLUSDT", "POL", "USDT"), former=(MATIC,))),
    Listed(7, Instrument("bittrex", "BTC", "USDT", "BTC-USDT", "BTC", "USDT", is_trading=False)),
    Listed(8, Instrument("binance", "币安人生", "USDT", "币安人生USDT", "币安人生", "USDT")),
]
INDEX = Index(LISTED, {1: 9e9, 2: 1e6, 3: 5e8, 5: 3e6, 6: 2e7})


def found(text: str, exchange: str | None = None, limit: int = 20) -> list[tuple[int, Rank]]:
    return [(one.stored.id, one.rank) for one in INDEX.find(text, exchange, limit)]


@pytest.mark.parametrize("text", ["BTC/USDT", "BTCUSDT", "btcusdt", "btc-usdt", " Btc_Usdt ", "tBTCUSDT"])
def test_every_spelling_of_a_pair_finds_it_exactly_the_most_traded_first_and_the_closed_last(text: str) -> None:
    assert found(text)[:3] == [(1, Rank.EXACT), (2, Rank.EXACT), (7, Rank.EXACT)]


@pytest.mark.parametrize(
    ("text", "first"), [("tBTCUST", 2), ("BTCUST", 2), ("XBTUSD", 3), ("xbt/usd", 3), ("BTCUSD", 3)]
)
def test_an_exchanges_own_spelling_finds_its_market(text: str, first: int) -> None:
    assert found(text)[0] == (first, Rank.EXACT)


def test_a_currency_finds_its_markets_before_those_that_begin_or_hold_it() -> None:
    assert found("btc") == [
        (1, Rank.CURRENCY),
        (3, Rank.CURRENCY),
        (2, Rank.CURRENCY),
        (7, Rank.CURRENCY),
        (5, Rank.PREFIX),
        (4, Rank.WITHIN),
    ]


def test_a_former_name_finds_the_market_that_bore_it() -> None:
    for text in ("MATIC/USDT", "matic"):
        (one,) = INDEX.find(text, None, 20)
        assert (one.stored.id, one.rank, one.former) == (6, Rank.FORMER, "MATIC/USDT")
    (own,) = INDEX.find("POLUSDT", None, 1)
    assert (own.rank, own.former) == (Rank.EXACT, None)


@pytest.mark.parametrize("text", ["POLUSTD", "OPLUSDT", "POUSDT", "POLLUSDT", "PILUSDT", "POLLUS"])
def test_one_slip_of_the_keyboard_still_finds_the_market(text: str) -> None:
    assert found(text)[0] == (6, Rank.FUZZY)


def test_what_is_nobodys_name_finds_nothing() -> None:
    assert [found(text) for text in ("zzzzzz", "$", "/")] == [[], [], []]


def test_nothing_typed_finds_the_most_traded() -> None:
    assert [symbol_id for symbol_id, _ in found("", limit=4)] == [1, 3, 6, 5]
    assert [symbol_id for symbol_id, _ in found("", "bitfinex")] == [2]


def test_names_in_any_script_are_found() -> None:
    assert found("币安") == [(8, Rank.PREFIX)]


def test_one_exchange_alone_is_searched_when_asked() -> None:
    assert found("btcusdt", "bitfinex") == [(2, Rank.EXACT)]
