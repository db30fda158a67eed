"""The invented market: any minute of any symbol is a pure function of their names, the same in every process.

Only integers are computed with until the last division, so the answer depends neither on the platform nor on
the order of questions.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import blake2b
from struct import unpack
from typing import NamedTuple, Protocol

from common.span import MINUTE_MS
from scripts.simulator.walk import price_ticks

FIRST_MINUTE = int(datetime(2010, 1, 1, tzinfo=UTC).timestamp()) // 60
LAST_MINUTE = int(datetime(2036, 1, 1, tzinfo=UTC).timestamp()) // 60 - 1

#: Exchanges whose REST serves a flat row for a minute without trades.
SERVES_QUIET = frozenset({"binance", "bittrex", "bybit", "kraken", "okx"})

#: However thin a symbol is, one minute in so many has a trade, which bounds the search for the previous close.
_SURE_EVERY = 64


class Row(NamedTuple):
    """One minute as an exchange serves it; every float is the one nearest to the text sent."""

    open_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    quote_volume: float
    trades: int
    taker_volume: float
    taker_quote_volume: float


class Trade(NamedTuple):
    """`price` and `amount` count the symbol's smallest steps."""

    offset_ms: int
    price: int
    amount: int


@dataclass(frozen=True, slots=True, eq=False)
class Symbol:
    """One market of one exchange: its names, and the character of its trade.

    `busy` of 65536 minutes have trades, up to `most_trades` (15 at most) each. `base` and `quote` are normalised,
    `native…` the exchange's own spelling. `price` is the level of the walk in steps of 10**-price_decimals;
    `listed` is the first minute that there is.
    """

    exchange: str
    native: str
    base: str
    quote: str
    native_base: str
    native_quote: str
    price: int = 1
    price_decimals: int = 2
    amount: int = 1
    amount_decimals: int = 5
    busy: int = 65536
    most_trades: int = 15
    status: str = "TRADING"
    listed: int = FIRST_MINUTE
    seed: int = field(init=False)
    trade_key: bytes = field(init=False)

    def __post_init__(self) -> None:
        # All dollars walk together, on every exchange, as arbitrage would have it.
        pair = f"{self.base}/{'USD' if self.quote.startswith('USD') else self.quote}".encode()
        object.__setattr__(self, "seed", int.from_bytes(blake2b(pair, digest_size=8).digest(), "big"))
        key = blake2b(f"{self.exchange}:{self.native}".encode(), digest_size=16).digest()
        object.__setattr__(self, "trade_key", key)


class Quiet(Protocol):
    """Says that trade of a symbol was switched off at `minute`: since which minute, or None."""

    def __call__(self, symbol: Symbol, minute: int, /) -> int | None: ...


class Market(Protocol):
    """What the exchanges' servers ask of a market, invented or recorded."""

    quiet: Quiet

    def symbols(self, exchange: str) -> Sequence[Symbol]: ...
    def find(self, exchange: str, native: str) -> Symbol | None: ...
    def row(self, symbol: Symbol, minute: int, now_ms: int) -> Row | None: ...
    def rows(
        self, symbol: Symbol, first: int, last: int, now_ms: int, *, newest: bool
    ) -> Iterator[Row | None]: ...


def never_quiet(symbol: Symbol, minute: int) -> int | None:
    return None


