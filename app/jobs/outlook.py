"""What a fetch would ask for, before anybody asks: pages, weight, rows, and how long that takes."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from common.market import Instrument
from common.ports import Exchange, Page
from common.span import Span


class Outlook(NamedTuple):
    """`rows` is the most there can be: quiet minutes and those before a market's listing have none.

    `weight` is in the exchange's rate units, of which `weight_per_minute` are allowed; a page is one request.
    """

    symbols: int
    pages: int
    rows: int
    weight: int
    weight_per_minute: int

    @property
    def seconds(self) -> float:
        return 60 * self.weight / self.weight_per_minute


def look_ahead(
    exchange: Exchange,
    markets: Mapping[int, Instrument],
    missing: Mapping[int, Sequence[Span]],
    *,
    now_ms: int,
    weight_per_minute: int,
) -> Outlook:
    """Of what is `missing` by symbol id."""
    symbols = pages = rows = weight = 0
    for symbol_id, spans in missing.items():
        symbols += bool(spans)
        rows += sum(span.minutes() for span in spans)
        for span in spans:
            for page in _pages(exchange, markets[symbol_id], span, now_ms):
                pages += 1
                weight += page.request.weight
    return Outlook(symbols, pages, rows, weight, weight_per_minute)


def _pages(exchange: Exchange, market: Instrument, span: Span, now_ms: int) -> Iterator[Page]:
    while not span.is_empty():
        name, part = market.asked_as(span)
        page = exchange.page(name, part, now_ms)
        yield page
        span = Span(span.start_ms, page.span.start_ms)
