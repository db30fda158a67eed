"""What makes a candle that comes from elsewhere impossible."""

from math import isfinite

from app.jobs.asked import EARLIEST_MS
from common.span import MINUTE_MS


def fault_of(
    now_ms: int, open_ms: int, open_: float, high: float, low: float, close: float, volume: float
) -> str | None:
    """Why this cannot be the candle of a minute that is over at `now_ms`, in a few words; None when it can."""
    if (
        0 < low <= open_ <= high < float("inf")
        and low <= close <= high
        and 0 <= volume < float("inf")
        and open_ms % MINUTE_MS == 0
        and EARLIEST_MS <= open_ms <= now_ms - MINUTE_MS
    ):
        return None
    if not all(map(isfinite, (open_, high, low, close, volume))):
        return "a price or the volume is no number"
    if open_ms % MINUTE_MS:
        return "its time does not start a minute"
    if open_ms < EARLIEST_MS:
        return "its time is before the first coin"
    if open_ms > now_ms - MINUTE_MS:
        return "its minute is not over"
    if min(open_, high, low, close) <= 0:
        return "a price is not above 0"
    if high < max(open_, low, close):
        return "high is below another price"
    if low > min(open_, close):
        return "low is above another price"
    return "volume is negative"
