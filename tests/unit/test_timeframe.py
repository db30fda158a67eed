"""Any timeframe, in anybody's spelling, starts where people of that zone expect."""

import random
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import BadInput
from common.interval import Interval
from common.span import MINUTE_MS
from common.timeframe import ALLOWED, Timeframe, Unit, parse

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "America/Havana"]
ZONES += [
    "Atlantic/Azores",
    "America/St_Johns",
    "America/Sao_Paulo",
    "Pacific/Apia",
    "Africa/Casablanca",
    "+08:00",
    "-03:30",
]
any_ms = st.integers(1_230_768_000_000, 1_900_000_000_000)
any_timeframe = st.builds(
    Timeframe,
    count=st.sampled_from([1, 2, 3, 5, 7, 12, 45]),
    unit=st.sampled_from(list(Unit)),
    zone=st.sampled_from(ZONES),
    origin_ms=st.sampled_from([None, 1_700_000_040_000, 172_800_000, 1_704_067_200_000 + 17 * 3_600_000]),
)


def ms(*date: int, zone: str = "UTC") -> int:
    return int(datetime(*date, tzinfo=ZoneInfo(zone)).timestamp() * 1000)  # type: ignore[misc, arg-type]


@pytest.mark.parametrize(
    ("spellings", "count", "unit"),
    [
        ("1 1m 1min 1T m T", 1, Unit.MINUTE),
        ("7m 7 7min 7minutes", 7, Unit.MINUTE),
        ("60 60m 1h 1H 1hour 60min h H 1hr", 60, Unit.MINUTE),
        ("240 4h 4H", 240, Unit.MINUTE),
        ("1440 24h", 1440, Unit.MINUTE),
        ("1D 1d D d 1day", 1, Unit.DAY),
        ("1W 1w W 7D 7d 1week W-MON W-SUN", 7, Unit.DAY),
        ("1M 1mo 1MO 1MS 1ME M MS 1month 1mon", 1, Unit.MONTH),
        ("3M 1Q 1q QS QE 3mo", 3, Unit.MONTH),
        ("1Y 1y 12M YS YE 4Q 1year", 12, Unit.MONTH),
    ],
)
def test_one_timeframe_has_many_spellings(spellings: str, count: int, unit: Unit) -> None:
    assert {parse(spelling) for spelling in spellings.split()} == {Timeframe(count, unit)}


@pytest.mark.parametrize(
    "text",
    ["", "0", "0m", "x", "1s", "1S", "5ms", "5me", "-5m", "1.5h", "11Y", "5256001", "99999999", "1h30m", "٣m"],
)
def test_what_is_no_timeframe_is_told_what_would_be(text: str) -> None:
    with pytest.raises(BadInput) as told:
        parse(text)
    assert (told.value.field, told.value.allowed) == ("interval", ALLOWED)
    assert str(told.value) == f"Unknown interval {text!r}; use {ALLOWED}."


@pytest.mark.parametrize(
    "zone", ["Mars", "europe/berlin", "../etc/passwd", "Europe", "+8", "+24:00", "x" * 5000, "a\0b"]
)
def test_what_is_no_zone_is_told_what_would_be(zone: str) -> None:
    with pytest.raises(BadInput) as told:
        parse("1D", zone)
    assert (told.value.field, told.value.allowed) == (
        "tz",
        "a name such as Europe/Berlin, or an offset such as +08:00",
    )


def test_an_origin_that_cannot_be_is_told_what_could() -> None:
    with pytest.raises(BadInput) as seconds:
        parse("7m", None, 1_704_067_200_001)
    with pytest.raises(BadInput) as late:
        parse("1M", None, ms(2024, 1, 31))
    assert [told.value.field for told in (seconds, late)] == ["origin", "origin"]
    assert parse("1D", None, ms(2024, 1, 31)).count == 1


