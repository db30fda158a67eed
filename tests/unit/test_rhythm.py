"""A market is missed after a silence that is not its own, and a connection when all of its markets are."""

from common.span import MINUTE_MS
from fetchers.rhythm import Rhythm

T0 = 29_000_000 * MINUTE_MS


def heard(every: dict[str, int], minutes: int) -> Rhythm:
    """Markets that had a candle in each `every`th minute, until T0."""
    rhythm = Rhythm()
    rhythm.expect(every, T0 - minutes * MINUTE_MS)
    for minute in range(-minutes, 1):
        for key, each in every.items():
            if minute % each == 0:
                rhythm.hear(key, T0 + minute * MINUTE_MS + 5_000)
    return rhythm


def after(minutes: float) -> int:
    return T0 + round(minutes * MINUTE_MS)


def first_stale(rhythm: Rhythm, key: str) -> int | None:
    """After how many minutes of silence it is told."""
    return next((minute for minute in range(3_000) if key in rhythm.stale(after(minute))), None)


def test_a_busy_market_is_missed_within_minutes_and_a_quiet_one_after_hours() -> None:
    rhythms = {each: heard({"one": each}, 600) for each in (1, 2, 10, 60)}
    found = {each: first_stale(rhythm, "one") for each, rhythm in rhythms.items()}
    assert found == {1: 6, 2: 23, 10: 136, 60: 754}


def test_one_that_falls_silent_is_told_again_after_twice_as_long_and_no_oftener() -> None:
    rhythm = heard({"one": 1, "two": 1}, 600)
    told = []
    for minute in range(60):
        rhythm.hear("two", after(minute))
        if "one" in rhythm.stale(after(minute)):
            told.append(minute)
    assert told == [6, 11, 21, 41]


def test_a_market_that_was_never_heard_of_is_asked_for_again_soon() -> None:
    rhythm = heard({"one": 1}, 600)
    rhythm.expect(["two"], T0)
    assert [minute for minute in range(10) if "two" in rhythm.stale(after(minute))] == [4, 7]


def test_a_candle_ends_a_silence() -> None:
    rhythm = heard({"one": 1}, 600)
    rhythm.hear("one", after(5))
    assert rhythm.stale(after(8)) == {}


def test_heartbeats_alone_are_no_life_where_many_markets_trade_and_are_where_few_do() -> None:
    busy = heard({f"C{number}": 1 for number in range(25)}, 600)
    quiet = heard({f"C{number}": 60 for number in range(3)}, 600)
    assert [[rhythm.is_dead(after(minute)) for minute in range(4)] for rhythm in (busy, quiet)] == [
        [False, False, True, True],
        [False] * 4,
    ]


def test_a_new_connection_is_not_judged_by_the_silence_before_it() -> None:
    rhythm = heard({f"C{number}": 1 for number in range(25)}, 600)
    rhythm.begin(after(30))
    assert (rhythm.is_dead(after(31)), rhythm.stale(after(32)), rhythm.is_dead(after(32))) == (False, {}, True)


def test_where_nothing_was_ever_heard_a_quarter_of_an_hour_is_enough() -> None:
    rhythm = Rhythm()
    rhythm.expect(["one"], T0)
    rhythm.begin(T0)
    assert [rhythm.is_dead(after(minute)) for minute in (15, 16)] == [False, True]


def test_what_is_left_is_not_missed() -> None:
    rhythm = heard({"one": 1, "two": 1}, 600)
    rhythm.forget(["one"])
    assert rhythm.stale(after(30)) == {"two": 29 * MINUTE_MS}
