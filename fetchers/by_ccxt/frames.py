"""What a frame holds, as ccxt's clients unpack them."""

import zlib
from typing import Any

from common.errors import Malformed

#: A frame that becomes larger than this is no candle's.
_LARGEST = 1 << 26
_GZIP, _RAW = zlib.MAX_WBITS | 16, -zlib.MAX_WBITS


def unpacked(frame: str | bytes, client: Any) -> Any:
    """The frame's JSON, or its text where it is none, or the bytes that this class wants. Raises Malformed."""
    kind = f"{client.id} frame"
    if isinstance(frame, bytes) and frame[:2] == b"\x1f\x8b":
        frame = _inflated(frame, _GZIP, kind)
    elif isinstance(frame, bytes) and frame[:1] not in b"[{" and _wants_inflating(client):
        frame = _inflated(frame, _RAW, kind)
    if isinstance(frame, bytes):
        try:
            frame = frame.decode()
        except UnicodeDecodeError as error:
            if client.options.get("decompressBinary") is False:
                return frame
            raise Malformed(kind, "neither text nor packed") from error
    if not frame.lstrip().startswith(("{", "[")):
        return frame
    try:
        return client.on_json_response(frame)
    except (ValueError, RecursionError) as error:
        raise Malformed(kind, str(error)) from error


def _wants_inflating(client: Any) -> bool:
    told = client.options.get("ws") or {}
    return bool(isinstance(told, dict) and told.get("inflate"))


def _inflated(data: bytes, window: int, kind: str) -> bytes:
    unpacking = zlib.decompressobj(window)
    try:
        text = unpacking.decompress(data, _LARGEST)
    except zlib.error as error:
        raise Malformed(kind, str(error)) from error
    if unpacking.unconsumed_tail:
        raise Malformed(kind, f"more than {_LARGEST} bytes")
    return text
