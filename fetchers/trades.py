"""Minutes made of an exchange's trades, where it tells no candles of a minute."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from common.errors import Malformed
from common.market import Candle, Instrument
from common.span import MINUTE_MS, floor_minute
from fetchers import answers

_LEAST, _MOST = Decimal("1e-40"), Decimal("1e40")


class Trade(NamedTuple):
    """`number` tells it from the market's other trades, and which of two in the same millisecond came first.

    Price and amount are the exchange's decimals, so that sums of them are exact.
    """

    number: int
    at_ms: int
    price: Decimal
    amount: Decimal


class Minutes:
    """What one connection's trades say about its markets' running minutes, and about those just before them.

    A minute that was not seen from its beginning is not told: it would look whole, and REST tells it anyway.
    """

    def __init__(self) -> None:
        self._markets: dict[str, _Market] = {}

    def begin(self, instrument: Instrument, since_ms: int) -> None:
        """Each trade from `since_ms` on is going to be fed; otherwise, those after the first one that is."""
        first_ms = floor_minute(since_ms + MINUTE_MS - 1)
        market = self._markets.setdefault(instrument.native_key, _Market(first_ms))
        market.first_ms = min(first_ms, market.first_ms)

    def forget(self, instrument: Instrument) -> None:
        """Trades of it may be missed from now on."""
        self._markets.pop(instrument.native_key, None)

    def feed(self, instrument: Instrument, trades: Iterable[Trade]) -> list[Candle]:
        """The minutes that these trades change, oldest first, as they now stand.

        They may come in any order, and again; those older than the minute before the running one are passed over.
        Raises Malformed for a trade that cannot be, and then takes none of them.
        """
        ordered = sorted(trades, key=lambda one: (one.at_ms, one.number))
        for trade in ordered:
            if not (_is_possible(trade.price) and _is_possible(trade.amount) and trade.at_ms >= 0):
                raise Malformed(f"{instrument.exchange} trade that cannot be", f"{instrument.key} {trade}")
        if ordered and instrument.native_key not in self._markets:
            self.begin(instrument, ordered[0].at_ms + 1)
        changed = dict[int, _Minute]()
        for trade in ordered:
            if (minute := self._markets[instrument.native_key].take(trade)) is not None:
                changed[minute.open_ms] = minute
        return [changed[open_ms].candle(instrument) for open_ms in sorted(changed)]


def _is_possible(number: Decimal) -> bool:
    return number.is_finite() and _LEAST < number < _MOST


@dataclass(slots=True)
class _Market:
    first_ms: int
    newest_ms: int = -1
    minutes: "dict[int, _Minute]" = field(default_factory=dict)

    def take(self, trade: Trade) -> "_Minute | None":
        """The minute that the trade changes, if any."""
        open_ms = floor_minute(trade.at_ms)
        if open_ms < max(self.first_ms, self.newest_ms - MINUTE_MS):
            return None
        if open_ms > self.newest_ms:
            self.newest_ms = open_ms
            kept = range(open_ms - MINUTE_MS, open_ms, MINUTE_MS)
            self.minutes = {at: self.minutes[at] for at in kept if at in self.minutes}
        if (minute := self.minutes.get(open_ms)) is None:
            minute = self.minutes[open_ms] = _Minute(open_ms, trade, trade, trade.price, trade.price)
        return minute if minute.add(trade) else None


@dataclass(slots=True)
class _Minute:
    open_ms: int
    first: Trade
    last: Trade
    high: Decimal
    low: Decimal
    volume: Decimal = Decimal(0)
    quote_volume: Decimal = Decimal(0)
    numbers: set[int] = field(default_factory=set)

    def add(self, trade: Trade) -> bool:
        """Whether it is a new one."""
        if trade.number in self.numbers:
            return False
        self.numbers.add(trade.number)
        self.first = min(self.first, trade, key=_order)
        self.last = max(self.last, trade, key=_order)
        self.high, self.low = max(self.high, trade.price), min(self.low, trade.price)
        self.volume += trade.amount
        self.quote_volume += trade.price * trade.amount
        return True

    def candle(self, instrument: Instrument) -> Candle:
        open_, high, low, close = map(float, (self.first.price, self.high, self.low, self.last.price))
        volume, quote_volume, trades = float(self.volume), float(self.quote_volume), len(self.numbers)
        return answers.candle(instrument, self.open_ms, open_, high, low, close, volume, quote_volume, trades)


def _order(trade: Trade) -> tuple[int, int]:
    return trade.at_ms, trade.number
