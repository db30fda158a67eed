"""What is traded where, and what its price did in one minute."""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

from common.span import Span


class Source(IntEnum):
    """How far a candle can be trusted. A lower source never overwrites a higher one.

    RUNNING           a preview of the minute under way; never stored
    CLOSED_BY_TIME    the minute is over and the exchange sends no closing message, or it did not come
    CLOSING_MESSAGE   the exchange's own closing message
    RECORD            REST, archive or import
    """

    RUNNING = 0
    CLOSED_BY_TIME = 1
    CLOSING_MESSAGE = 2
    RECORD = 3


@dataclass(frozen=True, slots=True)
class Instrument:
    """A market of one exchange under normalised names, which may change while it stays the same market.

    `base` and `quote` are the field's common spelling (USDT, DASH); `native` is the exchange's own name for
    the market (tBTCUST's `BTCUST`), `native_base` and `native_quote` its own currency codes.
    `tick_size` is the smallest price step in quote currency, None where the exchange states none.
    """

    exchange: str
    base: str
    quote: str
    native: str
    native_base: str = ""
    native_quote: str = ""
    market_type: str = "spot"
    tick_size: float | None = None
    is_trading: bool = True
    #: What it was called before, newest first.
    former: tuple["Instrument", ...] = field(default=(), compare=False, repr=False)
    #: Of a former name: minutes before this are asked of the exchange under it; None where later names have them.
    serves_before_ms: int | None = field(default=None, compare=False, repr=False)
    #: `binance:spot:BTC/USDT`, its present name in one word.
    key: str = field(init=False, compare=False)
    #: `binance:spot:BTCUSDT`: what the exchange knows it by while it lists it.
    native_key: str = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        where = f"{self.exchange}:{self.market_type}"
        object.__setattr__(self, "key", f"{where}:{self.base}/{self.quote}")
        object.__setattr__(self, "native_key", f"{where}:{self.native}")

    @property
    def symbol(self) -> str:
        """`BTC/USDT`."""
        return f"{self.base}/{self.quote}"

    def asked_as(self, wanted: Span) -> tuple["Instrument", Span]:
        """Under which name the exchange serves the newest minutes of `wanted`, and the part that it serves so."""
        name, since_ms = self, wanted.start_ms
        for before in self.former:  # the newest first
            if before.serves_before_ms is not None:
                if before.serves_before_ms < wanted.end_ms:
                    return name, Span(max(since_ms, before.serves_before_ms), wanted.end_ms)
                name = before
        return name, wanted


class Candle(NamedTuple):
    """One minute of one instrument.

    `open_ms` is the start of the minute in UTC milliseconds. Prices are in quote currency, `volume` in base
    currency, each the float64 nearest to the exchange's decimal text. `quote_volume` and `trades` are None
    where the exchange does not give them.
    """

    instrument: Instrument
    open_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    quote_volume: float | None = None
    trades: int | None = None
    source: Source = Source.RUNNING


class Bar(NamedTuple):
    """A candle of any timeframe as it is served: `open_ms` starts its bucket."""

    open_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    quote_volume: float | None = None
    trades: int | None = None
