"""What is told in the predecessor's words and to who asked for tags, as documents describe it."""

from typing import Literal

from msgspec import UNSET, Struct, UnsetType


class OldSubscribe(Struct, kw_only=True):
    """As the predecessor understood it: the bar under way at once, then each change of it.

    `mls`: times in milliseconds, else in seconds. With `tags` in any message a connection is told everything, and
    may name any timeframe.
    """

    event_type: Literal["subscribe"]
    data_type: Literal["ohlcv"]
    exchange: str
    base_id: str
    quote_id: str
    interval: str
    mls: bool
    tags: bool | UnsetType = UNSET
    market_type: str | UnsetType = UNSET


class OldUnsubscribe(Struct, kw_only=True):
    """As the predecessor understood it."""

    event_type: Literal["unsubscribe"]
    data_type: Literal["ohlcv"]
    exchange: str
    base_id: str
    quote_id: str
    interval: str
    mls: bool | UnsetType = UNSET
    tags: bool | UnsetType = UNSET
    market_type: str | UnsetType = UNSET


class WishForStatus(Struct, kw_only=True):
    """Be told, or not any more, of what happens to the feeds: of one exchange, or of all."""

    event_type: Literal["subscribe", "unsubscribe"]
    data_type: Literal["status"]
    exchange: str | UnsetType = UNSET


class OldDetail(Struct, kw_only=True):
    """The predecessor's answer to an unsubscribe, and to what it does not understand."""

    detail: str


class OldMessage(Struct, kw_only=True):
    """The predecessor's answer to a subscribe with an interval that it did not know."""

    message: str


class TaggedAnswer(Struct, kw_only=True):
    """The answer to an old message of a connection with tags."""

    event: Literal["subscribed", "unsubscribed"]
    exchange: str
    base_id: str
    quote_id: str
    interval: str
    mls: bool | UnsetType = UNSET
    detail: str | UnsetType = UNSET


class StatusAnswer(Struct, kw_only=True):
    """The answer to a wish for status; `exchange` is empty for all."""

    event: Literal["subscribed", "unsubscribed"]
    data_type: Literal["status"]
    exchange: str


class Status(Struct, kw_only=True):
    """Something that happened to a feed, as in GET /api/events. `at` is UTC ms."""

    data_type: Literal["status"]
    id: str
    at: int
    exchange: str
    kind: str
    market: str
    detail: str
    facts: dict[str, int]
