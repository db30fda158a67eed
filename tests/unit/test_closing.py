"""A minute is announced as closed once, whatever arrives when; afterwards only what the store would keep."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.jobs.closing import OLDEST_MINUTES, REMEMBERED, Closing
from app.messages import CandleMessage
from common.errors import Malformed
from common.market import Candle, Source
from common.span import MINUTE_MS
from tests.fixtures.live import BTC, ETH, T0, candle

END = MINUTE_MS
RUNNING, BY_TIME, CLOSING = Source.RUNNING, Source.CLOSED_BY_TIME, Source.CLOSING_MESSAGE


def facts(message: CandleMessage | None) -> tuple[int, float, int, bool] | None:
    """(minute, volume, source, corrected)."""
    if message is None:
        return None
    return (message.time - T0) // MINUTE_MS, message.volume, message.source, message.corrected


class Run:
    """A machine, and what it announced: `at` is milliseconds after the start of minute 0."""

    def __init__(self, *, serves_quiet_minutes: bool = True) -> None:
        self.closing = Closing(serves_quiet_minutes=serves_quiet_minutes)

    def feed(self, at: int, *args: Any, **kwargs: Any) -> tuple[int, float, int, bool] | None:
        return facts(self.closing.feed(candle(*args, **kwargs), T0 + at))

    def tick(self, at: int) -> list[tuple[int, float, int, bool] | None]:
        return [facts(message) for message in self.closing.tick(T0 + at)]


def test_the_exchanges_closing_message_closes_a_minute_at_once() -> None:
    run = Run()
    assert run.feed(58_000, 0, 1) == (0, 1, RUNNING, False)
    assert run.feed(END + 4, 0, 2, CLOSING) == (0, 2, CLOSING, False)
    assert run.tick(END + 60_000) == []


def test_five_seconds_after_its_end_a_minute_closes_if_a_later_one_was_seen() -> None:
    run = Run()
    run.feed(58_000, 0, 1)
    run.feed(END + 1_000, 1, 3)
    assert run.tick(END + 4_999) == []
    assert run.tick(END + 5_000) == [(0, 1, BY_TIME, False)]
    assert run.tick(END + 5_001) == []


def test_thirty_seconds_after_its_end_a_minute_closes_by_itself() -> None:
    """W7: the last candle of a quiet market does not wait for the next one."""
    run = Run()
    run.feed(58_000, 0, 1)
    assert run.tick(END + 29_999) == []
    assert run.tick(END + 30_000) == [(0, 1, BY_TIME, False)]


def test_a_minute_that_another_market_has_left_stays_open() -> None:
    run = Run()
    run.feed(58_000, 0, 1)
    run.feed(END + 1_000, 1, 1, instrument=ETH)
    assert run.tick(END + 6_000) == []


def test_a_state_that_comes_when_its_minute_is_due_is_announced_as_closed() -> None:
    run = Run()
    run.feed(58_000, 0, 1)
    run.feed(END + 1_000, 1, 3)
    assert run.feed(END + 6_000, 0, 2) == (0, 2, BY_TIME, False)
    assert run.tick(END + 6_000) == []


def test_a_trade_that_arrives_after_the_end_of_its_minute_still_counts() -> None:
    run = Run()
    run.feed(58_000, 0, 1)
    assert run.feed(END + 2_300, 0, 2) == (0, 2, RUNNING, False)
    assert run.tick(END + 30_000) == [(0, 2, BY_TIME, False)]


def test_old_rows_of_a_snapshot_close_at_once_and_once() -> None:
    """W7: what a snapshot tells about the time without a connection is kept."""
    run = Run(serves_quiet_minutes=False)
    assert [run.feed(0, minute, 5) for minute in (-300, -2, -1)] == [
        (-300, 5, BY_TIME, False),
        (-2, 5, BY_TIME, False),
        (-1, 5, RUNNING, False),
    ]
    assert [run.feed(1_000, minute, 5) for minute in (-300, -2)] == [None, None]


def test_rows_older_than_a_day_are_left_to_history() -> None:
    run = Run()
    assert run.feed(0, -OLDEST_MINUTES - 1, 5) is None
    assert run.feed(0, -OLDEST_MINUTES, 5) == (-OLDEST_MINUTES, 5, BY_TIME, False)


def test_a_larger_volume_after_the_closing_is_a_correction() -> None:
    run = Run()
    run.feed(END, 0, 2, CLOSING)
    assert run.feed(END + 20_000, 0, 3, CLOSING) == (0, 3, CLOSING, True)
    assert run.feed(END + 20_001, 0, 3, CLOSING) is None


@pytest.mark.parametrize(
    ("first", "then"),
    [
        pytest.param((2, CLOSING), (3, RUNNING), id="a running state after the closing message"),
        pytest.param((2, CLOSING), (1, CLOSING), id="a smaller volume"),
        pytest.param((2, BY_TIME), (2, RUNNING), id="the same again"),
        pytest.param((2, BY_TIME), (2, CLOSING), id="a closing message that changes nothing"),
    ],
)
def test_what_the_store_would_not_keep_is_not_announced(first: tuple[float, int], then: tuple[float, int]) -> None:
    run = Run()
    assert run.feed(END, 0, *first) == (0, *first, False)
    assert run.feed(END + 1, 0, *then) is None


def test_the_closing_message_outranks_a_closing_by_time() -> None:
    run = Run()
    run.feed(58_000, 0, 2)
    run.feed(END + 1_000, 1, 1)
    run.tick(END + 5_000)
    assert run.feed(END + 5_500, 0, 1, CLOSING) == (0, 1, CLOSING, True)


def test_the_previous_candle_sent_between_updates_is_not_announced_again() -> None:
    """Bitfinex repeats it with each update of the running one."""
    run = Run(serves_quiet_minutes=False)
    sent = [(0, 9), (1, 1), (0, 9), (1, 2), (0, 9), (1, 2)]
    assert [run.feed(END + 3_000, *one) for one in sent] == [
        (0, 9, RUNNING, False),
        (1, 1, RUNNING, False),
        None,
        (1, 2, RUNNING, False),
        None,
        None,
    ]


def test_of_two_connections_that_overlap_the_slower_one_takes_nothing_back() -> None:
    run = Run()
    assert [run.feed(10_000 + at, 0, volume) for at, volume in enumerate((1, 2, 1, 2, 3))] == [
        (0, 1, RUNNING, False),
        (0, 2, RUNNING, False),
        None,
        None,
        (0, 3, RUNNING, False),
    ]


def test_minutes_of_a_market_that_somebody_else_streams_are_not_closed_here() -> None:
    run = Run()
    run.feed(10_000, 0, 1)
    run.closing.forget([ETH.key, candle().instrument.key])
    assert run.tick(END + 60_000) == []


def test_a_market_that_is_renamed_closes_under_its_new_name_what_it_began_under_the_old_one() -> None:
    run, renamed = Run(), replace(BTC, base="XBT")
    run.feed(500, -1, 4, CLOSING)
    run.feed(1_000, 0, 1)
    run.closing.rename({BTC.key: renamed})
    assert run.feed(1_500, -1, 4, CLOSING, instrument=renamed) is None, "it was told of as closed"
    assert [(one.key, facts(one)) for one in run.closing.tick(T0 + END + 60_000)] == [
        (renamed.key, (0, 1, BY_TIME, False))
    ]


def test_markets_that_change_names_close_each_its_own_minutes() -> None:
    run = Run()
    run.feed(1_000, 0, 1, instrument=BTC)
    run.feed(1_000, 0, 2, instrument=ETH)
    run.closing.rename({BTC.key: ETH, ETH.key: BTC})
    closed = {one.key: one.volume for one in run.closing.tick(T0 + END + 60_000)}
    assert closed == {ETH.key: 1, BTC.key: 2}


def test_a_placeholder_closes_only_where_quiet_minutes_are_served_and_a_later_one_came() -> None:
    quiet, absent = Run(serves_quiet_minutes=True), Run(serves_quiet_minutes=False)
    for run in (quiet, absent):
        run.feed(0, 0, 0)
        run.feed(END, 1, 0)
    assert quiet.tick(END + 5_000) == [(0, 0, BY_TIME, False)]
    assert quiet.tick(2 * END + 30_000) == []
    assert absent.tick(2 * END + 30_000) == []


def test_a_candle_of_the_future_is_refused() -> None:
    """It would stand as the newest candle until its time comes."""
    with pytest.raises(Malformed, match="candle of the future"):
        Run().feed(0, 6)


def test_memory_does_not_grow_with_time() -> None:
    run = Run()
    for minute in range(5_000):
        run.feed(minute * MINUTE_MS, minute, 1)
        run.tick(minute * MINUTE_MS)
    (series,) = run.closing._series.values()
    assert (len(series.open), len(series.closed)) == (2, REMEMBERED)
    assert series.bits.bit_length() <= OLDEST_MINUTES


def rank(one: Candle | CandleMessage) -> tuple[int, float]:
    return max(one.source, BY_TIME), one.volume


#: No more minutes than are remembered: what is forgotten is left to REST.
FED = st.tuples(st.integers(-2, 2), st.integers(0, 5), st.sampled_from([RUNNING, RUNNING, CLOSING]))
STEPS = st.lists(st.tuples(st.integers(0, 20_000), st.none() | FED), max_size=60)


@given(STEPS)
def test_each_minute_closes_once_whatever_the_interleaving(
    steps: list[tuple[int, tuple[int, int, Source] | None]],
) -> None:
    """And what was announced last is the greatest state since, which is what the store keeps."""
    closing, now_ms = Closing(serves_quiet_minutes=True), T0
    told: dict[int, list[CandleMessage]] = {}
    later: dict[int, list[tuple[int, float]]] = {}
    for wait_ms, one in [*steps, (10 * MINUTE_MS, (10, 1, RUNNING)), (5 * MINUTE_MS, None)]:
        now_ms += wait_ms
        if one is None:
            messages = closing.tick(now_ms)
        else:
            fed = candle(*one)
            if any(before.closed for before in told.get(fed.open_ms, ())):
                later.setdefault(fed.open_ms, []).append(rank(fed))
            messages = [message for message in [closing.feed(fed, now_ms)] if message]
        for message in messages:
            told.setdefault(message.time, []).append(message)

    for open_ms, messages in told.items():
        kinds = [(one.closed, one.corrected) for one in messages]
        assert kinds.count((True, False)) == 1
        assert kinds == sorted(kinds), "running, then closed, then corrected"
        closed = [rank(one) for one in messages if one.closed]
        assert closed == sorted(closed)
        _, volume = max([closed[0], *later.get(open_ms, [])])  # a closing message that changes nothing is no news
        assert closed[-1][1] == volume


@given(st.lists(st.tuples(st.integers(0, 9_000), st.integers(0, 3), st.integers(0, 3)), max_size=60))
def test_the_last_announced_state_is_the_last_that_a_growing_feed_told(steps: list[tuple[int, int, int]]) -> None:
    """Minutes interleave and come late, and a volume only grows, as it does on every exchange."""
    closing, now_ms, volumes, last = Closing(serves_quiet_minutes=True), T0, dict[int, float](), dict[int, float]()
    messages: list[CandleMessage] = []
    for wait_ms, minute, more in steps:
        now_ms += wait_ms
        volumes[minute] = volumes.get(minute, 1) + more
        if told := closing.feed(candle(minute, volumes[minute]), now_ms):
            messages.append(told)
        messages += closing.tick(now_ms)
    messages += closing.tick(now_ms + 10 * MINUTE_MS)
    for one in messages:
        last[(one.time - T0) // MINUTE_MS] = one.volume
    assert last == volumes
    assert sum(one.closed and not one.corrected for one in messages) == len(volumes)


def test_a_minute_that_a_clock_set_forward_closes_is_corrected_until_it_is_right() -> None:
    """It is told as closed too early; the last word is the true one all the same, and no later minute suffers."""
    run = Run()
    run.feed(20_000, 0, 1)
    assert run.tick(20_000 + 75_000) == [(0, 1, BY_TIME, False)], "75 s ahead"
    assert run.feed(40_000, 0, 2) == (0, 2, BY_TIME, True), "right again"
    assert run.feed(55_000 - 60_000, 0, 3) == (0, 3, BY_TIME, True), "a minute late"
    assert run.feed(END + 2_000, 0, 4, CLOSING) == (0, 4, CLOSING, True)
    assert run.feed(END + 3_000, 1, 1) == (1, 1, RUNNING, False)
