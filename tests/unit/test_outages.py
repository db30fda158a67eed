"""Outages against quiet minutes: the arithmetic, on markets made for it."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from common.outages import Market, Outage, answered_by, incidents, silent, unserved
from common.span import MINUTE_MS, Span, union

HOUR = 60


def span(first: int, last: int) -> Span:
    """Minutes, the last excluded."""
    return Span(first * MINUTE_MS, last * MINUTE_MS)


def market(rate: float, hours: int, seed: int, *out: Span) -> Market:
    """One that lacks a minute at this rate, and all minutes of `out`."""
    chance = random.Random(seed)
    traded = [minute * MINUTE_MS for minute in range(hours * HOUR) if chance.random() >= rate]
    return Market([span(0, hours * HOUR)], [ms for ms in traded if not any(one.has(ms) for one in out)])


def holes_of(markets: dict[int, Market]) -> list[Span]:
    asked = answered_by([one.answered for one in markets.values()])
    taken = [Span(ms, ms + MINUTE_MS) for one in markets.values() for ms in one.open_ms]
    return union(piece for part in asked for piece in part.minus(taken))


def found(markets: dict[int, Market]) -> list[Span]:
    return [outage.span for outage in silent(markets, holes_of(markets))]


def some(rates: list[float], hours: int, *out: Span, seed: int = 1) -> dict[int, Market]:
    return {number: market(rate, hours, seed * 100 + number, *out) for number, rate in enumerate(rates)}


def test_quiet_markets_have_no_outage_however_long_one_watches() -> None:
    for rates in ([0.3, 0.3, 0.3], [0.6, 0.7, 0.8], [0.9, 0.9, 0.95], [0.02, 0.05, 0.5], [0.001, 0.001, 0.001]):
        assert found(some(rates, 24 * 30)) == []


def test_a_hole_of_all_markets_is_an_outage() -> None:
    out = span(600, 611)
    (outage,) = silent(markets := some([0.003, 0.01, 0.2], 24, out), holes_of(markets))
    assert (outage.span.clip(out), outage.markets) == (out, (0, 1, 2))
    assert outage.span.minutes() <= 13
    assert "none of 3 markets traded" in outage.evidence


def test_a_hole_that_one_market_does_not_share_is_none() -> None:
    out = span(600, 720)
    markets = some([0.003, 0.01, 0.2], 24, out)
    assert found(markets | {3: market(0.3, 24, 9)}) == []


def test_two_markets_cannot_tell() -> None:
    assert found(some([0.003, 0.01], 24, span(600, 720))) == []


def test_a_market_that_never_trades_does_not_count_as_the_third() -> None:
    markets = some([0.003, 0.01], 24, span(600, 720))
    assert found(markets | {2: Market([span(0, 24 * HOUR)], [])}) == []


def test_minutes_that_were_never_answered_are_no_evidence() -> None:
    markets = some([0.003, 0.01, 0.2], 24, span(600, 720))
    unasked = Market([span(0, 600), span(720, 1440)], markets[0].open_ms)
    assert found(markets | {0: unasked}) == []


def test_an_outage_does_not_end_with_its_first_candle() -> None:
    """A big hole, then single candles between common holes of 4 to 44 minutes: one incident."""
    tail, at = [span(600, 780)], 780
    for length in (44, 20, 7, 31, 4, 12):
        tail.append(span(at + 1, at + 1 + length))
        at += 1 + length
    markets = {number: market(rate, 36, number) for number, rate in enumerate([0.001, 0.01, 0.1, 0.2])}
    broken = {
        number: Market(one.answered, [ms for ms in one.open_ms if not any(part.has(ms) for part in tail)])
        for number, one in markets.items()
    }
    assert found(broken) == [span(600, at)]


def test_a_hole_that_alone_would_be_chance_belongs_to_the_outage_beside_it() -> None:
    """Quiet markets: four minutes without any trade happen by chance, but not one candle after a long outage."""
    out, tail, elsewhere = span(600, 720), span(721, 725), span(1200, 1204)
    markets = some([0.2, 0.3, 0.5], 36, seed=4)
    lacking = {
        number: Market(
            one.answered, [ms for ms in one.open_ms if not any(h.has(ms) for h in (out, tail, elsewhere))]
        )
        for number, one in markets.items()
    }
    pause = 720 * MINUTE_MS
    lacking[0] = Market(lacking[0].answered, sorted({*lacking[0].open_ms, pause}))
    (outage,) = found(lacking)
    assert (outage.clip(span(600, 725)), outage.minutes() <= 130) == (span(600, 725), True)


def test_two_outages_with_trading_between_them_are_two() -> None:
    holes = [span(120, 260), span(330, 333)]
    assert incidents(holes) == holes


def test_what_an_exchange_that_serves_quiet_minutes_did_not_serve_is_an_outage() -> None:
    told = unserved({7: [span(120, 260), span(330, 333)], 8: [span(121, 260)], 9: []})
    assert [(one.span, one.markets) for one in told] == [(span(120, 260), (7, 8)), (span(330, 333), (7,))]
    assert isinstance(told[0], Outage)


pieces = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)).map(lambda two: span(min(two), max(two))))


@settings(max_examples=200)
@given(lists=st.lists(pieces, max_size=5), least=st.integers(1, 4))
def test_time_answered_by_several_is_counted_minute_by_minute(lists: list[list[Span]], least: int) -> None:
    told = answered_by(lists, least)
    for minute in range(30):
        count = sum(any(one.has(minute * MINUTE_MS) for one in spans) for spans in lists)
        assert any(one.has(minute * MINUTE_MS) for one in told) == (count >= least)
