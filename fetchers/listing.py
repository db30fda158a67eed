"""Find a market's first minute: ask for the oldest candle where the exchange offers that, else halve the years.

A wrong answer would hide history for good, so an empty page counts as "not yet listed" only if the page a week
later is empty too: no outage lasts that long, and every market that an exchange keeps trades within a week.
"""

from common.clock import Clock
from common.market import Candle, Instrument
from common.ports import Exchange
from common.span import DAY_MS, MINUTE_MS, Span, floor_minute
from fetchers.history import Get

#: 2010-01-01: no exchange is older.
FIRST_MS = 1_262_304_000_000
WEEK_MS = 7 * DAY_MS
#: A search is worth it for a market with more pages to ask for than this, and than so many times its own requests.
PAGES, TIMES = 20, 3
_HALVINGS = 14


def worth_ms(exchange: Exchange, instrument: Instrument) -> int:
    """How much must be wanted of a market before its first minute is looked for."""
    requests = 1 if exchange.oldest(instrument) else 2 * _HALVINGS
    return max(PAGES, TIMES * requests) * exchange.limits.page_minutes * MINUTE_MS


async def first_minute(exchange: Exchange, instrument: Instrument, *, get: Get, clock: Clock) -> int | None:
    """When the market's first candle begins, in UTC milliseconds; None where the exchange has none at all.

    Looked for under the name by which the exchange has the oldest. Raises what `get` raises, and Malformed.
    """
    now_ms = floor_minute(clock.now_ms())
    instrument, _ = instrument.asked_as(Span(FIRST_MS - MINUTE_MS, FIRST_MS))
    if request := exchange.oldest(instrument):
        candles = exchange.parse_candles(await get(request), instrument, Span(0, now_ms))
        return candles[0].open_ms if candles else None
    return await _halve(exchange, instrument, now_ms, get)


async def _halve(exchange: Exchange, instrument: Instrument, now_ms: int, get: Get) -> int | None:
    """Nothing is known to be before `empty_ms`, and a candle to be at `found_ms`, once that is not None."""

    async def oldest_of_page_before(end_ms: int) -> int | None:
        page = exchange.page(instrument, Span(FIRST_MS, end_ms), now_ms)
        candles: list[Candle] = exchange.parse_candles(await get(page.request), instrument, page.span)
        return candles[0].open_ms if candles else None

    empty_ms, upper_ms, found_ms = FIRST_MS, now_ms, None
    page_ms = exchange.limits.page_minutes * MINUTE_MS
    while upper_ms - empty_ms > MINUTE_MS:
        is_last = upper_ms - empty_ms <= page_ms
        middle_ms = upper_ms if is_last else floor_minute((empty_ms + upper_ms) // 2)
        oldest_ms = await oldest_of_page_before(middle_ms)
        if oldest_ms is None and not is_last and middle_ms + WEEK_MS < upper_ms:
            oldest_ms = await oldest_of_page_before(middle_ms + WEEK_MS)
        if oldest_ms is not None:
            upper_ms = found_ms = oldest_ms
        elif is_last:
            break
        else:
            empty_ms = middle_ms
    return found_ms
