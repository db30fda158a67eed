"""Completeness as programs read it: the same rows by CLI and by REST. Times are UTC milliseconds."""

from typing import Any

from app.stores.minutes import MarketMinutes, StateSpan
from common.market import Instrument


def market_row(market: Instrument, minutes: MarketMinutes) -> dict[str, Any]:
    """`first` and `last` are stored minutes; `minutes` is the sum of the states; `gaps` is a part of it."""
    total = minutes.total
    return {
        **market_name(market),
        "listed": minutes.listed_ms,
        "first": minutes.first_ms,
        "last": minutes.last_ms,
        "minutes": total,
        **minutes.states,
        "present_pct": percent(minutes.states["present"], total),
        "gaps": minutes.gaps,
    }


def span_row(told: StateSpan) -> dict[str, Any]:
    """`end` is excluded."""
    start_ms, end_ms = told.span
    minutes = told.span.minutes()
    return {"start": start_ms, "end": end_ms, "minutes": minutes, "state": told.state, "reason": told.reason}


def percent(part: int, whole: int) -> float | None:
    """Rounded down, so that 100 means all; None of nothing."""
    return int(part * 100_000 / whole) / 1000 if whole else None


def market_name(market: Instrument) -> dict[str, str]:
    """`symbol` is the exchange's own spelling."""
    names = {"exchange": market.exchange, "base_id": market.base, "quote_id": market.quote}
    return names | {"symbol": market.native}
