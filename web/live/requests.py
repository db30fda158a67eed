"""The newer wishes of a client: those that name `streams`, and those about the connection or a replay."""

import re
from typing import Any, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from common.errors import BadInput
from web.live.limits import (
    LEAST_HEARTBEAT_S,
    LEAST_RATE,
    MOST_HEARTBEAT_S,
    MOST_RATE,
    MOST_SNAPSHOT,
    MOST_SUBSCRIPTIONS,
)

Id = str | int | UnsetType
DataType = Literal["ohlcv"]


class Subscribe(Struct, forbid_unknown_fields=True, kw_only=True):
    """Be told of each of `streams` from now on.

    First comes the bar under way and the one before; with `snapshot` the last so many bars in one message; with
    `resume_from` whatever changed since that seq (one for each exchange, where there are several).
    """

    event_type: Literal["subscribe"]
    id: Id = UNSET
    data_type: DataType = "ohlcv"
    streams: list[str]
    snapshot: int = 0
    resume_from: str | dict[str, str] | None = None


class Unsubscribe(Struct, forbid_unknown_fields=True, kw_only=True):
    """Be told no more of those that `streams` select; `binance:*:*@*` takes all of Binance away."""

    event_type: Literal["unsubscribe"]
    id: Id = UNSET
    data_type: DataType = "ohlcv"
    streams: list[str]


class Configure(Struct, forbid_unknown_fields=True, kw_only=True):
    """How this connection wants to be told; what is left out stays as it is.

    `batch`: many candles in one message. `max_rate`: at most so many states of a bar a second, the newest; 0 is no
    limit. `heartbeat_s`: a heartbeat so often; 0 is none. `encoding`: of what we send, and of binary messages.
    """

    event_type: Literal["configure"]
    id: Id = UNSET
    batch: bool | None = None
    max_rate: float | None = None
    heartbeat_s: int | None = None
    encoding: Literal["json", "msgpack"] | None = None


class Ping(Struct, forbid_unknown_fields=True, kw_only=True):
    """Asks for a pong."""

    event_type: Literal["ping"]
    id: Id = UNSET


class Replay(Struct, forbid_unknown_fields=True, kw_only=True):
    """Send the stored bars of `streams` that start within `start` and `end`, both included, each when it ended.

    Moments are UTC ms or dates. `speed` 60 plays an hour in a minute; `"max"` as fast as the client reads.
    """

    event_type: Literal["replay"]
    id: Id = UNSET
    data_type: DataType = "ohlcv"
    streams: list[str]
    start: int | str
    end: int | str
    speed: float | Literal["max"] = 1.0


class Pause(Struct, forbid_unknown_fields=True, kw_only=True):
    """Let the replay stand still."""

    event_type: Literal["pause"]
    id: Id = UNSET


class Resume(Struct, forbid_unknown_fields=True, kw_only=True):
    """Let it go on, at another `speed` if one is given."""

    event_type: Literal["resume"]
    id: Id = UNSET
    speed: float | Literal["max"] | None = None


class Stop(Struct, forbid_unknown_fields=True, kw_only=True):
    """End it."""

    event_type: Literal["stop"]
    id: Id = UNSET


Request = Subscribe | Unsubscribe | Configure | Ping | Replay | Pause | Resume | Stop
#: By event_type.
REQUESTS: dict[str, type[Request]] = {
    "subscribe": Subscribe,
    "unsubscribe": Unsubscribe,
    "configure": Configure,
    "ping": Ping,
    "replay": Replay,
    "pause": Pause,
    "resume": Resume,
    "stop": Stop,
}
EVENTS = ", ".join(REQUESTS)
#: Those that the predecessor knew are newer wishes only with `streams`.
OLD_EVENTS = ("subscribe", "unsubscribe")
_WHERE = re.compile(r"(?s)(.*?)(?: - at `\$\.?(.*)`)?")
_MISSING = re.compile(r"Object missing required field `(\w+)`")
_UNKNOWN = re.compile(r"Object contains unknown field `(\w+)`")
_SPEED = "a number above 0, or max"


def is_newer(said: Any) -> bool:
    """Whether a message is one of these, well formed or not."""
    if not isinstance(said, dict):
        return False
    event = said.get("event_type")
    return "streams" in said or (isinstance(event, str) and event in REQUESTS and event not in OLD_EVENTS)


def parse_request(said: dict[str, Any]) -> Request:
    """Raise BadInput, which names the field."""
    kind = REQUESTS.get(event) if isinstance(event := said.get("event_type"), str) else None
    if kind is None:
        raise BadInput("event_type", f"event_type must be one of {EVENTS}.", EVENTS)
    try:
        found = msgspec.convert(said, kind)
    except msgspec.ValidationError as error:
        raise _sentence(str(error), kind) from None
    _check(found)
    return found


def _sentence(text: str, kind: type[Request]) -> BadInput:
    if missing := _MISSING.match(text):
        return BadInput(missing[1], f"{missing[1]} is required.", "a value")
    if unknown := _UNKNOWN.match(text):
        allowed = ", ".join(field.name for field in msgspec.structs.fields(kind))
        return BadInput(unknown[1], f"{unknown[1]} is no field of this message; use {allowed}.", allowed)
    found = _WHERE.fullmatch(text)
    assert found is not None
    field = re.sub(r"\[.*", "", found[2] or "")
    reason = found[1].replace("`", "")
    return BadInput(field, f"{field}: {reason[:1].lower()}{reason[1:]}.", reason)


def _check(asked: Request) -> None:
    if isinstance(asked, Subscribe | Unsubscribe | Replay) and not 0 < len(asked.streams) <= MOST_SUBSCRIPTIONS:
        allowed = f"1 to {MOST_SUBSCRIPTIONS} streams"
        raise BadInput("streams", f"streams holds {len(asked.streams)}; use {allowed}.", allowed)
    if isinstance(asked, Subscribe) and not 0 <= asked.snapshot <= MOST_SNAPSHOT:
        raise _range("snapshot", asked.snapshot, 0, MOST_SNAPSHOT)
    if isinstance(asked, Configure) and asked.max_rate and not LEAST_RATE <= asked.max_rate <= MOST_RATE:
        raise _range("max_rate", asked.max_rate, LEAST_RATE, MOST_RATE)
    beat_s = asked.heartbeat_s if isinstance(asked, Configure) else None
    if beat_s and not LEAST_HEARTBEAT_S <= beat_s <= MOST_HEARTBEAT_S:
        raise _range("heartbeat_s", beat_s, LEAST_HEARTBEAT_S, MOST_HEARTBEAT_S)
    if isinstance(asked, Replay | Resume) and isinstance(asked.speed, float) and not 0 < asked.speed < 1e9:
        raise BadInput("speed", f"speed must be {_SPEED}, not {asked.speed}.", _SPEED)


def _range(field: str, value: float, least: float, most: float) -> BadInput:
    allowed = f"{least} to {most}"
    return BadInput(field, f"{field} must be {allowed}, not {value}.", allowed)
