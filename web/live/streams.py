"""How a stream is spelled: `binance:BTC:USDT@1m`, one market at one timeframe; `binance:*:USDT@1m` many."""

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from common.errors import BadInput
from common.interval import Interval
from common.market import Instrument
from common.symbols import matches
from common.timeframe import Timeframe, Unit, parse

ALLOWED = "exchange:BASE:QUOTE@timeframe, with * inside any name: binance:BTC:USDT@1m, binance:*:USDT@1h"
#: Any timeframe, in what takes streams away.
EVERY = "*"


class Topic(NamedTuple):
    """One market at one timeframe: `key` is its Instrument.key when it was subscribed to, `market` its id then.

    Another market may bear the name later, and is another topic.
    """

    key: str
    timeframe: Timeframe
    market: int


class Pattern(NamedTuple):
    """What one spelling selects; no `timeframe` means every."""

    text: str
    markets: str
    timeframe: Timeframe | None

    def selects(self, market: Instrument) -> bool:
        return matches(self.markets, market)

    @property
    def is_one(self) -> bool:
        return EVERY not in self.markets


@lru_cache(maxsize=4096)
def timeframe_of(interval: str, zone: str | None = None, origin_ms: int | None = None) -> Timeframe:
    """The one way to write timeframes that have the same buckets; raises BadInput."""
    found = parse(interval, zone, origin_ms)
    if found.stored is not None:
        return stored(found.stored)
    if found.unit is Unit.MINUTE:
        return Timeframe(found.count, found.unit, origin_ms=found.origin_ms)
    return found


def stored(interval: Interval) -> Timeframe:
    return parse(interval.value)


def stream_name(market: Instrument, timeframe: Timeframe) -> str:
    """`exchange[:type]:BASE:QUOTE@timeframe[@zone[@origin]]`."""
    where = market.exchange if market.market_type == "spot" else f"{market.exchange}:{market.market_type}"
    parts = [f"{where}:{market.base}:{market.quote}", str(timeframe)]
    if timeframe.zone != "UTC" or timeframe.origin_ms is not None:
        parts.append(timeframe.zone)
    if timeframe.origin_ms is not None:
        parts.append(str(timeframe.origin_ms))
    return "@".join(parts)


def parse_patterns(texts: Iterable[str], *, any_timeframe: bool = False) -> list[Pattern]:
    """Raise BadInput, naming the stream that is none."""
    return [_parse(text, any_timeframe=any_timeframe) for text in texts]


def _parse(text: str, *, any_timeframe: bool) -> Pattern:
    markets, *rest = text.strip().split("@")
    if not rest or len(rest) > 3 or not 2 <= markets.count(":") <= 3 or set(markets) & set(",!/ "):
        raise BadInput("streams", f"{text!r} is no stream; use {ALLOWED}.", ALLOWED)
    try:
        if any_timeframe and rest == [EVERY]:
            return Pattern(text, markets, None)
        timeframe = timeframe_of(rest[0], rest[1] if rest[1:] else None, _origin(rest[2:]))
    except BadInput as error:
        raise BadInput("streams", f"Stream {text!r}: {error.sentence}", error.allowed) from None
    return Pattern(text, markets, timeframe)


def _origin(rest: list[str]) -> int | None:
    if not rest:
        return None
    if not (rest[0].isascii() and rest[0].isdecimal() and len(rest[0]) <= 15):
        raise BadInput("origin", f"the origin must be UTC milliseconds, not {rest[0]!r}.", "UTC milliseconds")
    return int(rest[0])
