"""The predecessor's words: what a client may say in them, and what it is told in return.

An old client is answered as the predecessor did: one sentence under `detail` or `message`, often nothing; but what
is no JSON at all gets an answer, too, where the predecessor closed the socket. A client that sent `"tags": true`
once is told everything: `subscribed`, `unsubscribed`, and `error` with field and allowed.
"""

from typing import Any, NamedTuple

from common.errors import BadInput
from common.interval import Interval
from common.timeframe import Timeframe
from web.live.frames import Shape, Told
from web.live.streams import stored, timeframe_of

#: What the predecessor said, word for word.
BAD_EVENT = {"detail": "event_type must be subscribe or unsubscribe"}
BAD_INTERVAL = "interval must be in the determined list"
FIELDS = ("exchange", "base_id", "quote_id", "interval")


class Asked(NamedTuple):
    """A well-formed wish, in the client's own spelling."""

    subscribe: bool
    exchange: str
    base_id: str
    quote_id: str
    timeframe: Timeframe
    shape: Shape
    market_type: str


class AskedStatus(NamedTuple):
    """A wish to be told, or not any more, of what happens to the feeds; `exchange` is empty for all."""

    subscribe: bool
    exchange: str


def parse(said: Any, *, tags: bool) -> Asked | AskedStatus:
    """Raise BadInput, whose field is `event_type` when it is not even clear what is wanted.

    Whoever asked for tags may name any timeframe, others those that the predecessor knew.
    """
    event = said.get("event_type") if isinstance(said, dict) else None
    if event not in ("subscribe", "unsubscribe"):
        raise BadInput("event_type", BAD_EVENT["detail"], "subscribe, unsubscribe")
    if said.get("data_type") == "status":
        return AskedStatus(event == "subscribe", str(said.get("exchange") or ""))
    if said.get("data_type") != "ohlcv":
        raise BadInput("data_type", "data_type must be ohlcv or status.", "ohlcv, status")
    for field in FIELDS:
        if not isinstance(said.get(field), str):
            raise BadInput(field, f"{field} is required and must be a string.", "a string")
    timeframe = timeframe_of(said["interval"]) if tags else stored(Interval.parse(said["interval"]))
    if event == "subscribe" and "mls" not in said:
        raise BadInput("mls", "mls is required: true for times in milliseconds, false for seconds.", "true, false")
    shape = Shape(Told.TAGGED if said.get("tags") is True else Told.PLAIN, bool(said.get("mls")))
    names = (said["exchange"], said["base_id"], said["quote_id"])
    return Asked(event == "subscribe", *names, timeframe, shape, str(said.get("market_type", "spot")))


def refusal(said: Any, error: BadInput, *, tags: bool) -> dict[str, str] | None:
    """The answer to what cannot be done; None where the predecessor was silent."""
    if tags:
        return {"event": "error", "detail": error.sentence, "field": error.field, "allowed": error.allowed}
    if error.field == "event_type":
        return BAD_EVENT
    if said is None:
        return {"detail": error.sentence}
    if error.field == "interval" and isinstance(said.get("interval"), str):
        return {"message" if said["event_type"] == "subscribe" else "detail": BAD_INTERVAL}
    return None


def subscribed(asked: Asked, names: dict[str, str]) -> dict[str, str | bool]:
    """`names` are the normalised ones, which every candle's tags carry."""
    return {"event": "subscribed", **names, "mls": asked.shape.mls}


def unsubscribed(asked: Asked, names: dict[str, str] | None, *, tags: bool) -> dict[str, str]:
    """`names` is None when there was no such subscription, which an old client is not told."""
    whose = f"{asked.exchange}_{asked.base_id}_{asked.quote_id}_{asked.timeframe}"
    if not tags:
        return {"detail": f"successfully unsubscribed from {whose}"}
    if names is None:
        return {"event": "error", "detail": f"not subscribed to {whose}", "field": "", "allowed": ""}
    return {"event": "unsubscribed", "detail": f"successfully unsubscribed from {whose}", **names}
