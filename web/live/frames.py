"""What a bar looks like on the wire, for old clients and for those that ask for tags."""

from typing import NamedTuple

import msgspec

from common.interval import Interval
from common.market import Bar, Instrument


class Topic(NamedTuple):
    """One market at one interval: `key` is its Instrument.key when it was subscribed to, `market` its id then.

    Another market may bear the name later, and is another topic.
    """

    key: str
    interval: Interval
    market: int


class Shape(NamedTuple):
    """`mls`: time in milliseconds, else seconds. `tags`: say whose bar it is and what became of it."""

    mls: bool
    tags: bool


class State(NamedTuple):
    """One state of one bar. `plain`: worth telling to clients without tags, too."""

    bar: Bar
    closed: bool
    corrected: bool
    seq: str | None
    plain: bool = True


class Frame(msgspec.Struct, frozen=True, gc=False):
    time: int
    open: float
    high: float
    low: float
    close: float
    volume: float


class TaggedFrame(Frame, frozen=True, gc=False):
    """`seq` grows with the exchange's stream and is null while nothing was heard from it."""

    exchange: str
    base_id: str
    quote_id: str
    interval: str
    closed: bool
    corrected: bool
    seq: str | None


_encode = msgspec.json.Encoder().encode


def frame(state: State, market: Instrument, interval: Interval, shape: Shape) -> str:
    """The JSON text of `state`."""
    bar = state.bar
    values = (bar[0] if shape.mls else bar[0] // 1000, *bar[1:6])
    if not shape.tags:
        return _encode(Frame(*values)).decode()
    whose = (market.exchange, market.base, market.quote, interval.value)
    return _encode(TaggedFrame(*values, *whose, state.closed, state.corrected, state.seq)).decode()
