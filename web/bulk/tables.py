"""Blocks of PostgreSQL's rows as Arrow's record batches, written as an IPC stream or as Parquet.

pyarrow is imported when it is first asked for: it takes 60 MB of memory, which a process that serves none keeps.
"""

from collections.abc import Sequence
from typing import Any

from common.market import Instrument
from web.bulk.rows import Layout
from web.formats import Format

#: Rows of a batch: 0.8 MB, and of Parquet's row groups.
BATCH_ROWS, GROUP_ROWS = 16_384, 131_072
_POSTGRES_EPOCH_US = 946_684_800_000_000
_NAMES = ("exchange", "base_id", "quote_id")
_SIX = ("time", "open", "high", "low", "close", "volume")
_PLAIN, _DETAILED = Layout([8] * 6), Layout([8] * 8 + [1])


class _Written:
    """A file that is read by whoever wrote it."""

    closed = False

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def write(self, data: Any) -> int:
        part = bytes(data)
        self._parts.append(part)
        self._size += len(part)
        return len(part)

    def tell(self) -> int:
        return self._size

    def flush(self) -> None: ...

    def close(self) -> None: ...

    def taken(self) -> bytes:
        """What was written since the last time."""
        parts, self._parts = self._parts, []
        return b"".join(parts)


class TableWriter:
    """Writes ARROW or PARQUET; with `markets` each row begins with the names of its own."""

    def __init__(self, form: Format, markets: Sequence[Instrument] = (), *, details: bool = False) -> None:
        import pyarrow

        self._pa: Any = pyarrow
        self.layout = _DETAILED if details else _PLAIN
        self.block_rows = GROUP_ROWS if form is Format.PARQUET else BATCH_ROWS
        self._markets, self._details = markets, details
        self._names = [sorted({names[place] for names in map(_named, markets)}) for place in range(3)]
        self._file = _Written()
        schema = self._schema()
        if form is Format.PARQUET:
            from pyarrow.parquet import ParquetWriter

            self._writer: Any = ParquetWriter(self._file, schema, compression="zstd", compression_level=1)
        else:
            self._writer = pyarrow.ipc.new_stream(self._file, schema)

    def add(self, block: bytes, market: int = 0) -> bytes:
        """The bytes of the file that follow with these rows."""
        batch = self._pa.record_batch([*self._name_columns(block, market), *self._columns(block)], self._schema())
        self._writer.write_batch(batch)
        return self._file.taken()

    def end(self) -> bytes:
        self._writer.close()
        return self._file.taken()

    def _schema(self) -> Any:
        pa = self._pa
        name = pa.dictionary(pa.int32(), pa.string())
        fields = [pa.field(part, name, nullable=False) for part in _NAMES] if self._markets else []
        fields.append(pa.field("time", pa.timestamp("ms", "UTC"), nullable=False))
        fields += [pa.field(part, pa.float64(), nullable=False) for part in _SIX[1:]]
        if self._details:
            fields += [pa.field("quote_volume", pa.float64()), pa.field("trades", pa.int64())]
            fields.append(pa.field("partial", pa.bool_(), nullable=False))
        return pa.schema(fields)

    def _name_columns(self, block: bytes, market: int) -> list[Any]:
        if not self._markets:
            return []
        pa, rows = self._pa, len(block) // self.layout.row
        columns = []
        for known, name in zip(self._names, _named(self._markets[market]), strict=True):
            places = pa.repeat(pa.scalar(known.index(name), pa.int32()), rows)
            columns.append(pa.DictionaryArray.from_arrays(places, pa.array(known, pa.string())))
        return columns

    def _columns(self, block: bytes) -> list[Any]:
        pa, pc = self._pa, _compute()
        since_2000_us = self._values(block, 0, pa.int64())
        time = pc.divide(pc.add(since_2000_us, _POSTGRES_EPOCH_US), 1000).cast(pa.timestamp("ms", "UTC"))
        columns = [time, *(self._values(block, number, pa.float64()) for number in range(1, 6))]
        if self._details:
            quote, trades = self._values(block, 6, pa.float64()), self._values(block, 7, pa.int64())
            columns.append(pc.if_else(pc.is_nan(quote), None, quote))
            columns.append(pc.if_else(pc.less(trades, 0), None, trades))
            columns.append(self._values(block, 8, pa.int8()).cast(pa.bool_()))
        return columns

    def _values(self, block: bytes, number: int, kind: Any) -> Any:
        values = self.layout.column(block, number)
        rows = len(block) // self.layout.row
        return self._pa.Array.from_buffers(kind, rows, [None, self._pa.py_buffer(values)])


def _named(market: Instrument) -> tuple[str, str, str]:
    return market.exchange, market.base, market.quote


def _compute() -> Any:
    import pyarrow.compute

    return pyarrow.compute
