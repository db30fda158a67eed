"""Look for outages of an exchange in what it has answered since the last look, and in the last two days again."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import structlog

from app.happening import Happening, Kind, happening
from app.stores import streamed
from common import outages
from common.clock import Clock
from common.ports import Exchange
from common.span import DAY_MS, MINUTE_MS, Span, common, union

if TYPE_CHECKING:
    from app.wiring import Stores

#: Answers for so long ago may still change: a quiet run is asked for once more after a day.
AGAIN_MS = 2 * DAY_MS
#: At most so much history in one look.
LOOK_MS = 31 * DAY_MS
#: What is looked at again around new answers, because they tell more of it.
BESIDE_MS = 2 * outages.AROUND_MS

Minutes = Mapping[int, Sequence[Span]]
log = structlog.get_logger(__name__)


async def seek(exchange: Exchange, *, stores: "Stores", clock: Clock) -> tuple[bool, list[Happening]]:
    """Look at the newest month not looked at yet: whether none is left then, and what is to be told."""
    async with stores.outages.alone(exchange.name):
        ids = [one.id for one in (await stores.symbols.load(exchange.name)).values()]
        bounds = await stores.outages.bounds(ids)
        answered = _within(await stores.coverage.covered(list(bounds)), bounds)
        new = await _new(answered, stores)
        look = _newest(new)
        area = await _area(exchange.name, look, stores)
        asked = {one: common(spans, area) for one, spans in answered.items()}
        found = await (_unserved if exchange.serves_quiet_minutes else _silent)(asked, answered, stores, clock)
        settled = common(look, [Span(0, clock.now_ms() - AGAIN_MS)])
        sought = {one: common(spans, settled) for one, spans in asked.items()}
        new_ones = await stores.outages.replace(exchange.name, area, found, sought, clock.now_ms())
    if new_ones:
        log.info("outages found", exchange=exchange.name, new=len(new_ones))
    return look == new, [_told(exchange.name, one, clock) for one in found if one.span in new_ones]


def _told(exchange: str, one: outages.Outage, clock: Clock) -> Happening:
    start_ms, end_ms = one.span
    figures = {"start_ms": start_ms, "end_ms": end_ms, "markets": len(one.markets)}
    return happening(Kind.OUTAGE, exchange, clock.now_ms(), one.evidence, facts=figures)


async def _new(answered: Minutes, stores: "Stores") -> list[Span]:
    """What was answered and not looked at."""
    sought = await stores.outages.sought(list(answered))
    return union(
        left for one, spans in answered.items() for span in spans for left in span.minus(sought.get(one, []))
    )


def _newest(new: Sequence[Span]) -> list[Span]:
    """The last `LOOK_MS` of it, ascending."""
    left_ms, taken = LOOK_MS, list[Span]()
    for span in reversed(new):
        if left_ms > 0:
            taken.append(Span(max(span.start_ms, span.end_ms - left_ms), span.end_ms))
            left_ms -= span.end_ms - span.start_ms
    return taken[::-1]


async def _area(exchange: str, new: Sequence[Span], stores: "Stores") -> list[Span]:
    """What is new with its neighbourhood, and the known outages that reach into it, whole."""
    area = union(Span(span.start_ms - BESIDE_MS, span.end_ms + BESIDE_MS) for span in new)
    known = await stores.outages.stored(exchange)
    return union([*area, *(one for one in known if any(_touch(one, part) for part in area))])


async def _unserved(asked: Minutes, _: Minutes, stores: "Stores", clock: Clock) -> list[outages.Outage]:
    return outages.unserved({one: await stores.outages.absent(one, spans) for one, spans in asked.items()})


async def _silent(asked: Minutes, answered: Minutes, stores: "Stores", clock: Clock) -> list[outages.Outage]:
    holes = outages.answered_by(list(asked.values()))
    value = await streamed.traded(stores.db, list(asked), clock.now_ms())
    for one in sorted(asked, key=lambda one: -value.get(one, 0)):  # a busy market leaves few holes to look at
        holes = await stores.outages.absent(one, holes)
    near = union(Span(hole.start_ms - outages.AROUND_MS, hole.end_ms + outages.AROUND_MS) for hole in holes)
    if not near:
        return []
    markets = {
        one: outages.Market(common(spans, near), await stores.outages.times(one, near))
        for one, spans in answered.items()
    }
    return outages.silent(markets, holes)


def _within(covered: Minutes, bounds: Mapping[int, Span]) -> dict[int, list[Span]]:
    """Without what was answered before a market's first candle and after its last: that is no sign of anything."""
    return {one: common(covered.get(one, []), [span]) for one, span in bounds.items()}


def _touch(one: Span, other: Span) -> bool:
    return one.start_ms <= other.end_ms + MINUTE_MS and other.start_ms <= one.end_ms + MINUTE_MS
