"""What a client is told beside candles, once it sent a message with `streams` or one of the newer events.

None of these has a field `time`, so that whoever looks for `time` finds candles alone.
"""

from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from web.live.frames import Candle

#: Whatever a request was named by its sender; absent where it was not.
Id = str | int | UnsetType


class Subscribed(Struct, frozen=True, kw_only=True):
    """All `streams` that the request selects, in their one spelling. Snapshots and candles follow."""

    event: Literal["subscribed"] = "subscribed"
    id: Id = UNSET
    streams: list[str]


class Unsubscribed(Struct, frozen=True, kw_only=True):
    """The streams of which nothing is told any more."""

    event: Literal["unsubscribed"] = "unsubscribed"
    id: Id = UNSET
    streams: list[str]


class Configured(Struct, frozen=True, kw_only=True):
    """How this connection is told from now on. `max_rate` is null where nothing is held back."""

    event: Literal["configured"] = "configured"
    id: Id = UNSET
    batch: bool
    max_rate: float | None
    heartbeat_s: int
    encoding: Literal["json", "msgpack"]


class Refused(Struct, frozen=True, kw_only=True):
    """Nothing was changed: one sentence, the field it is about, and what is allowed there."""

    event: Literal["error"] = "error"
    id: Id = UNSET
    detail: str
    field: str
    allowed: str


class Snapshot(Struct, frozen=True, kw_only=True):
    """The last bars of `stream` as of now, ascending. What is told afterwards comes after `seq`."""

    event: Literal["snapshot"] = "snapshot"
    stream: str
    seq: str | None
    candles: list[Candle]


class Batch(Struct, frozen=True, kw_only=True):
    """Many candles in one message, for a connection that asked for `batch`."""

    event: Literal["batch"] = "batch"
    candles: list[Candle]


class Missed(Struct, frozen=True, kw_only=True):
    """What was told after `resume_from` is not kept any more: of each of `streams` a snapshot follows."""

    event: Literal["missed"] = "missed"
    id: Id = UNSET
    exchange: str
    resume_from: str
    detail: str
    streams: list[str]


class Heartbeat(Struct, frozen=True):
    """Every `heartbeat_s` seconds. `at` is UTC ms; `seq` says of each exchange up to where everything was told."""

    at: int
    seq: dict[str, str]
    event: Literal["heartbeat"] = "heartbeat"


class Pong(Struct, frozen=True, kw_only=True):
    """The answer to a ping. `at` is UTC ms."""

    event: Literal["pong"] = "pong"
    id: Id = UNSET
    at: int


class Replaying(Struct, frozen=True, kw_only=True):
    """A replay begins, or goes on. `start` and `end`: UTC ms, both included; no `speed` is as fast as can be."""

    event: Literal["replaying"] = "replaying"
    id: Id = UNSET
    streams: list[str]
    start: int
    end: int
    speed: float | None


class Paused(Struct, frozen=True, kw_only=True):
    """The replay stands still; `bars` were sent."""

    event: Literal["paused"] = "paused"
    id: Id = UNSET
    bars: int


class Replayed(Struct, frozen=True, kw_only=True):
    """The replay is over, `because` its end is reached, it was stopped, or something failed, as `detail` says."""

    event: Literal["replayed"] = "replayed"
    id: Id = UNSET
    bars: int
    because: Literal["end", "stopped", "error"]
    detail: str = ""


Answer = (
    Subscribed
    | Unsubscribed
    | Configured
    | Refused
    | Snapshot
    | Batch
    | Missed
    | Heartbeat
    | Pong
    | Replaying
    | Paused
    | Replayed
)
