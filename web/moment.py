"""Moments in a request's parameters: UTC milliseconds, or a date as people and programs write it."""

import re
from datetime import UTC, datetime

from common.errors import BadInput

MOMENT = "UTC ms, or a date such as 2024-01-31T12:00:00Z"
_ISO = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:?\d\d)?)?")


def moment(field: str, text: str) -> int:
    """UTC milliseconds. A date without a zone is in UTC; a `+` that an address has turned into a space is one."""
    text = text.strip()
    if text.isascii() and text.isdecimal() and len(text) <= 15:
        return int(text)
    text = re.sub(r" (\d\d:?\d\d)$", r"+\1", text) if "T" in text else text
    try:
        if not _ISO.fullmatch(text):
            raise ValueError(text)
        then = datetime.fromisoformat(text)
    except ValueError:
        raise BadInput(field, f"{field} must be {MOMENT}, not {text!r}.", MOMENT) from None
    return round((then if then.tzinfo else then.replace(tzinfo=UTC)).timestamp() * 1000)


def past_moment(field: str, text: str, now_ms: int) -> int:
    """The same, refused when it is still to come."""
    at_ms = moment(field, text)
    if at_ms > now_ms:
        raise BadInput(field, f"{field} {text} lies in the future.", f"at most {now_ms}")
    return at_ms
