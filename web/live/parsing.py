"""What a client's message says: JSON, with or without quotes around its keys, or msgpack."""

import re
from typing import Any

import msgspec

from common.errors import BadInput

ALLOWED = 'JSON, such as {"event_type": "ping"}'
#: The predecessor's page of instructions had keys without quotes.
_BARE_KEY = re.compile(r"([{,]\s*)([A-Za-z_]\w*)(\s*:)")


def parse_text(text: str | bytes, *, packed: bool) -> Any:
    """Raise BadInput for what can be understood in no way. Binary messages are msgpack if `packed`, else JSON."""
    if isinstance(text, bytes) and packed:
        try:
            return msgspec.msgpack.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise BadInput(
                "", "A binary message must be msgpack, as this connection asked for.", "msgpack"
            ) from None
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        reason = str(error)
    try:
        whole = text.decode() if isinstance(text, bytes) else text
        return msgspec.json.decode(_BARE_KEY.sub(r'\1"\2"\3', whole))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadInput("", f"Messages must be {ALLOWED}: {reason}", ALLOWED) from None
