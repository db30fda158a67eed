"""The bars of one market or several, one market after the other, written as CSV, Arrow or Parquet."""

import asyncio
from collections.abc import Sequence

from app.stores.bar_stream import Bars
from web.bulk.response import Produce, Sink
from web.bulk.rows import Blocks
from web.bulk.tables import TableWriter
from web.deps import BarStream, Stored
from web.formats import Format

_NAMES = "exchange,base_id,quote_id,"
_SIX, _DETAILS = "time,open,high,low,close,volume", ",quote_volume,trades,partial"


def writing(
    stream: BarStream, form: Format, markets: Sequence[Stored], bars: Bars, *, unit_ms: int, named: bool
) -> Produce:
    """`named`: each row begins with the names of its market. `unit_ms` is the unit of times in CSV."""
    if form is Format.CSV:
        return lambda sink: _csv(stream, markets, bars, sink, unit_ms=unit_ms, named=named)
    return lambda sink: _tables(stream, form, markets, bars, sink, named=named)


async def _csv(
    stream: BarStream, markets: Sequence[Stored], bars: Bars, sink: Sink, *, unit_ms: int, named: bool
) -> None:
    held = f"{_NAMES if named else ''}{_SIX}{_DETAILS if bars.details else ''}\n".encode()

    async def after_the_header(piece: bytes) -> None:
        nonlocal held
        first, held = held, b""
        await sink(first + piece)

    for market in markets:
        one = market.instrument
        names = (one.exchange, one.base, one.quote) if named else ()
        await stream.csv(market.id, bars, after_the_header, unit_ms=unit_ms, names=names)
    if held:
        await sink(held)


async def _tables(
    stream: BarStream, form: Format, markets: Sequence[Stored], bars: Bars, sink: Sink, *, named: bool
) -> None:
    """Turning rows into columns is done in a thread, for it takes milliseconds a block."""
    listed = [market.instrument for market in markets] if named else []
    writer = await asyncio.to_thread(TableWriter, form, listed, details=bars.details)
    for place, market in enumerate(markets):
        blocks = Blocks(writer.layout, writer.block_rows)
        await _copied(stream, market, bars, blocks, writer, place, sink)
        if rest := blocks.rest():
            await sink(await asyncio.to_thread(writer.add, rest, place))
    await sink(await asyncio.to_thread(writer.end))


async def _copied(
    stream: BarStream, market: Stored, bars: Bars, blocks: Blocks, writer: TableWriter, place: int, sink: Sink
) -> None:
    async def take(piece: bytes) -> None:
        for block in blocks.add(piece):
            if written := await asyncio.to_thread(writer.add, block, place):
                await sink(written)

    await stream.binary(market.id, bars, take)
