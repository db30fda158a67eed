"""Markets that were found a moment ago, so that most requests ask the database for candles alone."""

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping

from web.deps import Stored, Symbols

#: Real seconds in which a name may still mean the market that it meant before.
ASKED_EVERY_S = 1.0


class RememberedSymbols:
    """`symbols`, with its answers kept until a name changes. That there is no such market is asked each time."""

    def __init__(self, symbols: Symbols, now_s: Callable[[], float] = time.monotonic) -> None:
        self._symbols = symbols
        self._now_s = now_s
        self._found: dict[tuple[str, ...], Stored] = {}
        self._version: int | None = None
        self._asked_s = 0.0

    async def find(self, exchange: str, base: str, quote: str, market_type: str = "spot") -> Stored | None:
        name = (exchange, base, quote, market_type)
        return await self._remembered(name, lambda: self._symbols.find(*name))

    async def find_named(self, exchange: str, name: str) -> Stored | None:
        return await self._remembered((exchange, name), lambda: self._symbols.find_named(exchange, name))

    async def _remembered(
        self, name: tuple[str, ...], find: Callable[[], Awaitable[Stored | None]]
    ) -> Stored | None:
        version = await self.version()
        if (found := self._found.get(name)) is None:
            found = await find()
            if found is not None and version == self._version:
                self._found[name] = found
        return found

    async def load(self, exchange: str | None = None, trading_only: bool = False) -> Mapping[str, Stored]:
        return await self._symbols.load(exchange, trading_only)

    async def now(self, symbol_ids: Iterable[int]) -> Mapping[int, Stored]:
        return await self._symbols.now(symbol_ids)

    async def counts(self) -> Mapping[str, int]:
        return await self._symbols.counts()

    async def version(self) -> int:
        """As it was a second ago at most."""
        if self._version is None or self._now_s() - self._asked_s >= ASKED_EVERY_S:
            self._asked_s = self._now_s()
            version = await self._symbols.version()
            if version != self._version:
                self._found.clear()
                self._version = version
        return self._version
