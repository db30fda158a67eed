"""Walking a range page by page: each answer names the window that is next to its own."""

from collections.abc import Sequence
from typing import Literal, NamedTuple
from urllib.parse import urlencode

from starlette.requests import Request

from app.stores.candles import FIRST_MS
from common.market import Bar
from common.span import MINUTE_MS, Span
from web.deps import Deps
from web.shapes.oldest import oldest
from web.window import Gap, Window, fill_empty

Take = Literal["newest", "oldest"]


class Page(NamedTuple):
    """Bars, ascending, and the `start` and `end` of the page after it; None where it is the last.

    Pages are bounded by moments and not by counts, so whatever is stored between two requests, no bar comes twice
    and none that was there is left out.
    """

    bars: Sequence[Bar | Gap]
    following: dict[str, int] | None


async def newest_page(
    deps: Deps, symbol_id: int, asked: Window, then_ms: int | None, fill: str, now_ms: int
) -> Page:
    """The newest of the window, as they are now or were known at `then_ms`; older ones follow."""
    if not asked.limit:
        return Page([], None)
    one_more = asked._replace(limit=asked.limit + 1)
    bars = await read(deps, symbol_id, one_more, then_ms)
    shown: Sequence[Bar | Gap] = bars[-asked.limit :]
    if fill != "none":
        shown = fill_empty(bars, asked, then_ms or now_ms, previous=fill == "previous")
        shown = shown[-asked.limit :]
    if not shown or bars[0].open_ms >= shown[0].open_ms:
        return Page(shown, None)
    window = {} if asked.start_ms is None else {"start": asked.start_ms}
    return Page(shown, {**window, "end": shown[0].open_ms - MINUTE_MS})


async def oldest_page(deps: Deps, symbol_id: int, asked: Window) -> Page:
    """The oldest of the window; newer ones follow, up to the end that the first page had."""
    if not asked.limit:
        return Page([], None)
    span = Span(FIRST_MS if asked.start_ms is None else asked.start_ms, asked.end_ms + MINUTE_MS)
    bars = await oldest(deps.candles, symbol_id, asked.timeframe, span, asked.limit + 1)
    shown = bars[: asked.limit]
    if len(bars) == len(shown):
        return Page(shown, None)
    return Page(shown, {"start": shown[-1].open_ms + MINUTE_MS, "end": asked.end_ms})


def link(request: Request, page: Page) -> dict[str, str]:
    """The header (RFC 8288) that leads on, relative, so that it is right behind any proxy."""
    if page.following is None:
        return {}
    kept = [item for item in request.query_params.multi_items() if item[0] not in ("start", "end")]
    return {"Link": f'<?{urlencode([*kept, *page.following.items()])}>; rel="next"'}


async def read(deps: Deps, symbol_id: int, asked: Window, then_ms: int | None) -> list[Bar]:
    """What is stored, or was known at `then_ms`."""
    if not asked.limit:
        return []
    wanted = (symbol_id, asked.timeframe, asked.start_ms, asked.end_ms + MINUTE_MS, asked.limit)
    return await (deps.candles.bars(*wanted) if then_ms is None else deps.revisions.bars(*wanted, then_ms))
