"""Bring the candles of another database over, market by market."""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import NamedTuple

from app.imports.naming import meant
from app.imports.predecessor import Named, Predecessor
from app.stores.imports import ImportStore
from app.stores.symbols import StoredSymbol, SymbolStore
from common.clock import Clock
from common.market import Instrument
from common.span import Span
from common.symbols import matches


class Planned(NamedTuple):
    """What `there` is here; `is_new` where nobody knew the market; `span` is from its first row to its last."""

    there: Named
    instrument: Instrument
    is_new: bool
    span: Span


class Progress(NamedTuple):
    """One batch of a market. `faults` are (time in ms, why) of rows that were left out."""

    market: Instrument
    rows: int
    changed: int
    answered: int
    faults: Sequence[tuple[int, str]]


async def plan(
    there: Predecessor, names: Iterable[Named], span: Span, patterns: str | None, symbols: SymbolStore
) -> list[Planned]:
    """The markets of `names` that `patterns` selects and that have rows in `span`."""
    known = [one.instrument for one in (await symbols.load()).values()]
    keys = {one.key for one in known}
    found: list[Planned] = []
    for name in names:
        instrument = meant(*name, known)
        if patterns is not None and not matches(patterns, instrument):
            continue
        if bounds := await there.bounds(name, span):
            found.append(Planned(name, instrument, instrument.key not in keys, bounds))
    return found


async def bring(
    there: Predecessor,
    planned: Sequence[Planned],
    imports: ImportStore,
    symbols: SymbolStore,
    clock: Clock,
    tell: Callable[[Progress], None],
) -> None:
    """Store it. Stopped anywhere and run again, it goes on: what was stored is known then."""
    await symbols.add((one.instrument for one in planned if one.is_new), clock.now_ms())
    stored = await symbols.load()
    for one in planned:
        async for progress in _market(there, one, stored[one.instrument.key], imports, clock):
            tell(progress)


async def _market(
    there: Predecessor, one: Planned, market: StoredSymbol, imports: ImportStore, clock: Clock
) -> AsyncIterator[Progress]:
    async for rows, faults in there.pieces(one.there, one.span, market.id, clock.now_ms()):
        brought = await imports.store(market.id, rows, clock.now_ms())
        yield Progress(one.instrument, len(rows), *brought, faults)
