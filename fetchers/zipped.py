"""Read the one CSV inside a zip of candles, piece by piece, without ever holding its text whole."""

import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TypeVar

from common.errors import Malformed

T = TypeVar("T")

#: What zipfile raises for files that are cut, changed, locked or none.
_BROKEN = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, RuntimeError, ValueError)

#: Bytes of text that are unpacked at a time.
PIECE_BYTES = 1 << 20
#: A month of minutes is a tenth of this; more than this is no archive of candles.
MOST_BYTES = 1 << 27


def read_zip(path: Path, parse: Callable[[bytes], list[T]]) -> list[T]:
    """What `parse` makes of the whole lines of the CSV in the zip, in their order; a line of names is left out.

    Raises Malformed for what is no zip of one CSV, is cut short, or does not have the checksum that the zip gives.
    """
    try:
        with zipfile.ZipFile(path) as opened:
            members = opened.infolist()
            if len(members) != 1 or not members[0].filename.endswith(".csv"):
                raise Malformed("archive", f"it holds {len(members)} files, not one CSV")
            if members[0].file_size > MOST_BYTES:
                raise Malformed("archive", f"its text of {members[0].file_size} bytes is too long for candles")
            with opened.open(members[0]) as text:
                return [value for lines in _whole_lines(text) for value in parse(lines)]
    except _BROKEN as error:
        raise Malformed("archive", f"it cannot be unpacked: {error}") from error


def _whole_lines(text: IO[bytes]) -> Iterator[bytes]:
    rest, first = b"", True
    while piece := text.read(PIECE_BYTES):
        lines, feed, rest = (rest + piece).rpartition(b"\n")
        if first and feed:
            first = False
            lines = _without_names(lines + feed)
        yield lines + feed
    yield _without_names(rest) if first else rest


def _without_names(lines: bytes) -> bytes:
    """Lines without the first, where that does not start with a number."""
    return lines if lines[:1].isdigit() else lines.partition(b"\n")[2]
