"""Where a state stands among all that was told of an exchange: the `seq` of a candle.

`{epoch}:{ms}-{number}-{order}`: the epoch and the place in the exchange's live stream (app.stores.live_feed) of
the message that made the state, and its order among those that the same message made. A connection gets the states
of one exchange in ascending order, so that one seq says for all its streams what was told before.
"""

from typing import NamedTuple

from common.errors import BadInput

#: The order of whatever time or the database changes, after all that the last message made.
AFTERWARDS = 1 << 48
ALLOWED = "the seq of a candle, a snapshot or a heartbeat"


class Place(NamedTuple):
    """Compared part by part. `ms` is Redis's own time."""

    ms: int
    number: int
    order: int = AFTERWARDS << 1


class Seq(NamedTuple):
    epoch: str
    place: Place


def parse_seq(text: str) -> Seq:
    """Raise BadInput for what is no seq."""
    epoch, _, numbers = text.rpartition(":")
    parts = numbers.split("-")
    if not epoch or not 2 <= len(parts) <= 3 or not all(_is_number(part) for part in parts):
        raise BadInput("resume_from", f"{text!r} is no seq; use {ALLOWED}.", ALLOWED)
    return Seq(epoch, Place(*map(int, parts)))


def place_of(entry: str) -> Place:
    """The place of a stream's entry, with or without its epoch: after everything that came of it."""
    ms, _, number = entry.rpartition(":")[2].partition("-")
    return Place(int(ms), int(number or 0))


def epoch_of(entry: str) -> str:
    return entry.rpartition(":")[0]


def back(entry: str, by_ms: int) -> str:
    """The bare entry id `by_ms` before `entry`, whose number begins with its milliseconds."""
    return f"{max(0, place_of(entry).ms - by_ms)}-0"


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 20