class InventedMarket:
    """Every symbol trades from its listing, mostly in 2010, to 2035, so any range can be asked."""

    def __init__(self, symbols: Mapping[str, Sequence[Symbol]]) -> None:
        self._symbols = symbols
        self._by_native = {(s.exchange, s.native): s for listed in symbols.values() for s in listed}
        self.quiet: Quiet = never_quiet

    def symbols(self, exchange: str) -> Sequence[Symbol]:
        return self._symbols.get(exchange, ())

    def find(self, exchange: str, native: str) -> Symbol | None:
        return self._by_native.get((exchange, native))

    def row(self, symbol: Symbol, minute: int, now_ms: int) -> Row | None:
        """The minute as the exchange serves it at `now_ms`; None where it serves none."""
        if not symbol.listed <= minute <= LAST_MINUTE or minute * MINUTE_MS > now_ms:
            return None
        trades = self._trades(symbol, minute)
        if (minute + 1) * MINUTE_MS > now_ms:
            trades = [trade for trade in trades if minute * MINUTE_MS + trade.offset_ms <= now_ms]
        if trades:
            return _aggregate(symbol, minute, trades)
        if symbol.exchange not in SERVES_QUIET:
            return None
        close = self._close_before(symbol, minute)
        return Row(minute * MINUTE_MS, close, close, close, close, 0.0, 0.0, 0, 0.0, 0.0)

    def rows(self, symbol: Symbol, first: int, last: int, now_ms: int, *, newest: bool) -> Iterator[Row | None]:
        """One answer of `row` for each minute of first..last that has begun, from the asked end."""
        minutes = range(max(first, symbol.listed), min(last, now_ms // MINUTE_MS, LAST_MINUTE) + 1)
        for minute in reversed(minutes) if newest else minutes:
            yield self.row(symbol, minute, now_ms)

    def _trades(self, symbol: Symbol, minute: int) -> list[Trade]:
        return [] if self.quiet(symbol, minute) is not None else trades(symbol, minute)

    def _close_before(self, symbol: Symbol, minute: int) -> float:
        minute -= 1
        while minute >= symbol.listed:
            since = self.quiet(symbol, minute)
            if since is None:
                if found := trades(symbol, minute):
                    return float(found[-1].price / 10**symbol.price_decimals)
                minute -= 1
            else:
                minute = since - 1
        return float(symbol.price / 10**symbol.price_decimals)


def trades(symbol: Symbol, minute: int) -> list[Trade]:
    """The trades of one minute in order of time, with nobody switching trade off."""
    luck, most, *dice = unpack(
        ">HH15I", blake2b(minute.to_bytes(5, "big"), digest_size=64, key=symbol.trade_key).digest()
    )
    if luck >= symbol.busy and (minute + symbol.seed) % _SURE_EVERY:
        return []
    count = symbol.most_trades - most % (symbol.most_trades // 2 + 1)
    start, end = price_ticks(symbol.seed, symbol.price, minute), price_ticks(symbol.seed, symbol.price, minute + 1)
    spread = max(2, start >> 10)
    made = []
    for at, die in enumerate(dice[:count]):
        # Each trade has its own slice of the minute, so they need no sorting.
        offset_ms = (at * 1024 + (die & 1023)) * MINUTE_MS // (count * 1024)
        jitter = (((die >> 10) & 2047) - 1024) * spread >> 11
        price = max(1, start + (end - start) * offset_ms // MINUTE_MS + jitter)
        size = (die >> 21) + 1
        made.append(Trade(offset_ms, price, 1 + (symbol.amount * size * size >> 21)))
    return made


def _aggregate(symbol: Symbol, minute: int, made: Sequence[Trade]) -> Row:
    price_unit, amount_unit = 10**symbol.price_decimals, 10**symbol.amount_decimals
    prices = [trade.price for trade in made]
    amounts = [trade.amount for trade in made]
    taken = [trade for trade in made if trade.offset_ms & 1]
    return Row(
        minute * MINUTE_MS,
        prices[0] / price_unit,
        max(prices) / price_unit,
        min(prices) / price_unit,
        prices[-1] / price_unit,
        _volume(symbol, amounts, amount_unit),
        _quote_volume(made, price_unit * amount_unit),
        len(made),
        sum(trade.amount for trade in taken) / amount_unit,
        _quote_volume(taken, price_unit * amount_unit),
    )


def _volume(symbol: Symbol, amounts: Sequence[int], unit: int) -> float:
    if symbol.exchange != "bitfinex":
        return sum(amounts) / unit
    # Bitfinex adds binary numbers, and its rows show it: 3.3434853999999996. (Python 3.12's sum would hide it.)
    volume = 0.0
    for amount in amounts:
        volume += amount / unit
    return volume


def _quote_volume(made: Sequence[Trade], unit: int) -> float:
    """Cut to the eight decimals that the exchanges print."""
    return sum(trade.price * trade.amount for trade in made) * 10**8 // unit / 10**8
