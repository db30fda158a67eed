"""Which markets the spellings of streams mean."""

import time
from collections.abc import Callable, Iterable

from common.errors import BadInput
from web.deps import Deps, Stored
from web.errors import NotFound
from web.live.streams import ALLOWED, Pattern, Topic
from web.markets import find_market

#: Real seconds for which a pattern selects what it selected before.
KEPT_S = 10.0
#: Patterns remembered.
MOST = 1000

Selected = dict[Topic, Stored]


class Selection:
    """`select` raises BadInput, with the field `streams`, for what means no market."""

    def __init__(self, deps: Deps, now_s: Callable[[], float] = time.monotonic) -> None:
        self._deps = deps
        self._now_s = now_s
        self._known: dict[str, tuple[float, list[Stored]]] = {}

    async def select(self, patterns: Iterable[Pattern]) -> Selected:
        """Each stream once, in the order of the patterns."""
        found: Selected = {}
        for pattern in patterns:
            assert pattern.timeframe is not None
            for market in await self._markets(pattern):
                found.setdefault(Topic(market.instrument.key, pattern.timeframe, market.id), market)
        return found

    async def _markets(self, pattern: Pattern) -> list[Stored]:
        if pattern.is_one:
            return [await self._one(pattern)]
        since_s, markets = self._known.get(pattern.markets, (0.0, []))
        if not markets or self._now_s() - since_s > KEPT_S:
            exchange = pattern.markets.split(":")[0].lower()
            listed = await self._deps.symbols.load(None if "*" in exchange else exchange, trading_only=True)
            markets = [one for one in listed.values() if pattern.selects(one.instrument)]
            if len(self._known) >= MOST:
                self._known.clear()
            self._known[pattern.markets] = (self._now_s(), markets)
        if not markets:
            raise BadInput("streams", f"{pattern.text!r} selects no market that trades.", ALLOWED)
        return markets

    async def _one(self, pattern: Pattern) -> Stored:
        exchange, *kind, base, quote = pattern.markets.split(":")
        try:
            return await find_market(self._deps, exchange, base, quote, kind[0].lower() if kind else "spot")
        except NotFound as error:
            raise BadInput("streams", f"Stream {pattern.text!r}: {error.sentence}", error.allowed) from None