@pytest.mark.parametrize(
    ("text", "zone", "origin", "start", "following"),
    [
        ("45m", None, None, ms(2024, 2, 29, 13, 30), ms(2024, 2, 29, 14, 15)),
        ("8h", None, None, ms(2024, 2, 29, 8), ms(2024, 2, 29, 16)),
        ("3D", None, None, ms(2024, 2, 29), ms(2024, 3, 3)),
        ("1W", None, None, ms(2024, 2, 26), ms(2024, 3, 4)),
        ("3M", None, None, ms(2024, 1, 1), ms(2024, 4, 1)),
        ("1Y", None, None, ms(2024, 1, 1), ms(2025, 1, 1)),
        ("1D", "Asia/Kathmandu", None, ms(2024, 2, 28, 18, 15), ms(2024, 2, 29, 18, 15)),
        ("1W", "Asia/Tokyo", None, ms(2024, 2, 25, 15), ms(2024, 3, 3, 15)),
        ("1M", "America/New_York", None, ms(2024, 2, 1, 5), ms(2024, 3, 1, 5)),
        ("3M", "Europe/Berlin", None, ms(2023, 12, 31, 23), ms(2024, 3, 31, 22)),
        ("1D", " 08:00", None, ms(2024, 2, 28, 16), ms(2024, 2, 29, 16)),
        ("4h", "Europe/Berlin", None, ms(2024, 2, 29, 12), ms(2024, 2, 29, 16)),
        ("1D", "America/New_York", ms(2024, 1, 1, 22), ms(2024, 2, 28, 22), ms(2024, 2, 29, 22)),
        ("7m", None, ms(2024, 2, 29, 13, 41), ms(2024, 2, 29, 13, 41), ms(2024, 2, 29, 13, 48)),
        ("1M", None, ms(2023, 6, 15, 17), ms(2024, 2, 15, 17), ms(2024, 3, 15, 17)),
    ],
)
def test_a_moment_falls_in_this_bucket(
    text: str, zone: str | None, origin: int | None, start: int, following: int
) -> None:
    timeframe, moment = parse(text, zone, origin), ms(2024, 2, 29, 13, 47, 12)  # a Thursday
    assert (timeframe.floor(moment), timeframe.after(moment)) == (start, following)


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", (2024, 3, 31), 23),
        ("Europe/Berlin", (2024, 10, 27), 25),
        ("Australia/Lord_Howe", (2024, 4, 7), 24.5),
        ("America/Sao_Paulo", (2018, 11, 4), 23),  # its clocks skipped midnight
        ("America/Havana", (2024, 11, 3), 25),  # and here midnight came twice
        ("Pacific/Apia", (2011, 12, 29), 24),  # the 30th was left out
    ],
)
def test_days_are_as_long_as_the_zones_clocks_make_them(zone: str, day: tuple, hours: float) -> None:
    timeframe, noon = parse("1D", zone), ms(*day, 12, zone=zone)
    assert timeframe.after(noon) - timeframe.floor(noon) == hours * 3_600_000


@given(any_timeframe, any_ms)
def test_buckets_tile_time(timeframe: Timeframe, moment: int) -> None:
    start, following = timeframe.floor(moment), timeframe.after(moment)
    assert start <= moment < following
    assert timeframe.floor(start) == timeframe.floor(following - 1) == start
    assert timeframe.floor(following) == following
    assert timeframe.back(following, 1) == start


def test_going_back_ends_in_1970() -> None:
    assert parse("10Y").back(ms(2024, 1, 1), 500) == ms(1970, 1, 1)


@given(st.sampled_from(list(Interval)), any_ms, st.integers(0, 500))
def test_stored_timeframes_have_the_buckets_that_they_always_had(
    interval: Interval, moment: int, bars: int
) -> None:
    timeframe = parse(interval.value)
    assert timeframe.stored is interval
    assert [timeframe.floor(moment), timeframe.after(moment)] == [interval.floor(moment), interval.after(moment)]
    assert timeframe.back(moment, bars) == max(interval.back(moment, bars), timeframe.floor(0))


def test_only_what_has_the_same_buckets_is_stored() -> None:
    assert [parse(text).stored for text in ("24h", "2W", "10080", "12M", "2h")] == [
        Interval.D1,
        Interval.D14,
        Interval.D7,
        None,
        None,
    ]
    assert (parse("1D", "Europe/Berlin").stored, parse("1h", "Europe/Berlin").stored) == (None, Interval.H1)
    assert parse("1h", None, 0).stored is None


def test_a_timeframe_is_written_as_the_stored_ones_are() -> None:
    texts = "1m 7m 1h 36h 1D 7D 3M 1Y 30M"
    assert " ".join(str(parse(text)) for text in texts.split()) == texts


def test_buckets_of_days_are_the_calendars_days() -> None:
    """Against a walk through the year by local date, minute by minute where clocks change."""
    chance = random.Random(4)
    for zone in ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"):
        for _ in range(200):
            moment = ms(2024, 1, 1) + chance.randrange(366 * 1440) * MINUTE_MS
            date = datetime.fromtimestamp(moment / 1000, ZoneInfo(zone)).date()
            first = min(
                at
                for at in (moment - back * MINUTE_MS for back in range(26 * 60))
                if datetime.fromtimestamp(at / 1000, UTC).astimezone(ZoneInfo(zone)).date() == date
            )
            assert parse("1D", zone).floor(moment) == first
            following = datetime(date.year, date.month, date.day, tzinfo=ZoneInfo(zone)) + timedelta(days=1)
            assert parse("1D", zone).after(moment) == int(following.timestamp() * 1000)
