"""The index that searches ask, made anew when a name changes and now and then for what is traded."""

import asyncio
import time
from collections.abc import Callable

from web.deps import Deps
from web.search import Index

#: Real seconds until what markets trade is asked again.
TRADED_EVERY_S = 600.0


class Searched:
    """One index a process, of the markets that a listing or an import has told of."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._making = asyncio.Lock()
        self._index: Index | None = None
        self._version: int | None = None
        self._made_s = 0.0

    async def index(self, deps: Deps) -> Index:
        async with self._making:
            version = await deps.symbols.version()
            is_old = self._now_s() - self._made_s >= TRADED_EVERY_S
            if self._index is None or version != self._version or is_old:
                markets = list((await deps.symbols.load()).values())
                traded = await deps.traded([one.id for one in markets], deps.clock.now_ms())
                self._index = await asyncio.to_thread(Index, markets, traded)
                self._version, self._made_s = version, self._now_s()
            return self._index
