"""The candle as it travels through Redis: one JSON object in the field `candle` of a stream entry."""

import msgspec

from common.market import Bar, Candle, Source


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

    @property
    def bar(self) -> Bar:
        return Bar(self.time, self.open, self.high, self.low, self.close, self.volume)

    @property
    def rank(self) -> tuple[float, ...]:
        """Of two states of a closed minute the store keeps the greater (candles_correct.sql)."""
        trades = -1 if self.trades is None else self.trades
        quote_volume = -1.0 if self.quote_volume is None else self.quote_volume
        return (self.source, self.volume, trades, quote_volume, self.high, self.low, self.close, self.open)

    def replaces(self, known: "CandleMessage") -> bool:
        """Whether this, told after `known` of the same minute, is the better knowledge, as it is in the store.

        Two streams may hold a market for a moment, and the one that lost it tells of minutes as it knew them.
        """
        if self.source != known.source:
            return self.source > known.source
        if self.source == Source.RUNNING:
            return self.volume >= known.volume
        return self.source == Source.RECORD or self.rank >= known.rank


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
