"""What the plan hands out and takes back: leased pages, and what was answered for them."""

import heapq
from collections.abc import Callable, Iterable
from typing import NamedTuple

from app.stores.candles import StoredCandle
from common.span import Span

#: Of a symbol's id and a free piece of it: the newest page of that piece.
PageOf = Callable[[int, Span], Span]


class Lease(NamedTuple):
    """One page that a worker may ask for until `expires_ms`."""

    id: int
    job_id: int
    symbol_id: int
    span: Span
    expires_ms: int


class Answered(NamedTuple):
    """A leased page's candles, and the part of it that is answered for good."""

    lease: Lease
    rows: list[StoredCandle]
    covered: Span


def newest_pages(pieces: Iterable[tuple[int, Span]], page_of: PageOf, most: int) -> list[tuple[int, Span]]:
    """At most `most` pages of these pieces of symbols, newest first."""
    waiting = [(-piece.end_ms, symbol_id, piece) for symbol_id, piece in pieces]
    heapq.heapify(waiting)
    pages: list[tuple[int, Span]] = []
    while waiting and len(pages) < most:
        _, symbol_id, piece = heapq.heappop(waiting)
        page = page_of(symbol_id, piece).clip(piece)
        if page.is_empty():
            raise ValueError(f"no page of {piece} for symbol {symbol_id}")
        pages.append((symbol_id, page))
        if page.start_ms > piece.start_ms:
            heapq.heappush(waiting, (-page.start_ms, symbol_id, Span(piece.start_ms, page.start_ms)))
    return pages
