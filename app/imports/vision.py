"""Import Binance's archives: months, then the days of months that have no file yet; each whole or not at all."""

import asyncio
import random
import tempfile
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from app.imports.mirror import Mirror
from app.imports.unpack import unpack
from app.stores.archives import ArchiveStore
from app.stores.errors import ErrorStore, FetchError
from app.stores.symbols import StoredSymbol
from common.clock import Clock
from common.errors import Malformed, Rejected, Retryable
from common.span import Span
from fetchers.binance_vision import MONTHLY_WITHIN_MS, Archive, days, months

#: Archives brought here at the same time; unpacked at the same time, which bounds the memory.
LANES, READERS = 4, 2
#: A file that was being issued again while it was brought here fits its checksum the next time.
TRIES = 3


class State(StrEnum):
    """What became of an archive, or, where nothing is done yet, what would."""

    NEW = "new"
    CHANGED = "changed"
    IMPORTED = "imported"
    UNCHANGED = "unchanged"
    MISSING = "not published"
    REFUSED = "refused"


class Told(NamedTuple):
    """One archive of one market. `rows` are its candles, `changed` those that were new or had other values."""

    market: StoredSymbol
    archive: Archive
    state: State
    rows: int = 0
    changed: int = 0
    bytes: int = 0
    reason: str = ""


Do = Callable[[StoredSymbol, Archive], Awaitable[Told]]


@dataclass(slots=True)
class VisionImport:
    """`tell` hears of every archive, `month_over` of every month of every market when nothing of it is left.

    With `every_day` also months that were over long ago are looked for day by day. What ends before
    a market's horizon (`horizons`, by symbol id) is not looked at, for none of it is kept.
    """

    mirror: Mirror
    archives: ArchiveStore
    errors: ErrorStore
    clock: Clock
    tell: Callable[[Told], None]
    month_over: Callable[[], None]
    every_day: bool = False
    horizons: Mapping[int, int] = field(default_factory=dict)
    _readers: asyncio.Semaphore = field(init=False)
    _known: Mapping[tuple[int, str], str] = field(init=False)
    _folder: Path = field(init=False)

    async def run(self, markets: Sequence[StoredSymbol], span: Span) -> None:
        """Import every archive that `span` touches, newest first. Stopped anywhere and run again, it goes on."""
        with tempfile.TemporaryDirectory(prefix="candlehouse-archives-") as folder:
            self._folder, self._readers = Path(folder), asyncio.Semaphore(READERS)
            await self._each(markets, span, self._import)

    async def plan(self, markets: Sequence[StoredSymbol], span: Span) -> None:
        """Tell what `run` would do, and do nothing."""
        await self._each(markets, span, self._look)

    async def _each(self, markets: Sequence[StoredSymbol], span: Span, do: Do) -> None:
        self._known = await self.archives.known([market.id for market in markets])
        work = self._newest_first(markets, span)
        async with asyncio.TaskGroup() as group:
            for _ in range(LANES):
                group.create_task(self._lane(work, span, do))

    async def _lane(self, work: Iterator[tuple[StoredSymbol, Archive]], span: Span, do: Do) -> None:
        for market, month in work:
            now_ms = self.clock.now_ms()
            told = await do(market, month) if month.span.end_ms <= now_ms else None
            recent = month.span.end_ms + MONTHLY_WITHIN_MS > now_ms
            if told is None or (told.state is State.MISSING and (recent or self.every_day)):
                for day in days(month, kept(market, span, self.horizons)):
                    if day.span.end_ms <= now_ms:
                        self.tell(await do(market, day))
            else:
                self.tell(told)
            self.month_over()

    async def _look(self, market: StoredSymbol, archive: Archive) -> Told:
        try:
            checksum = await self.mirror.checksum(archive)
        except Malformed as error:
            return Told(market, archive, State.REFUSED, reason=str(error))
        known = self._known.get((market.id, archive.name))
        if checksum is None:
            return Told(market, archive, State.MISSING)
        if checksum == known:
            return Told(market, archive, State.UNCHANGED)
        size = await self.mirror.size(archive) or 0
        state = State.CHANGED if known else State.NEW
        return Told(market, archive, state, archive.span.minutes(), bytes=size)

    async def _import(self, market: StoredSymbol, archive: Archive) -> Told:
        """A host that does not answer ends everything; a file that cannot be had or read is noted and left out."""
        try:
            checksum = await self.mirror.checksum(archive)
            if checksum is None:
                return Told(market, archive, State.MISSING)
            if checksum == self._known.get((market.id, archive.name)):
                return Told(market, archive, State.UNCHANGED)
            fetched = await self._fetch(archive, checksum)
            if fetched is None:
                return Told(market, archive, State.MISSING)
            return await self._store(market, archive, *fetched)
        except Malformed as error:
            await self._refuse(market, archive, error)
            return Told(market, archive, State.REFUSED, reason=str(error))

    async def _fetch(self, archive: Archive, checksum: str) -> tuple[Path, str] | None:
        """The file, which has the checksum. Raises Malformed when it does not after some tries."""
        for attempt in range(1, TRIES + 1):
            try:
                fetched = await self.mirror.fetch(archive, self._folder)
            except (Retryable, Rejected) as error:
                raise Malformed("archive", str(error)) from error
            if fetched is None or fetched[1] == checksum:
                return fetched
            path, digest = fetched
            if attempt < TRIES:
                await self.clock.sleep(random.uniform(0, 1) * self.clock.rate)
                checksum = await self.mirror.checksum(archive) or checksum
        self._drop(path)
        raise Malformed("archive", f"its sha256 is {digest}, and its CHECKSUM file says {checksum}")

    async def _store(self, market: StoredSymbol, archive: Archive, path: Path, checksum: str) -> Told:
        try:
            async with self._readers:
                size, rows = await asyncio.to_thread(unpack, path, archive, market.id)
                result = await self.archives.store(market.id, archive.name, checksum, rows, self.clock.now_ms())
        finally:
            self._drop(path)
        return Told(market, archive, State.IMPORTED, len(rows), result.changed, size)

    def _drop(self, path: Path) -> None:
        if path.parent == self._folder:
            path.unlink()

    async def _refuse(self, market: StoredSymbol, archive: Archive, error: Malformed) -> None:
        names = market.instrument.exchange, market.instrument.native
        failure = FetchError(
            *names, archive.span, "Malformed", f"{archive.name}: {error}", section="archive", symbol_id=market.id
        )
        await self.errors.record(failure, self.clock.now_ms())

    def _newest_first(self, markets: Iterable[StoredSymbol], span: Span) -> Iterator[tuple[StoredSymbol, Archive]]:
        """Months of all markets, so that every chart fills from its right end."""
        each = [
            (one, month)
            for one in markets
            for month in months(one.instrument.native, kept(one, span, self.horizons))
        ]
        return iter(sorted(each, key=lambda one: -one[1].span.start_ms))


def kept(market: StoredSymbol, span: Span, horizons: Mapping[int, int]) -> Span:
    """What of `span` is not before the market's horizon."""
    return Span(max(span.start_ms, horizons.get(market.id, span.start_ms)), span.end_ms)
