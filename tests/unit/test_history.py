"""Walking a span page by page: what is asked, and what the answers count for."""

import json
from dataclasses import replace

from common.clock import Clock
from common.market import Instrument, Source
from common.ports import Request
from common.span import DAY_MS, MINUTE_MS, Span
from fetchers import registry
from fetchers.history import history
from fetchers.listing import first_minute

DAY = 1_735_689_600_000  # 2025-01-01T00:00:00Z
BTC = {
    "binance": Instrument("binance", "BTC", "USDT", "BTCUSDT", "BTC", "USDT"),
    "bitfinex": Instrument("bitfinex", "BTC", "USDT", "BTCUST", "BTC", "UST"),
    "bittrex": Instrument("bittrex", "BTC", "USDT", "BTC-USDT", "BTC", "USDT"),
}


class StoppedClock(Clock):
    """A clock that shows what it is told."""

    shown_ms: list[int]

    def __init__(self, *shown_ms: int) -> None:
        super().__init__()
        object.__setattr__(self, "shown_ms", list(shown_ms))

    def now_ms(self) -> int:
        return self.shown_ms.pop(0) if len(self.shown_ms) > 1 else self.shown_ms[0]


def bitfinex_row(ms: int) -> list[float]:
    return [ms, 1.0, 1.5, 2.0, 0.5, 3.25]


async def pages(exchange: str, span: Span, clock: Clock, body: bytes = b"[]") -> tuple[list[Request], list[Span]]:
    asked: list[Request] = []

    async def get(request: Request) -> bytes:
        asked.append(request)
        return body

    walk = history(registry.get(exchange), BTC[exchange], span, get=get, clock=clock)
    return asked, [answer.span async for answer in walk]


async def test_pages_go_backwards_overlap_nothing_and_are_the_whole_span() -> None:
    span = Span(DAY + 5 * MINUTE_MS, DAY + 3 * DAY_MS + 7 * MINUTE_MS)
    for exchange, count in (("binance", 5), ("bitfinex", 1), ("bittrex", 4)):
        asked, spans = await pages(exchange, span, StoppedClock(DAY + 30 * DAY_MS))
        assert [span.end_ms, *(one.start_ms for one in spans)] == [*(one.end_ms for one in spans), span.start_ms]
        assert len(asked) == len(set(map(str, asked))) == count


async def test_bittrex_days_are_calendar_days_so_that_none_loses_its_first_hours() -> None:
    span = Span(DAY + 329 * MINUTE_MS, DAY + 2 * DAY_MS + 329 * MINUTE_MS)
    asked, spans = await pages("bittrex", span, StoppedClock(DAY + 2 * DAY_MS + 400 * MINUTE_MS))
    assert [request.path.split("MINUTE_1/")[1] for request in asked] == [
        "recent",
        "historical/2025/1/2",
        "historical/2025/1/1",
    ]
    assert spans == [
        Span(DAY + 2 * DAY_MS, span.end_ms),
        Span(DAY + DAY_MS, DAY + 2 * DAY_MS),
        Span(span.start_ms, DAY + DAY_MS),
    ]


async def test_an_answer_that_crossed_midnight_is_asked_again_as_the_day_it_now_is() -> None:
    before, after = DAY + DAY_MS - 1000, DAY + DAY_MS + 120_000
    asked, _ = await pages("bittrex", Span(DAY, DAY + DAY_MS), StoppedClock(before, after))
    assert [request.path.split("MINUTE_1/")[1] for request in asked] == ["recent", "historical/2025/1/1"]


async def test_only_minutes_that_were_settled_before_the_request_are_the_record() -> None:
    now_ms = DAY + 10 * MINUTE_MS + 20_000
    body = json.dumps([bitfinex_row(DAY + n * MINUTE_MS) for n in range(6, 11)]).encode()

    async def get(_: Request) -> bytes:
        return body

    span = Span(DAY, DAY + 11 * MINUTE_MS)
    walk = history(registry.get("bitfinex"), BTC["bitfinex"], span, get=get, clock=StoppedClock(now_ms))
    (answer,) = [one async for one in walk]
    # 90 s before 10:20 is 8:50: the minute of 7:00 has ended by then, that of 8:00 has not; 10:00 still runs.
    assert answer.settled == Span(DAY, DAY + 8 * MINUTE_MS)
    assert [(candle.open_ms, candle.source) for candle in answer.candles] == [
        (DAY + 6 * MINUTE_MS, Source.RECORD),
        (DAY + 7 * MINUTE_MS, Source.RECORD),
        (DAY + 8 * MINUTE_MS, Source.CLOSED_BY_TIME),
        (DAY + 9 * MINUTE_MS, Source.CLOSED_BY_TIME),
    ]


async def test_a_span_of_minutes_that_are_not_settled_counts_for_nothing() -> None:
    async def get(_: Request) -> bytes:
        return b"[]"

    span = Span(DAY, DAY + MINUTE_MS)
    walk = history(registry.get("binance"), BTC["binance"], span, get=get, clock=StoppedClock(DAY + 61_000))
    assert [answer.settled.is_empty() async for answer in walk] == [True]


async def test_each_minute_is_asked_for_under_the_name_of_its_time_and_told_under_the_present_one() -> None:
    matic = replace(BTC["binance"], base="MATIC", native="MATICUSDT", serves_before_ms=DAY + 10 * MINUTE_MS)
    frax = replace(matic, native="OLDESTUSDT", serves_before_ms=DAY + 4 * MINUTE_MS)
    merely_spelled = replace(matic, native="POL-USDT", serves_before_ms=None)
    pol = replace(BTC["binance"], base="POL", native="POLUSDT", former=(merely_spelled, matic, frax))
    asked: list[Request] = []

    async def get(request: Request) -> bytes:
        asked.append(request)
        row = [request.params["startTime"], "1", "2", "0.5", "1", "3", 0, "4", 5, "0", "0", "0"]
        return json.dumps([row]).encode()

    binance, clock, span = registry.get("binance"), StoppedClock(DAY + DAY_MS), Span(DAY, DAY + 30 * MINUTE_MS)
    answers = [answer async for answer in history(binance, pol, span, get=get, clock=clock)]
    assert [(one.params["symbol"], one.params["startTime"]) for one in asked] == [
        ("POLUSDT", DAY + 10 * MINUTE_MS),
        ("MATICUSDT", DAY + 4 * MINUTE_MS),
        ("OLDESTUSDT", DAY),
    ]
    assert {candle.instrument.key for answer in answers for candle in answer.candles} == {pol.key}
    await first_minute(binance, pol, get=get, clock=clock)
    assert asked[-1].params["symbol"] == "OLDESTUSDT"
