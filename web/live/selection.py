"""Which markets the spellings of streams mean."""

import time
from collections.abc import Callable, Sequence

from common.errors import BadInput
from web.deps import Deps, Stored
from web.errors import NotFound
from web.live.streams import ALLOWED, Pattern, Topic
from web.markets import find_market

#: Real seconds for which a pattern selects what it selected before.
KEPT_S = 10.0
#: Patterns remembered.
MOST = 1000
#: So many markets are asked for one by one.
FEW = 8
SPOT = "spot"

Selected = dict[Topic, Stored]
Listing = dict[tuple[str, str, str], Stored]


class Selection:
    """`select` raises BadInput, with the field `streams`, for what means no market."""

    def __init__(self, deps: Deps, now_s: Callable[[], float] = time.monotonic) -> None:
        self._deps = deps
        self._now_s = now_s
        self._known: dict[str, tuple[float, list[Stored]]] = {}
        self._listings: dict[str, tuple[float, Listing]] = {}

    async def select(self, patterns: Sequence[Pattern]) -> Selected:
        """Each stream once, in the order of the patterns."""
        found: Selected = {}
        for pattern in patterns:
            assert pattern.timeframe is not None
            for market in await self._markets(pattern, many=len(patterns) > FEW):
                found.setdefault(Topic(market.instrument.key, pattern.timeframe, market.id), market)
        return found

    async def _markets(self, pattern: Pattern, *, many: bool) -> list[Stored]:
        exchange, *kind, base, quote = pattern.markets.split(":")
        if pattern.is_one:
            listing = await self._listing(exchange.lower()) if many else {}
            known = listing.get(((kind[0] if kind else SPOT).lower(), base.upper(), quote.upper()))
            return [known or await self._one(pattern, exchange, base, quote, *kind)]
        since_s, markets = self._known.get(pattern.markets, (0.0, []))
        if not markets or self._now_s() - since_s > KEPT_S:
            name = None if "*" in exchange else exchange.lower()
            listed = await self._deps.symbols.load(name, trading_only=True)
            markets = [one for one in listed.values() if pattern.selects(one.instrument)]
            if len(self._known) >= MOST:
                self._known.clear()
            self._known[pattern.markets] = (self._now_s(), markets)
        if not markets:
            raise BadInput("streams", f"{pattern.text!r} selects no market that trades.", ALLOWED)
        return markets

    async def _listing(self, exchange: str) -> Listing:
        """What the exchange lists, by market type and normalised names; only this is quick for many."""
        since_s, listing = self._listings.get(exchange, (0.0, {}))
        if exchange in self._deps.exchanges and (not listing or self._now_s() - since_s > KEPT_S):
            stored = (await self._deps.symbols.load(exchange)).values()
            listing = {
                (one.instrument.market_type, one.instrument.base, one.instrument.quote): one for one in stored
            }
            self._listings[exchange] = (self._now_s(), listing)
        return listing

    async def _one(self, pattern: Pattern, exchange: str, base: str, quote: str, kind: str = SPOT) -> Stored:
        try:
            return await find_market(self._deps, exchange, base, quote, kind.lower())
        except NotFound as error:
            raise BadInput("streams", f"Stream {pattern.text!r}: {error.sentence}", error.allowed) from None
