"""Markets that were found a moment ago, so that most requests ask the database for candles alone."""

from collections.abc import Mapping

from common.clock import Clock
from web.deps import Stored, Symbols

#: A market's number changes only when it is delisted and listed again.
KEPT_MS = 30_000


class RememberedSymbols:
    """`symbols`, with its answers kept for half a minute. That there is no such market is asked each time."""

    def __init__(self, symbols: Symbols, clock: Clock) -> None:
        self._symbols = symbols
        self._clock = clock
        self._found: dict[tuple[str, str, str, str], tuple[Stored, int]] = {}

    async def find(self, exchange: str, base: str, quote: str, market_type: str = "spot") -> Stored | None:
        name = (exchange, base, quote, market_type)
        found, since_ms = self._found.get(name, (None, 0))
        now_ms = self._clock.now_ms()
        if found is None or now_ms - since_ms > KEPT_MS:
            self._found.pop(name, None)
            found = await self._symbols.find(*name)
            if found is not None:
                self._found[name] = (found, now_ms)
        return found

    async def load(self, exchange: str | None = None, trading_only: bool = False) -> Mapping[str, Stored]:
        return await self._symbols.load(exchange, trading_only)
