"""What is wrong with stored history: gaps that nobody asks for, and answered minutes that look lost."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from app.jobs.recheck import ask_again, keep
from app.stores.latest import LiveSink
from app.stores.repairs import RepairStore, Spans
from app.stores.symbols import StoredSymbol
from common.clock import Clock
from common.errors import Blocked, Malformed, Rejected
from common.ports import Exchange
from common.span import Span, floor_minute
from fetchers.history import Get

if TYPE_CHECKING:
    from app.wiring import Stores


class Findings(NamedTuple):
    """Of one exchange, by symbol id.

    gaps     wanted or failed, and not answered
    absent   answered, without a candle, on an exchange that serves every minute: an outage, or lost
    outside  how many stored minutes nobody has answered for
    """

    gaps: Spans
    absent: Spans
    outside: int


async def plan_failed(exchange: str, *, stores: "Stores", clock: Clock) -> int | None:
    """A job for the failed spans whose turn it is; None where there is none."""
    repairs, now_ms = RepairStore(stores.db), clock.now_ms()
    due = await repairs.due(exchange, now_ms)
    return await repairs.plan(exchange, due, now_ms, "repair: asks failed pages again")


async def look(
    exchange: Exchange,
    markets: Sequence[StoredSymbol],
    within: Span,
    audited: Span,
    *,
    stores: "Stores",
    clock: Clock,
) -> Findings:
    """Gaps `within`; what can only be told from the candles themselves, in the time `audited`."""
    repairs = RepairStore(stores.db)
    settled_ms = floor_minute(clock.now_ms() - round(exchange.limits.settle_s * 1000))
    within, audited = within.clip(Span(0, settled_ms)), audited.clip(Span(0, settled_ms))
    ids = [one.id for one in markets]
    gaps = {} if within.is_empty() else await repairs.gaps(ids, within)
    absent, outside = {}, 0
    for symbol_id in ids if not audited.is_empty() else ():
        outside += await repairs.outside(symbol_id, audited)
        if exchange.serves_quiet_minutes and (spans := await repairs.absent(symbol_id, audited)):
            absent[symbol_id] = spans
    return Findings(gaps, absent, outside)


async def find_lost(
    exchange: Exchange,
    markets: Sequence[StoredSymbol],
    absent: Spans,
    *,
    get: Get,
    stores: "Stores",
    sink: LiveSink,
    clock: Clock,
) -> tuple[int, list[str]]:
    """Ask once more for absent minutes; how many candles came, and a sentence for each market that was refused."""
    found, refused = 0, []
    for market in markets:
        try:
            async for answer in ask_again(exchange, market, absent.get(market.id, ()), get=get, clock=clock):
                found += await keep(answer, market, stores=stores, sink=sink, clock=clock)
        except (Rejected, Malformed) as error:
            refused.append(f"{market.instrument.key} was not asked again: {error}")
            if isinstance(error, Blocked):
                break
    return found, refused
