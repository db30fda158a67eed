"""Minutes made of trades: whole ones only, each trade once, in the order of the exchange's time."""

import random
from decimal import Decimal
from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import Malformed
from common.market import Candle, Instrument
from common.span import MINUTE_MS
from fetchers.trades import Minutes, Trade

BTC = Instrument("coinbase", "BTC", "USD", "BTC-USD", "BTC", "USD")
ETH = Instrument("coinbase", "ETH", "USD", "ETH-USD", "ETH", "USD")
MINUTE = 1_786_309_560_000


def trade(number: int, offset_ms: int, price: str = "10", amount: str = "1", minute: int = 0) -> Trade:
    return Trade(number, MINUTE + minute * MINUTE_MS + offset_ms, Decimal(price), Decimal(amount))


def begun(since_ms: int = MINUTE) -> Minutes:
    minutes = Minutes()
    minutes.begin(BTC, since_ms)
    return minutes


def aggregated(trades: list[Trade]) -> list[Candle]:
    """The definition, in plain Python."""
    ordered = sorted(trades, key=lambda one: (one.at_ms, one.number))
    candles = []
    for open_ms, of_minute in groupby(ordered, key=lambda one: one.at_ms // MINUTE_MS * MINUTE_MS):
        made = list(of_minute)
        prices = [float(one.price) for one in made]
        volumes = sum(one.amount for one in made), sum(one.price * one.amount for one in made)
        ohlc = prices[0], max(prices), min(prices), prices[-1]
        candles.append(Candle(BTC, open_ms, *ohlc, *map(float, volumes), len(made)))
    return candles


def test_a_minute_is_told_anew_with_each_trade() -> None:
    minutes = begun()
    told = [
        minutes.feed(BTC, [one]) for one in (trade(1, 5, "10", "1"), trade(2, 9, "12", "2"), trade(3, 9, "9", "3"))
    ]
    assert told == [
        [Candle(BTC, MINUTE, 10.0, 10.0, 10.0, 10.0, 1.0, 10.0, 1)],
        [Candle(BTC, MINUTE, 10.0, 12.0, 10.0, 12.0, 3.0, 34.0, 2)],
        [Candle(BTC, MINUTE, 10.0, 12.0, 9.0, 9.0, 6.0, 61.0, 3)],
    ]


def test_trades_of_several_minutes_at_once_tell_each_of_them_oldest_first() -> None:
    trades = [trade(9 - back, 59_000 - 100 * back, str(9 - back), minute=5 - back) for back in range(5)]
    assert begun().feed(BTC, trades) == aggregated(trades)
    assert len(aggregated(trades)) == 5


@given(
    st.lists(
        st.tuples(st.integers(0, 2 * MINUTE_MS - 1), st.integers(1, 10**8), st.integers(1, 10**16)),
        min_size=1,
        max_size=30,
    ),
    st.integers(),
)
def test_whatever_the_order_and_however_often_each_trade_counts_once_and_exactly(
    made: list[tuple[int, int, int]], seed: int
) -> None:
    trades = [
        Trade(number, MINUTE + at, Decimal(price).scaleb(-2), Decimal(amount).scaleb(-8))
        for number, (at, price, amount) in enumerate(sorted(made))
    ]
    twice, minutes, last = [*trades, *trades], begun(), dict[int, Candle]()
    random.Random(seed).shuffle(twice)
    for one in twice:
        last |= {candle.open_ms: candle for candle in minutes.feed(BTC, [one])}
    assert [last[open_ms] for open_ms in sorted(last)] == aggregated(trades)


def test_a_repeated_trade_changes_nothing_and_tells_nothing() -> None:
    minutes = begun()
    minutes.feed(BTC, [trade(1, 5)])
    assert minutes.feed(BTC, [trade(1, 5)]) == minutes.feed(BTC, []) == []


def test_of_two_trades_in_a_millisecond_the_numbers_tell_which_is_first() -> None:
    (candle,) = begun().feed(BTC, [trade(3, 5, "12"), trade(1, 5, "10"), trade(2, 5, "11")])
    assert candle[2:6] == (10.0, 12.0, 10.0, 12.0)


def test_a_late_trade_of_the_minute_before_corrects_it_and_an_older_one_is_passed_over() -> None:
    minutes = begun()
    for minute in range(3):
        minutes.feed(BTC, [trade(10 + minute, 5, minute=minute)])
    assert minutes.feed(BTC, [trade(2, 4, "9", "2", minute=1)]) == aggregated(
        [trade(2, 4, "9", "2", minute=1), trade(11, 5, minute=1)]
    )
    assert minutes.feed(BTC, [trade(3, 4, "9", "2")]) == []


def test_a_late_trade_may_be_the_only_one_of_the_minute_before() -> None:
    minutes = begun()
    minutes.feed(BTC, [trade(9, 5, minute=5)])
    assert minutes.feed(BTC, [trade(8, 5, minute=4)]) == aggregated([trade(8, 5, minute=4)])
    assert minutes.feed(BTC, [trade(7, 5, minute=3)]) == []


@pytest.mark.parametrize(("since", "first"), [(0, 0), (1, 1), (59_999, 1), (60_000, 1), (-59_999, 0)])
def test_a_minute_that_was_not_seen_from_its_beginning_is_never_told(since: int, first: int) -> None:
    minutes = begun(MINUTE + since)
    trades = [trade(number, 59_999, minute=number) for number in range(-1, 3)]
    told = [candle for one in trades for candle in minutes.feed(BTC, [one])]
    assert told == aggregated([one for one in trades if one.number >= first])


def test_without_a_word_on_when_it_began_the_minute_of_the_first_trade_is_not_told() -> None:
    minutes = Minutes()
    assert minutes.feed(BTC, [trade(1, 0), trade(2, 59_999)]) == []
    assert minutes.feed(BTC, [trade(3, 5, minute=1)]) == aggregated([trade(3, 5, minute=1)])


def test_a_snapshot_that_comes_after_the_first_trades_reaches_back_before_them() -> None:
    minutes, trades = Minutes(), [trade(1, 100), trade(2, 200), trade(3, 300)]
    assert minutes.feed(BTC, trades[2:]) == []
    minutes.begin(BTC, MINUTE - 5)
    assert minutes.feed(BTC, trades) == aggregated(trades)


def test_markets_are_kept_apart_and_a_forgotten_one_begins_anew() -> None:
    minutes = begun()
    minutes.begin(ETH, MINUTE)
    assert minutes.feed(ETH, [trade(1, 5)])[0].instrument == ETH
    assert minutes.feed(BTC, [trade(1, 5)]) == aggregated([trade(1, 5)])
    minutes.forget(BTC)
    assert minutes.feed(BTC, [trade(2, 6)]) == []
    assert len(minutes.feed(ETH, [trade(2, 6)])) == 1


@pytest.mark.parametrize("number", ["0", "-1", "NaN", "sNaN", "Infinity", "1e400", "1e-400"])
def test_one_trade_that_cannot_be_spoils_its_batch_and_nothing_else(number: str) -> None:
    minutes = begun()
    for wrong in (trade(2, 6, price=number), trade(2, 6, amount=number)):
        with pytest.raises(Malformed):
            minutes.feed(BTC, [trade(1, 5), wrong])
    with pytest.raises(Malformed):
        minutes.feed(BTC, [Trade(1, -1, Decimal(1), Decimal(1))])
    assert minutes.feed(BTC, [trade(3, 7)]) == aggregated([trade(3, 7)])


def test_memory_is_that_of_two_minutes_a_market() -> None:
    minutes = begun()
    for minute in range(100):
        minutes.feed(BTC, [trade(minute * 9 + at, at, minute=minute) for at in range(9)])
    (market,) = minutes._markets.values()
    assert [one.open_ms for one in market.minutes.values()] == [MINUTE + at * MINUTE_MS for at in (98, 99)]
    assert [len(one.numbers) for one in market.minutes.values()] == [9, 9]
