"""What GET /api/ohlcvs can be asked."""

from typing import Annotated

from fastapi import Query
from pydantic import BaseModel

from common.errors import BadInput
from common.timeframe import ALLOWED
from web import formats
from web.api.paging import Take
from web.deps import Deps, Stored
from web.formats import Format
from web.markets import NAMING, find_market, named_markets
from web.moment import MOMENT
from web.window import MOST_BARS

#: Bars in an answer that is made in memory, for whoever asks for its form by name.
MOST_IN_MEMORY = 10_000
#: Markets in one answer.
MOST_TOGETHER = 100
FILLS = ("none", "null", "previous")


class Asked(BaseModel):
    exchange: str | None = None
    base_id: str | None = None
    quote_id: str | None = None
    symbols: Annotated[list[str] | None, Query(description=f"instead: {NAMING}; again, or by commas")] = None
    interval: Annotated[str, Query(description=ALLOWED)]
    start: Annotated[int | None, Query(description="UTC ms of the first bucket, cut to its minute")] = None
    end: Annotated[int | None, Query(description="UTC ms, included; default: the last whole minute")] = None
    limit: Annotated[int | None, Query(description=f"newest bars, at most {MOST_BARS}, or more by format")] = None
    take: Annotated[Take, Query(description="which of the window, where limit does not hold all")] = "newest"
    format: Annotated[str | None, Query(description=f"{formats.ALLOWED}; or by Accept")] = None
    empty_ts: Annotated[bool, Query(description="the same as fill=previous")] = False
    results_mls: Annotated[bool, Query(description="times in milliseconds; false: in seconds")] = True
    market_type: str = "spot"
    tz: Annotated[str | None, Query(description="zone in which days, weeks, months, years begin; UTC")] = None
    origin: Annotated[int | None, Query(description="UTC ms of a bucket's start, from which all count")] = None
    fill: Annotated[str | None, Query(description="empty buckets: none, null, or previous close")] = None
    details: Annotated[bool, Query(description="also quote_volume, trades and partial")] = False
    as_of: Annotated[str | None, Query(description=f"what was known then: {MOMENT}")] = None

    def form(self, accept: str) -> Format:
        return formats.accepted(accept) if self.format is None else formats.named(self.format)

    def filling(self, form: Format) -> str:
        """`empty_ts` is the older way to ask for the previous close. Nothing is filled in what is streamed."""
        if self.fill is not None and self.fill not in FILLS:
            allowed = ", ".join(FILLS)
            raise BadInput("fill", f"Unknown fill {self.fill!r}; use one of {allowed}.", allowed)
        fill = self.fill or ("previous" if self.empty_ts else "none")
        if form.is_streamed and fill != "none":
            raise BadInput("fill", f"Empty buckets are not filled in {form}.", "none")
        if self.take == "oldest" and (fill != "none" or self.as_of is not None):
            raise BadInput("take", "fill and as_of are for the newest bars of a window.", "newest")
        return fill

    def most(self, form: Format, markets: int = 1) -> int:
        """Of each market. Whoever names no form has the bars that this route has always given."""
        most = MOST_BARS if self.format is None and form is Format.JSON else MOST_IN_MEMORY
        return min(most, MOST_IN_MEMORY // markets)

    async def markets(self, deps: Deps) -> list[Stored]:
        """Those of `symbols`, or the one by its parts."""
        parts = {"exchange": self.exchange, "base_id": self.base_id, "quote_id": self.quote_id}
        if self.symbols is None:
            if missing := [name for name, part in parts.items() if part is None]:
                raise BadInput(missing[0], f"{missing[0]} is required.", "a value")
            exchange, base, quote = map(str, parts.values())
            return [await find_market(deps, exchange, base, quote, self.market_type)]
        if any(part is not None for part in parts.values()):
            raise BadInput("symbols", "Ask for symbols or for one market by its parts.", "symbols, exchange")
        return await named_markets(deps, ",".join(self.symbols), self.market_type, MOST_TOGETHER)
