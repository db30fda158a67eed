"""Candles in PostgreSQL's binary COPY format, packed row by row.

The format (PostgreSQL's documentation, COPY, "Binary Format"): a header; for each row the number of its fields,
and each as length and value, big-endian, length -1 for NULL; a trailer. A timestamptz is microseconds from 2000.
"""

from collections.abc import Iterable
from struct import Struct
from struct import error as StructError
from typing import TYPE_CHECKING, Any

from app.stores.database import POSTGRES_EPOCH_MS

if TYPE_CHECKING:
    from app.stores.candles import StoredCandle

#: The order in which `encode` writes the fields of a StoredCandle.
COLUMNS = (
    "symbol_id",
    "time",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "quote_volume",
    "trades",
    "source",
)
HEADER, TRAILER = b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff"

_FIELDS, _NULL, _2, _4, _8 = len(COLUMNS), -1, 2, 4, 8
_START = ">hiiiq" + 5 * "id"
#: A row with both quote volume and trades, and one without either; whatever has one of them is packed in parts.
_full = Struct(_START + "id" + "ii" + "ih").pack
_bare = Struct(_START + "i" + "i" + "ih").pack
_start, _float, _int, _null, _end = (Struct(layout).pack for layout in (_START, ">id", ">ii", ">i", ">ih"))


def encode(rows: Iterable["StoredCandle"]) -> bytes:
    """`rows` for COPY … FROM STDIN (FORMAT binary) into columns COLUMNS; ValueError for what none can hold."""
    packed, row = [HEADER], None
    add = packed.append
    try:
        for row in rows:  # a call for each row would cost half as much again
            symbol_id, open_ms, open_, high, low, close, volume, quote, trades, source = row
            us = (open_ms - POSTGRES_EPOCH_MS) * 1000
            start = _FIELDS, _4, symbol_id, _8, us, _8, open_, _8, high, _8, low, _8, close, _8, volume
            if quote is not None and trades is not None:
                add(_full(*start, _8, quote, _4, trades, _2, source))
            elif quote is None and trades is None:
                add(_bare(*start, _NULL, _NULL, _2, source))
            else:
                add(_start(*start) + _partly(quote, trades) + _end(_2, source))
    except StructError as error:
        raise ValueError(f"{row} cannot be stored: {error}") from error
    add(TRAILER)
    return b"".join(packed)


def _partly(quote: float | None, trades: int | None) -> bytes:
    return (_null(_NULL) if quote is None else _float(_8, quote)) + (
        _null(_NULL) if trades is None else _int(_4, trades)
    )


async def copy_rows(connection: Any, table: str, rows: Iterable["StoredCandle"]) -> None:
    """COPY `rows` into `table` in the transaction of an asyncpg connection."""
    # asyncpg takes bytes for the name of a file, and a view of them for what they are.
    await connection.copy_to_table(table, source=memoryview(encode(rows)), columns=COLUMNS, format="binary")
