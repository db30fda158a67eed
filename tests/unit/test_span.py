"""Spans are sets of milliseconds; every operation agrees with plain sets."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from common.span import MINUTE_MS, Span, common, floor_minute, union

span = st.tuples(st.integers(0, 40), st.integers(0, 40)).map(lambda ends: Span(*ends))
spans = st.lists(span, max_size=6)


def moments(*of: Span) -> set[int]:
    return {ms for one in of for ms in range(one.start_ms, one.end_ms)}


@given(span, spans)
def test_minus_leaves_exactly_what_is_not_covered(whole: Span, covered: list[Span]) -> None:
    left = whole.minus(covered)
    assert moments(*left) == moments(whole) - moments(*covered)
    assert left == union(left)


@given(spans)
def test_union_is_the_same_time_in_the_fewest_ascending_pieces(pieces: list[Span]) -> None:
    merged = union(pieces)
    assert moments(*merged) == moments(*pieces)
    assert all(one.end_ms < other.start_ms for one, other in itertools.pairwise(merged))


@given(span, span)
def test_clip_keeps_what_both_have(one: Span, other: Span) -> None:
    assert moments(one.clip(other)) == moments(one) & moments(other)


@given(spans, spans)
def test_common_is_what_two_lists_have(one: list[Span], other: list[Span]) -> None:
    both = common(union(one), union(other))
    assert moments(*both) == moments(*one) & moments(*other)
    assert not any(piece.is_empty() for piece in both)


@given(span, st.integers(-5, 45))
def test_has_excludes_the_end(one: Span, ms: int) -> None:
    assert one.has(ms) == (ms in moments(one))


def test_minutes_are_whole_ones() -> None:
    assert Span(0, 3 * MINUTE_MS + 59_999).minutes() == 3
    assert Span(5, 0).minutes() == 0
    assert floor_minute(119_999) == 60_000
