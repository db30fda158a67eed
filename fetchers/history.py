"""Walk a span of an exchange's candle history page by page, newest first."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import NamedTuple

from common.clock import Clock
from common.market import Candle, Instrument, Source
from common.ports import Exchange, Request
from common.span import MINUTE_MS, Span, floor_minute

#: Asks one exchange and returns the body of its answer; raises Retryable or Rejected.
Get = Callable[[Request], Awaitable[bytes]]


class Answer(NamedTuple):
    """What the exchange said about `span`, and the part of it that will not change any more.

    Candles inside `settled` are the record. Later ones have ended, but the exchange may still correct them,
    so they rank below its closing message.
    """

    span: Span
    settled: Span
    candles: list[Candle]


async def history(
    exchange: Exchange, instrument: Instrument, span: Span, *, get: Get, clock: Clock
) -> AsyncIterator[Answer]:
    """Pages that overlap nothing and together are all of `span`; each is asked when the caller wants it."""
    left = span
    while not left.is_empty():
        answer = await newest_page(exchange, instrument, left, get=get, clock=clock)
        yield answer
        left = Span(left.start_ms, answer.span.start_ms)


async def newest_page(
    exchange: Exchange, instrument: Instrument, wanted: Span, *, get: Get, clock: Clock
) -> Answer:
    """Ask for the newest page of `wanted`, under the name by which the exchange has it."""
    sent_ms = clock.now_ms()
    name, wanted = instrument.asked_as(wanted)
    page = exchange.page(name, wanted, sent_ms)
    body = await get(page.request)
    # What a request means can depend on the day it reaches the exchange ("the last 24 hours"), and waiting for
    # the rate budget can take it past midnight: such an answer speaks for other minutes than those asked.
    now_ms = clock.now_ms()
    if (again := exchange.page(name, wanted, now_ms)).request != page.request:
        sent_ms, page = now_ms, again
        body = await get(page.request)
    candles = exchange.parse_candles(body, name, page.span)
    if name is not instrument:
        candles = [candle._replace(instrument=instrument) for candle in candles]
    return _answer(page.span, candles, sent_ms, settle_ms=round(exchange.limits.settle_s * 1000))


def _answer(span: Span, candles: list[Candle], sent_ms: int, settle_ms: int) -> Answer:
    settled = Span(span.start_ms, max(span.start_ms, min(span.end_ms, floor_minute(sent_ms - settle_ms))))
    if not candles or candles[-1].open_ms < settled.end_ms:  # as nearly always in history
        return Answer(span, settled, candles)
    ended = (candle for candle in candles if candle.open_ms + MINUTE_MS <= sent_ms)
    return Answer(
        span, settled, [candle if settled.has(candle.open_ms) else _unsettled(candle) for candle in ended]
    )


def _unsettled(candle: Candle) -> Candle:
    return candle._replace(source=Source.CLOSED_BY_TIME)
