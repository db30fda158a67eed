"""The candle as it travels through Redis: one JSON object in the field `candle` of a stream entry."""

import msgspec

from common.market import Candle, Source


class CandleMessage(msgspec.Struct, frozen=True, gc=False):
    """One state of one minute. `time` and `received` are UTC milliseconds; `source` is common.market.Source.

    `corrected` marks a closed candle whose values differ from those announced before. `native` is what the
    exchange calls the market, empty where whoever tells does not know: another market may bear our name later.
    """

    exchange: str
    market_type: str
    base: str
    quote: str
    time: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    quote_volume: float | None
    trades: int | None
    source: int
    received: int
    corrected: bool = False
    native: str = ""

    @property
    def key(self) -> str:
        """The instrument's identity, as Instrument.key spells it."""
        return f"{self.exchange}:{self.market_type}:{self.base}/{self.quote}"

    @property
    def native_key(self) -> str:
        """As Instrument.native_key spells it; empty where it is not known."""
        return f"{self.exchange}:{self.market_type}:{self.native}" if self.native else ""

    @property
    def closed(self) -> bool:
        return self.source > Source.RUNNING


def from_candle(candle: Candle, received_ms: int, *, corrected: bool = False) -> CandleMessage:
    """The message that tells of `candle`, received at `received_ms`."""
    market = candle.instrument
    return CandleMessage(
        market.exchange,
        market.market_type,
        market.base,
        market.quote,
        *candle[1:9],
        int(candle.source),
        received_ms,
        corrected,
        market.native,
    )


encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(CandleMessage).decode
