"""Buckets start where people expect: weeks on Mondays, months on the first, all in UTC."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import BadInput
from common.interval import ROLLUPS, Interval

any_ms = st.integers(1_200_000_000_000, 1_900_000_000_000)
any_interval = st.sampled_from(list(Interval))


def ms(year: int, month: int, day: int, *time: int) -> int:
    # mypy knows no signature that takes the hour, minute and second as one
    return int(datetime(year, month, day, *time, tzinfo=UTC).timestamp() * 1000)  # type: ignore[misc, arg-type]


MOMENT = ms(2024, 2, 29, 13, 47, 12)  # a Thursday


@pytest.mark.parametrize(
    ("text", "start", "following"),
    [
        ("1m", ms(2024, 2, 29, 13, 47), ms(2024, 2, 29, 13, 48)),
        ("5m", ms(2024, 2, 29, 13, 45), ms(2024, 2, 29, 13, 50)),
        ("15m", ms(2024, 2, 29, 13, 45), ms(2024, 2, 29, 14, 0)),
        ("30m", ms(2024, 2, 29, 13, 30), ms(2024, 2, 29, 14, 0)),
        ("1h", ms(2024, 2, 29, 13), ms(2024, 2, 29, 14)),
        ("3h", ms(2024, 2, 29, 12), ms(2024, 2, 29, 15)),
        ("6h", ms(2024, 2, 29, 12), ms(2024, 2, 29, 18)),
        ("12h", ms(2024, 2, 29, 12), ms(2024, 3, 1)),
        ("1D", ms(2024, 2, 29), ms(2024, 3, 1)),
        ("7D", ms(2024, 2, 26), ms(2024, 3, 4)),
        ("14D", ms(2024, 2, 26), ms(2024, 3, 11)),
        ("1M", ms(2024, 2, 1), ms(2024, 3, 1)),
    ],
)
def test_a_moment_falls_in_this_bucket(text: str, start: int, following: int) -> None:
    interval = Interval.parse(text)
    assert (interval.floor(MOMENT), interval.after(MOMENT)) == (start, following)


@given(any_interval, any_ms)
def test_buckets_tile_time(interval: Interval, moment: int) -> None:
    start, following = interval.floor(moment), interval.after(moment)
    assert start <= moment < following
    assert interval.floor(following) == following
    assert interval.back(following, 1) == start


def test_there_are_eleven_rollups_of_the_minute() -> None:
    assert (len(ROLLUPS), ROLLUPS[0], ROLLUPS[-1]) == (11, Interval.M5, Interval.MONTH)


def test_an_unknown_interval_is_told_with_the_list_of_known_ones() -> None:
    with pytest.raises(BadInput) as told:
        Interval.parse("7m")
    assert str(told.value) == (
        "Unknown interval '7m'; use one of 1m, 5m, 15m, 30m, 1h, 3h, 6h, 12h, 1D, 7D, 14D, 1M."
    )
    assert told.value.field == "interval"
