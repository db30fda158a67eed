"""GET /api/ohlcvs: bars of one market or several at any timeframe, in the form that is asked for."""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from app.stores.bar_stream import Bars
from common.market import Bar
from common.span import MINUTE_MS, Span
from web.api.asked import Asked
from web.api.paging import Page, link, newest_page, oldest_page
from web.api.rows import (
    Columns,
    MarketBars,
    MarketColumns,
    MarketRows,
    Row,
    columns,
    detailed_rows,
    names_of,
    rows,
)
from web.api.schema import described_as
from web.bulk.response import Streamed
from web.bulk.writing import writing
from web.deps import Deps, Stored
from web.formats import Format
from web.moment import past_moment
from web.tagged import CACHING, tagged
from web.window import Gap, Window, frame, window

router = APIRouter()
_FORMS: dict[str, Any] = {
    Format.JSON.media_type: (list[Row], list[MarketRows]),
    Format.COLUMNS.media_type: (Columns, list[MarketColumns]),
}
UNCHANGED: dict[int | str, dict[str, Any]] = {304: {"description": "The same as If-None-Match names"}}
_FORMS |= {form.media_type: None for form in Format if form.is_streamed}


@router.get("/api/ohlcvs", responses={**described_as(_FORMS), **UNCHANGED}, response_class=Response)
async def ohlcvs(request: Request, asked: Annotated[Asked, Query()]) -> Response:
    """Bars in ascending order. Names are the normalised ones (USDT) or the exchange's own (UST)."""
    deps: Deps = request.app.state.deps
    form = asked.form(request.headers.get("accept", ""))
    now_ms = deps.clock.now_ms()
    then_ms = None if asked.as_of is None else past_moment("as_of", asked.as_of, now_ms)
    timeframe = frame(asked.interval, asked.tz, asked.origin)
    fill = asked.filling(form)
    wanted = window(timeframe, asked.start, asked.end, asked.limit, now_ms, asked.most(form))
    markets = await asked.markets(deps)
    if form.is_streamed:
        return _streamed(request, asked, form, wanted, then_ms, markets)
    wanted = wanted._replace(limit=min(wanted.limit, asked.most(form, len(markets))))
    found, page = [], Page([], None)
    for market in markets:
        if asked.take == "oldest":
            page = await oldest_page(deps, market.id, wanted)
        else:
            page = await newest_page(deps, market.id, wanted, then_ms, fill, now_ms)
        found.append(await _in_memory(deps, asked, form, wanted, then_ms, market, page.bars))
    if asked.symbols is None:
        headers = {"Vary": "Accept", **link(request, page)}
        return tagged(request, msgspec.json.encode(found[0]), form.media_type, headers)
    together = [MarketBars(*names_of(one), bars) for one, bars in zip(markets, found, strict=True)]
    return tagged(request, msgspec.json.encode(together), form.media_type, {"Vary": "Accept"})


async def _in_memory(
    deps: Deps,
    asked: Asked,
    form: Format,
    wanted: Window,
    then_ms: int | None,
    market: Stored,
    bars: Sequence[Bar | Gap],
) -> Sequence[Row] | Columns:
    found: Sequence[Row]
    if asked.details:
        spans = await known(deps, market.id, then_ms)
        found = detailed_rows(bars, wanted.timeframe, spans, mls=asked.results_mls)
    else:
        found = rows(bars, mls=asked.results_mls)
    return columns(found, details=asked.details) if form is Format.COLUMNS else found


def _streamed(
    request: Request, asked: Asked, form: Format, wanted: Window, then_ms: int | None, markets: Sequence[Stored]
) -> Response:
    """All bars of the window, where no limit says less."""
    span = (wanted.start_ms, wanted.end_ms + MINUTE_MS)
    bars = Bars(wanted.timeframe, *span, asked.limit, asked.take, then_ms, asked.details)
    unit_ms = 1 if asked.results_mls else 1000
    stream = request.app.state.deps.bar_stream
    produce = writing(stream, form, markets, bars, unit_ms=unit_ms, named=asked.symbols is not None)
    return Streamed(produce, request.app.state.bulk_places, form.media_type, {"Vary": "Accept", **CACHING})


async def known(deps: Deps, symbol_id: int, then_ms: int | None) -> Sequence[Span]:
    return await (deps.candles.known(symbol_id) if then_ms is None else deps.revisions.known(symbol_id, then_ms))
