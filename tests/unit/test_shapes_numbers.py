"""Numbers as the clients of exchanges read them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.shapes.numbers import plain, price_scale


@given(st.floats(min_value=0, allow_infinity=False))
def test_the_text_reads_as_the_very_float_without_an_exponent(value: float) -> None:
    assert re.fullmatch(r"\d+(\.\d+)?", plain(value)) and float(plain(value)) == value


def test_the_text_is_the_shortest() -> None:
    assert [plain(value) for value in (61250.0, 0.1, 1e-8, 1.5e-7, 1e22, 0.0)] == [
        "61250",
        "0.1",
        "0.00000001",
        "0.00000015",
        "10000000000000000000000",
        "0",
    ]


@pytest.mark.parametrize(
    ("tick", "price", "scale"),
    [
        (0.01, 9.0, (1, 100)),
        (0.5, 9.0, (5, 10)),
        (2.5e-06, None, (25, 10_000_000)),
        (10.0, 9.0, (10, 1)),
        (1e-08, None, (1, 10**8)),
        (None, 61250.3, (1, 1)),
        (None, 0.00001472, (1, 10**9)),
        (None, 1.5, (1, 10**4)),
        (None, None, (1, 10**8)),
    ],
)
def test_a_price_step_is_a_quotient_of_whole_numbers(
    tick: float | None, price: float | None, scale: tuple[int, int]
) -> None:
    assert price_scale(tick, price) == scale
