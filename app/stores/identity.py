"""Which of the stored markets each listed one is: known by the exchange's own name, whatever we call it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from common.market import Instrument
from common.span import DAY_MS

#: An exchange that gives a market another name of its own may list neither for some days. Our names for it that
#: come back after longer, under another native name, are another market's.
APART_MS = 7 * DAY_MS


class Known(NamedTuple):
    """A stored market that is not delisted; `listed_ms` is when the exchange last listed it, None for never."""

    id: int
    instrument: Instrument
    listed_ms: int | None


@dataclass(slots=True)
class Identified:
    """What a listing says of stored markets, by id; the others are no longer listed.

    same      what they are now, by their present names
    new       markets that nobody knew
    closed    whose names another market bears now
    disputed  listed under names that a market bears which no exchange ever listed; they keep those they had
    """

    same: dict[int, Instrument] = field(default_factory=dict)
    new: list[Instrument] = field(default_factory=list)
    closed: list[int] = field(default_factory=list)
    disputed: list[Instrument] = field(default_factory=list)


def identify(listed: Iterable[Instrument], known: Sequence[Known]) -> Identified:
    """Compare a listing, in which each name stands once, with what is stored.

    A market is what it was while the exchange's own name for it stays, or our name for it: one of them may change.
    """
    found, others = Identified(), list[Instrument]()
    by_native = {one.instrument.native_key: one for one in sorted(known, key=_newest) if one.listed_ms is not None}
    own = {one.instrument.key: one for one in known}
    for one in listed:
        # Of several that bore this native name the one that has the same names as well.
        before = own.get(one.key)
        if before is None or before.listed_ms is None or before.instrument.native_key != one.native_key:
            before = by_native.get(one.native_key)
        if before is None:
            others.append(one)
        else:
            found.same[before.id] = one
    last_ms = max((one.listed_ms or 0 for one in known), default=0)
    for one in others:
        _place(one, own.get(one.key), found, last_ms)
    _make_room(found, {one.id: one for one in known})
    former = {each.native_key for one in known for each in one.instrument.former}
    found.new = [one for one in found.new if one.is_trading or one.native_key not in former]
    return found


def _newest(one: Known) -> int:
    return one.listed_ms or 0


def _place(one: Instrument, bearer: Known | None, found: Identified, last_ms: int) -> None:
    """`one` has a native name that nobody knew; `bearer` has its names."""
    if bearer is None or bearer.id in found.same:
        found.new.append(one)
    elif bearer.listed_ms is None or last_ms - bearer.listed_ms <= APART_MS:
        found.same[bearer.id] = one
    else:
        found.closed.append(bearer.id)
        found.new.append(one)


def _make_room(found: Identified, known: dict[int, Known]) -> None:
    """Whoever bears a name that a listed market has taken, and is not listed itself, gives it up."""
    taken = {one.key: symbol_id for symbol_id, one in found.same.items()}
    for bearer in known.values():
        holder = taken.get(bearer.instrument.key)
        if holder is None or bearer.id in found.same:
            continue
        if bearer.listed_ms is not None:
            found.closed.append(bearer.id)
        else:
            before = known[holder].instrument
            found.disputed.append(found.same[holder])
            found.same[holder] = replace(found.same[holder], base=before.base, quote=before.quote)
