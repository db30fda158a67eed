"""Plan a fetch for whoever sits at no terminal: with the checks of `candlehouse fetch`, answered at once."""

from collections.abc import Mapping
from typing import NamedTuple

from app.disk import Room
from app.jobs import asked
from app.jobs.asked import EARLIEST_MS, time_text
from app.settings import Settings
from app.stores.symbols import StoredSymbol
from app.wiring import Stores
from common.errors import BadInput
from common.ports import Exchange
from common.span import MINUTE_MS, Span, floor_minute
from fetchers import registry

#: Markets that are named at once; without names there is no limit.
MOST_LETTERS = 10_000


class FetchWish(NamedTuple):
    """`symbols` in any spelling, separated by commas; empty for all that SYMBOLS selects. `end_ms` is excluded."""

    exchange: str
    symbols: str
    start_ms: int
    end_ms: int


class Planned(NamedTuple):
    """`done` where nothing of it was missing. `notes` are sentences on what is not asked for, and why."""

    job_id: int
    markets: int
    span: Span
    done: bool
    notes: tuple[str, ...]


async def plan(wish: FetchWish, settings: Settings, stores: Stores, room: Room, now_ms: int) -> Planned:
    """Plan what of `wish` is missing. Raise BadInput, and plan nothing, where it cannot be asked for."""
    exchange = _exchange(wish.exchange, settings)
    span, unreached = asked.reached(exchange, _span(wish, now_ms), now_ms)
    chosen = await _choose(exchange, wish.symbols, settings.symbols, stores)
    ids = [one.id for one in chosen]
    missing = await stores.plan.missing(ids, span)
    rows = sum(one.minutes() for spans in missing.values() for one in spans)
    crowded = room.outlook(rows) if room.fits(rows) is False else ""
    notes = (unreached, asked.kept(await stores.retention.horizons(ids), len(ids), span), crowded)
    job_id = await stores.plan.create(exchange.name, ids, span)
    done = (await stores.plan.progress(job_id)).state == "done"
    return Planned(job_id, len(ids), span, done, tuple(filter(None, notes)))


def _exchange(name: str, settings: Settings) -> Exchange:
    known = registry.choices()
    if not name.strip():
        raise BadInput("exchange", f"Name an exchange, one of {known}.", known)
    exchange = registry.get(name.strip().lower())
    asked.check_open(exchange, settings.rest_url(exchange.name))
    return exchange


def _span(wish: FetchWish, now_ms: int) -> Span:
    """The whole minutes of it that are over."""
    if wish.start_ms < EARLIEST_MS:
        sentence = f"Nothing was traded before {time_text(EARLIEST_MS)}, when the first coin was mined."
        raise BadInput("start", sentence, f"from {EARLIEST_MS}")
    if wish.end_ms <= wish.start_ms:
        raise BadInput("end", "The end must be after the start.", f"above {wish.start_ms}")
    if wish.end_ms > now_ms:
        raise BadInput("end", f"The end is in the future; it is {time_text(now_ms)} UTC now.", f"at most {now_ms}")
    span = Span(floor_minute(wish.start_ms + MINUTE_MS - 1), floor_minute(wish.end_ms))
    if span.is_empty():
        raise BadInput("end", "No whole minute that is over lies between start and end.")
    return span


async def _choose(exchange: Exchange, symbols: str, patterns: str, stores: Stores) -> list[StoredSymbol]:
    stored = await stores.symbols.load(exchange.name)
    if not stored:
        sentence = f"No market of {exchange.name} is known yet: its stream learns them, or `candlehouse fetch`."
        raise BadInput("exchange", sentence)
    if len(symbols) > MOST_LETTERS:
        raise BadInput("symbols", f"At most {MOST_LETTERS:,} letters of names at once; leave them out for all.")
    if symbols.strip(" ,"):
        return _named(symbols, stored)
    return asked.selected(exchange.name, patterns, stored.values())


def _named(symbols: str, stored: Mapping[str, StoredSymbol]) -> list[StoredSymbol]:
    try:
        return asked.named(symbols, stored)
    except BadInput as wrong:
        raise BadInput("symbols", wrong.sentence, wrong.allowed) from None
