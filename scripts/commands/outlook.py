"""What a fetch would ask for and bring, in words and for programs."""

from collections.abc import Sequence

from rich.filesize import decimal

from app import wiring
from app.disk import Room
from app.jobs.outlook import Outlook, look_ahead
from app.stores.sizes import CandleBytes, SizeStore
from app.stores.symbols import StoredSymbol
from common.ports import Exchange
from common.span import Span
from scripts.commands.desk import Desk
from scripts.commands.progress import Display, counted


async def foretell(
    desk: Desk, exchange: Exchange, chosen: Sequence[StoredSymbol], span: Span, shown: Display
) -> int:
    """Say what a fetch of these markets would ask for; nothing is planned. The most rows that it can bring."""
    missing = await desk.stores.plan.missing([one.id for one in chosen], span)
    outlook = look_ahead(
        exchange,
        {one.id: one.instrument for one in chosen},
        missing,
        now_ms=desk.clock.now_ms(),
        weight_per_minute=wiring.budget_weight(desk.settings, exchange.name),
    )
    candle = await SizeStore(desk.stores.db).of_candle()
    facts = {**outlook._asdict(), "eta_s": round(outlook.seconds), "bytes": outlook.rows * candle.bytes}
    shown.say(_sentence(exchange, outlook, len(chosen), candle), exchange=exchange.name, **facts)
    return outlook.rows


def tell_room(room: Room, rows: int, shown: Display) -> None:
    """Say whether so many rows have place on the database's disk."""
    if rows:
        disk = room.disk._asdict() if room.disk else {"free": None, "total": None}
        shown.say(room.outlook(rows), **disk, needed=room.needed, fits=room.fits(rows))


async def warn_of_disk(desk: Desk, symbol_ids: Sequence[int], span: Span, shown: Display) -> None:
    """Say so before a fetch is planned whose rows have no place."""
    missing = await desk.stores.plan.missing(symbol_ids, span)
    room, rows = await desk.room(), sum(one.minutes() for spans in missing.values() for one in spans)
    if room.fits(rows) is False:
        tell_room(room, rows, shown)


def _sentence(exchange: Exchange, outlook: Outlook, markets: int, candle: CandleBytes) -> str:
    if not outlook.pages:
        return f"Already complete: {counted(markets, 'market')} of {exchange.name}; nothing would be asked for."
    limit = f"{outlook.weight_per_minute:,} of {exchange.limits.weight_per_minute:,} weight a minute"
    known = "measured here" if candle.measured else f"typical of tier {candle.tier}"
    return (
        f"{counted(outlook.symbols, 'market')} of {exchange.name}: {counted(outlook.pages, 'page')} with as many"
        f" requests (weight {outlook.weight:,}), at most {counted(outlook.rows, 'row')}"
        f" ({decimal(outlook.rows * candle.bytes)} at {candle.bytes} bytes a row, {known}),"
        f" {how_long(outlook.seconds)} at the allowed rate ({limit}). Nothing was planned."
    )


def how_long(seconds: float) -> str:
    """As `about 11 min`, `about 2 h 5 min`, `about 3 d 4 h`."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return "less than a minute"
    days, hours = divmod(minutes // 60, 24)
    if days:
        return f"about {days} d {hours} h"
    return f"about {hours} h {minutes % 60} min" if hours else f"about {minutes} min"
