"""The WebSocket for programs: an AsyncAPI 3 document, made of the very messages that are read and written."""

from functools import cache
from typing import Any, get_args

import msgspec

from web.live import old_answers as old
from web.live.answers import Answer
from web.live.frames import Candle, PlainCandle, TaggedCandle
from web.live.limits import FAILED, FULL, MOST_CLIENTS, MOST_MESSAGE, SLOW, TOO_BIG
from web.live.requests import Request

ADDRESS = "/api/ohlcvs"
TITLE = "Candlehouse, live"
CLOSE_CODES = {
    SLOW: "too slow, too many messages, or a key that opens nothing any more",
    TOO_BIG: f"a message of more than {MOST_MESSAGE} characters",
    FAILED: "no pong for 20 s, or a fault of the server",
    1012: "the server starts again",
    FULL: f"{MOST_CLIENTS} clients are connected",
}
HEARD = (*get_args(Request), old.OldSubscribe, old.OldUnsubscribe, old.WishForStatus)
TOLD = (
    Candle,
    *get_args(Answer),
    PlainCandle,
    TaggedCandle,
    old.OldDetail,
    old.OldMessage,
    old.TaggedAnswer,
    old.StatusAnswer,
    old.Status,
)


@cache
def document() -> dict[str, Any]:
    """AsyncAPI 3.0: what the server receives and sends."""
    _, schemas = msgspec.json.schema_components([*HEARD, *TOLD], ref_template="#/components/schemas/{name}")
    names = [one.__name__ for one in (*HEARD, *TOLD)]
    codes = "; ".join(f"{code} {meaning}" for code, meaning in CLOSE_CODES.items())
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": TITLE,
            "version": "1",
            "description": f"Bars as they are made, of every timeframe. Close codes: {codes}.",
        },
        "defaultContentType": "application/json",
        "channels": {
            "ohlcvs": {
                "address": ADDRESS,
                "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
            }
        },
        "operations": {
            "hear": _operation("receive", "What a client may say.", HEARD),
            "tell": _operation("send", "What a client is told.", TOLD),
        },
        "components": {
            "messages": {one.__name__: _message(one) for one in (*HEARD, *TOLD)},
            "schemas": schemas,
        },
    }


def _operation(action: str, summary: str, messages: tuple[Any, ...]) -> dict[str, Any]:
    return {
        "action": action,
        "summary": summary,
        "channel": {"$ref": "#/channels/ohlcvs"},
        "messages": [{"$ref": f"#/channels/ohlcvs/messages/{one.__name__}"} for one in messages],
    }


def _message(one: Any) -> dict[str, Any]:
    return {
        "name": one.__name__,
        "summary": " ".join((one.__doc__ or "").split()),
        "payload": {"$ref": f"#/components/schemas/{one.__name__}"},
    }
