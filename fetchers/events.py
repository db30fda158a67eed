"""What is told of live connections, besides candles."""

from typing import NamedTuple

from common.market import Candle, Instrument
from common.ports import Subscription


class Connected(NamedTuple):
    """Everything is asked for; each market's Subscription, or its first candle, says that it comes."""


class Lost(NamedTuple):
    """No connection. Nothing was heard after `since_ms` at the latest; None when nothing was ever heard."""

    reason: str
    since_ms: int | None
    #: How long the exchange asks us to stay away.
    retry_after_s: float | None = None


class Stale(NamedTuple):
    """A market is silent in a way that is not its own; it was subscribed to once more."""

    instrument: Instrument
    silent_ms: int


Event = Candle | Connected | Lost | Subscription | Stale
