"""One running bar, made of a stored part and the minutes after it."""

from app.messages import CandleMessage
from common.interval import Interval
from common.market import Bar
from common.span import MINUTE_MS
from web.live.bucket import CLOSE_AFTER_MS, Bucket, combine

START = 1_715_774_400_000  # 2024-05-15 12:00 UTC


def minute(number: int, price: float, volume: float = 1.0) -> Bar:
    return Bar(START + number * MINUTE_MS, price, price + 1, price - 1, price, volume)


def hear(bucket: Bucket, bar: Bar, *, told_ms: int = START, closed: bool = False, source: int = 0) -> bool:
    facts = (None, None, source or (1 if closed else 0), told_ms)
    return bucket.hear(CandleMessage("binance", "spot", "BTC", "USDT", *bar[:6], *facts))


def test_a_bar_is_the_first_open_the_last_close_the_extremes_and_the_exact_sum() -> None:
    parts = [minute(0, 10, 0.1), minute(1, 30, 0.2), minute(2, 20, 0.3)]
    assert combine(parts, START) == Bar(START, 10, 31, 9, 20, 0.6)
    assert combine([], START) is None


def test_minutes_count_in_order_of_time_whenever_they_are_heard() -> None:
    bucket = Bucket(Interval.M5, START)
    for number in (2, 0, 1):
        assert hear(bucket, minute(number, 10 + number))
    assert bucket.bar() == Bar(START, 10, 13, 9, 12, 3)


def test_a_closed_minute_never_runs_again_and_may_be_corrected() -> None:
    bucket = Bucket(Interval.M5, START)
    hear(bucket, minute(0, 10), closed=True)
    hear(bucket, minute(0, 99))
    assert bucket.bar() == minute(0, 10)
    hear(bucket, minute(0, 11), closed=True)
    assert bucket.bar() == minute(0, 11)


def test_what_a_lower_source_says_of_a_closed_minute_is_passed_over() -> None:
    """A stream that hung goes on, and closes by time a minute of which REST has told since."""
    bucket = Bucket(Interval.M5, START)
    hear(bucket, minute(0, 10), source=3)
    hear(bucket, minute(0, 99), source=1)
    assert bucket.bar() == minute(0, 10)
    hear(bucket, minute(0, 11), source=3)
    assert bucket.bar() == minute(0, 11)


def test_of_two_streams_that_close_a_minute_by_time_the_one_that_heard_more_of_it_is_believed() -> None:
    """Whoever has just lost a market may close a minute of it as it stood then."""
    bucket = Bucket(Interval.M5, START)
    hear(bucket, minute(0, 10, 5.4), source=1)
    hear(bucket, minute(0, 11, 17.1), source=1)
    hear(bucket, minute(0, 10, 5.4), source=1)
    assert bucket.bar() == minute(0, 11, 17.1)


def test_a_minute_of_the_stored_part_asks_for_reading_it_again_and_counts_once() -> None:
    bucket = Bucket(Interval.H3, START)
    stored = Bar(START, 10, 50, 5, 20, 60)
    bucket.take(stored, START + 60 * MINUTE_MS, [minute(60, 21)], heard_after_ms=START)
    before = bucket.bar()
    assert hear(bucket, minute(7, 1000), closed=True) is False
    assert bucket.bar() == before == Bar(START, 10, 50, 5, 21, 61)


def test_the_database_replaces_what_was_heard_long_ago_and_nothing_else() -> None:
    bucket = Bucket(Interval.M5, START)
    hear(bucket, minute(0, 10), told_ms=START)
    hear(bucket, minute(1, 11), told_ms=START + 100)
    hear(bucket, minute(2, 12), told_ms=START)
    bucket.take(None, START, [minute(0, 20), minute(1, 21)], heard_after_ms=START)
    assert bucket.bar() == combine([minute(0, 20), minute(1, 11), minute(2, 12)], START)


def test_what_rest_said_stays_though_the_database_is_slow_to_have_it() -> None:
    """It is told before it is committed: what is read meanwhile is the part that the feed had told."""
    bucket = Bucket(Interval.M5, START)
    hear(bucket, minute(0, 10), source=1, told_ms=START)
    hear(bucket, minute(0, 12), source=3, told_ms=START + 1)
    bucket.take(None, START, [minute(0, 10)], heard_after_ms=START + 60_000)
    assert bucket.bar() == minute(0, 12)


def test_a_bucket_is_over_with_its_last_minute_or_half_a_minute_later() -> None:
    bucket = Bucket(Interval.M5, START)
    hear(bucket, minute(3, 10), closed=True)
    assert not bucket.is_over(bucket.end_ms + CLOSE_AFTER_MS - 1)
    assert bucket.is_over(bucket.end_ms + CLOSE_AFTER_MS)
    hear(bucket, minute(4, 10), closed=True)
    assert bucket.is_over(bucket.end_ms)
