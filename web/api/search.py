"""GET /api/symbols/search: markets by whatever somebody types."""

from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from common.errors import BadInput
from web.api.schema import described
from web.deps import Deps
from web.errors import json_response
from web.markets import known_exchange
from web.search import Found
from web.searched import Searched

router = APIRouter()

DEFAULT_FOUND, MOST_FOUND, MOST_LETTERS = 20, 100, 64


class Match(msgspec.Struct, frozen=True):
    """A market, how it matched (exact, currency, former, prefix, within, fuzzy), and the old name that did."""

    exchange: str
    base_id: str
    quote_id: str
    symbol: str
    market_type: str
    is_trading: bool
    tick_size: float | None
    match: str
    former: str | None


@router.get("/api/symbols/search", responses=described(list[Match]), response_class=Response)
async def search(
    request: Request,
    q: Annotated[str, Query(description="any spelling, with `exchange:` before it or without")] = "",
    exchange: Annotated[str | None, Query(description="only its markets")] = None,
    limit: Annotated[int, Query(description=f"at most {MOST_FOUND}")] = DEFAULT_FOUND,
) -> Response:
    """The best first; of equally good ones those that trade, then the most traded."""
    deps: Deps = request.app.state.deps
    if not 1 <= limit <= MOST_FOUND:
        raise BadInput("limit", f"limit must be 1 to {MOST_FOUND}, not {limit}.", f"1 to {MOST_FOUND}")
    if len(q) > MOST_LETTERS:
        raise BadInput(
            "q", f"No market has a name of more than {MOST_LETTERS} letters.", f"{MOST_LETTERS} letters"
        )
    told, text = split(deps, q.strip())
    wanted = told if exchange is None else known_exchange(deps, exchange)
    searched: Searched = request.app.state.searched
    return json_response([_row(found) for found in (await searched.index(deps)).find(text, wanted, limit)])


def split(deps: Deps, text: str) -> tuple[str | None, str]:
    """The exchange that is named before a colon or a space, or None; and the rest."""
    named = [one for one in deps.exchanges if text.lower().startswith((f"{one}:", f"{one} "))]
    longest = max(named, key=len, default=None)
    return longest, text if longest is None else text[len(longest) + 1 :]


def _row(found: Found) -> Match:
    market = found.stored.instrument
    names = (market.exchange, market.base, market.quote, market.native, market.market_type)
    return Match(*names, market.is_trading, market.tick_size, found.rank.name.lower(), found.former)
