"""Counts below bounds, as Prometheus adds them up."""

from math import inf

from common.histogram import Histogram


def test_a_value_is_counted_at_every_bound_that_it_does_not_exceed() -> None:
    values = Histogram((1, 5, 10))
    for value in (0.5, 1, 1.5, 10, 11, 100):
        values.add(value)
    assert values.cumulative() == [(1, 2), (5, 3), (10, 4), (inf, 6)]
    assert values.sum == 124


def test_without_values_there_is_nothing() -> None:
    empty = Histogram((1,))
    assert (empty.cumulative(), empty.sum) == ([(1, 0), (inf, 0)], 0)
