"""What a bar looks like on the wire: as the predecessor sent it, with tags, or as a candle of a stream."""

from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple

import msgspec

from common.market import Bar, Instrument
from common.timeframe import Timeframe
from web.live.streams import stream_name

#: One message: JSON text, or msgpack.
Encoded = str | bytes


class Told(Enum):
    """The predecessor's six numbers; those with tags, as asked for by `"tags": true`; a candle of a stream."""

    PLAIN = "plain"
    TAGGED = "tagged"
    STREAM = "stream"


class Shape(NamedTuple):
    """`mls`: time in milliseconds, else seconds. `packed`: msgpack, else JSON."""

    told: Told = Told.STREAM
    mls: bool = True
    packed: bool = False


class State(NamedTuple):
    """One state of one bar. `plain`: worth telling to clients without tags, too."""

    bar: Bar
    closed: bool
    corrected: bool
    seq: str | None
    plain: bool = True


class PlainCandle(msgspec.Struct, frozen=True, gc=False):
    """A bar as the predecessor sent it. `time` starts its bucket."""

    time: int
    open: float
    high: float
    low: float
    close: float
    volume: float


class TaggedCandle(PlainCandle, frozen=True, gc=False):
    """The same with whose it is and what became of it."""

    exchange: str
    base_id: str
    quote_id: str
    interval: str
    closed: bool
    corrected: bool
    seq: str | None


class Candle(msgspec.Struct, frozen=True, gc=False):
    """A state of a bar. `time` starts its bucket, in UTC ms. `closed`: only a correction changes it any more.

    `corrected`: it differs from what was told as closed before. `seq` is null where a bar comes from the database.
    """

    stream: str
    time: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    closed: bool
    corrected: bool
    seq: str | None


class Names(NamedTuple):
    """Whose bars they are, as a client is told."""

    exchange: str
    base_id: str
    quote_id: str
    interval: str
    stream: str


def names_of(market: Instrument, timeframe: Timeframe) -> Names:
    return Names(market.exchange, market.base, market.quote, str(timeframe), stream_name(market, timeframe))


_json = msgspec.json.Encoder().encode
_msgpack = msgspec.msgpack.Encoder().encode


def encoded(message: object, *, packed: bool) -> Encoded:
    return _msgpack(message) if packed else _json(message).decode()


def frame(state: State, names: Names, shape: Shape) -> Encoded:
    """The candle of `state`."""
    bar = state.bar
    if shape.told is Told.STREAM:
        became = (state.closed, state.corrected, state.seq)
        return encoded(Candle(names.stream, *bar[:6], *became), packed=shape.packed)
    values = (bar[0] if shape.mls else bar[0] // 1000, *bar[1:6])
    if shape.told is Told.PLAIN:
        return encoded(PlainCandle(*values), packed=shape.packed)
    became = (state.closed, state.corrected, state.seq)
    return encoded(TaggedCandle(*values, *names[:4], *became), packed=shape.packed)


def batch(frames: list[Encoded], *, packed: bool) -> Encoded:
    """One message of many candles: {"event": "batch", "candles": [...]}."""
    return listing({"event": "batch"}, frames, packed=packed)


def listing(head: Mapping[str, object], frames: list[Encoded], *, packed: bool) -> Encoded:
    """The message `head` with the encoded `candles` as its last field."""
    if not packed:
        return f'{_json(head).decode()[:-1]},"candles":[{",".join(frames)}]}}'  # type: ignore[arg-type]
    start = _msgpack(head)
    assert start[0] < 0x8F, "a map of less than 15 fields"
    return b"".join([bytes([start[0] + 1]), start[1:], b"\xa7candles", _array(len(frames)), *frames])  # type: ignore[list-item]


def _array(count: int) -> bytes:
    if count < 16:
        return bytes([0x90 | count])
    return b"\xdc" + count.to_bytes(2, "big") if count < 1 << 16 else b"\xdd" + count.to_bytes(4, "big")
