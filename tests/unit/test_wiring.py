"""What the settings allow of an exchange's rate."""

import pytest

from app.settings import load_settings
from app.wiring import budget_weight, budget_weight_per_second


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"BUDGET_SHARE": "0.8"}, (480, 8.0)),
        ({"BUDGET_SHARE": "0.5"}, (300, 5.0)),
        ({"BUDGET_SHARE": "0.5", "COINBASE_WEIGHT_PER_MINUTE": "60"}, (30, 0.5)),
    ],
)
def test_whoever_allows_less_of_a_minute_allows_less_of_a_second(
    values: dict[str, str], expected: tuple[int, float]
) -> None:
    settings = load_settings(values)
    found = budget_weight(settings, "coinbase"), budget_weight_per_second(settings, "coinbase")
    assert found == expected
    assert budget_weight_per_second(settings, "binance") is None
