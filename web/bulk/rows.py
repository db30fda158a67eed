"""PostgreSQL's binary COPY format, rows of one width, cut into blocks and turned into columns.

The format (PostgreSQL's documentation, COPY, "Binary Format"): a header of 19 bytes; for each row the number of
its fields in two, and each field as four bytes of length and its value, big-endian; a trailer of two.
"""

from collections.abc import Iterator, Sequence
from itertools import accumulate

_HEADER, _TRAILER, _COUNT, _LENGTH = 19, 2, 2, 4


class Layout:
    """Rows whose fields have these widths in bytes, none of them NULL."""

    def __init__(self, widths: Sequence[int]) -> None:
        self.widths = widths
        self._starts = [_COUNT + _LENGTH + before for before in accumulate((0, *(w + _LENGTH for w in widths)))]
        self.row = _COUNT + sum(width + _LENGTH for width in widths)

    def column(self, block: bytes, number: int) -> bytearray:
        """The values of one field, little-endian, one after the other: by slices of bytes, not row by row."""
        start, width = self._starts[number], self.widths[number]
        values = bytearray(len(block) // self.row * width)
        for at in range(width):
            values[width - 1 - at :: width] = block[start + at :: self.row]
        return values


class Blocks:
    """Puts pieces of any size together, and cuts them into blocks of `rows` whole rows."""

    def __init__(self, layout: Layout, rows: int) -> None:
        self._row, self._size = layout.row, layout.row * rows
        self._held, self._begun = bytearray(), False

    def add(self, piece: bytes) -> Iterator[bytes]:
        """The blocks that are full now."""
        self._held += piece
        if not self._begun and len(self._held) >= _HEADER:
            del self._held[:_HEADER]
            self._begun = True
        while self._begun and len(self._held) >= self._size:
            yield bytes(self._held[: self._size])
            del self._held[: self._size]

    def rest(self) -> bytes:
        """The rows after the last full block, once all has been added."""
        rows = bytes(self._held[:-_TRAILER])
        if not self._begun or len(rows) % self._row:
            raise ValueError(f"{len(rows)} bytes are no rows of {self._row} bytes")
        return rows
