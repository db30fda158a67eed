"""Numbers as the clients of exchanges read them."""

from decimal import Decimal
from math import floor, log10

#: What a candle's price or amount is told in at most, where nobody states a step.
DECIMALS = 8


def plain(value: float) -> str:
    """The shortest text that reads as this very float, never with an exponent."""
    text = repr(value)
    return format(Decimal(text), "f") if "e" in text else text.removesuffix(".0")


def price_scale(tick_size: float | None, price: float | None) -> tuple[int, int]:
    """TradingView's (minmov, pricescale), whose quotient is the smallest price step.

    Without a stated step five significant digits of `price` decide, as on our own chart.
    """
    if tick_size:
        step = Decimal(repr(tick_size))
        decimals = max(0, -int(step.normalize().as_tuple().exponent))
        return int(step.scaleb(decimals)), 10**decimals
    if not price:
        return 1, 10**DECIMALS
    return 1, 10 ** min(12, max(0, 4 - floor(log10(price))))
