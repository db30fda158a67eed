"""How the exchanges print numbers and times; every number reads back as the same float64."""

from datetime import UTC, datetime
from decimal import Decimal


def fixed8(number: float) -> str:
    """`0.00000812`: eight decimals, as Binance and Bittrex print; more only where eight would change the value."""
    text = f"{number:.8f}"
    return text if float(text) == number else format(Decimal(repr(number)), "f")


def javascript(number: float) -> str:
    """`10338`, `0.00000812`, `8.1e-7`: JSON as a JavaScript server such as Bitfinex prints it."""
    if number == int(number) and abs(number) < 1e15:
        return str(int(number))
    text = repr(number)
    if "e" not in text:
        return text
    if abs(number) >= 1e-6:
        return format(Decimal(text), "f")
    mantissa, exponent = text.split("e")
    return f"{mantissa}e{int(exponent)}"


def plain(number: float) -> str:
    """`65140.5`, `0`, `0.00000812`: as few digits as there are, never an exponent, as Bybit and OKX print."""
    text = format(Decimal(repr(number)), "f")
    return text.removesuffix(".0")


def iso(ms: int) -> str:
    """`2021-06-14T01:54:00Z`."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
