"""One WebSocket connection in ccxt's words: candles where its class watches them, else trades, made into minutes.

ccxt tells no closing flag, so that minutes close by time, and confirms nothing, so that a market is confirmed by
its first candle. What it finds wrong refuses the market that it names, or else is a notice.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from typing import Any

from common.errors import Malformed, Rejected, Retryable
from common.market import Candle, Instrument
from common.ports import Request, Subscription
from common.span import MINUTE_MS
from fetchers.answers import Mailbox, ascending
from fetchers.by_ccxt.frames import unpacked
from fetchers.by_ccxt.manner import Manner, said, text_of
from fetchers.by_ccxt.readings import candle
from fetchers.by_ccxt.rest import Asking, know, origin
from fetchers.by_ccxt.socket import socket_class
from fetchers.trades import Minutes, Trade

#: Different sentences that one connection may have told.
_MOST_NOTICES = 100
#: Trades of one connection that may be told again: many more than come in the two minutes that are kept.
_MOST_GIVEN = 100_000


class CcxtSession:
    """One connection; ccxt's object keeps what its handlers need, and dies with it."""

    def __init__(
        self, name: str, options: dict[str, Any], manner: Manner, instruments: Sequence[Instrument]
    ) -> None:
        self._name = name
        self._manner = manner
        self._client = socket_class(name, options)
        #: Every market that this connection ever told of, as ccxt knows it here, by its native key.
        self._known: dict[str, Instrument] = {}
        #: Those that are wanted, by their symbols there.
        self._by_symbol: dict[str, Instrument] = {}
        self._left: set[str] = set()
        self._hashes: dict[str, str] = {}
        self._noticed: set[str] = set()
        self._url = ""
        self._minutes, self._trades = Minutes(), _Numbers()
        self._outbox, self._answered, self._notices = Mailbox[str](), Mailbox[Subscription](), Mailbox[str]()
        self.add(instruments)

    def add(self, instruments: Sequence[Instrument]) -> None:
        called = {self._called(one): one for one in instruments}
        new = {symbol: one for symbol, one in called.items() if symbol not in self._by_symbol}
        if not new:
            return
        self._by_symbol.update(new)
        self._left.difference_update(new)
        know(self._client, self._known.values())
        if self._url or self._manner.request is None:
            self._subscribe(new)

    def _called(self, one: Instrument) -> str:
        """A symbol of its own: another market that is still told of may have had that name before."""
        if one.native_key not in self._known:
            taken, base = {each.symbol for each in self._known.values()}, one.base
            while f"{base}/{one.quote}" in taken:
                base += "+"
            self._known[one.native_key] = replace(one, base=base)
        return self._known[one.native_key].symbol

    def drop(self, instruments: Sequence[Instrument]) -> None:
        """ccxt has no word for leaving that all classes know, so the exchange may go on telling."""
        symbols = [self._called(one) for one in instruments]
        for symbol in symbols:
            if one := self._by_symbol.pop(symbol, None):
                self._left.add(symbol)
                self._minutes.forget(one)

    def _subscribe(self, symbols: Iterable[str]) -> None:
        for symbol in symbols:
            known = self._known[self._by_symbol[symbol].native_key]
            saying = said(self._client, self._manner.method, known)
            if isinstance(saying, Asking):
                raise Rejected(f"{self._name} wants to be asked more than once before it is connected to")
            self._url = saying.url
            self._hashes.update(dict.fromkeys(saying.hashes, symbol))
            if saying.message is not None:
                self._outbox.append(text_of(saying.message))

    def handshake(self) -> Request | None:
        return self._manner.request

    def url(self, ws_url: str, answer: bytes | None) -> str:
        if answer is not None:
            self._client.given = [answer]
            try:
                self._subscribe([*self._by_symbol])
            except (Malformed, Rejected) as error:
                raise Retryable(f"{self._name} does not say where its socket is ({error})") from error
        if not self._url:
            return ws_url
        return self._url if ws_url == self._manner.own else _moved(self._url, ws_url)

    def to_send(self) -> list[str]:
        return self._outbox.take()

    def receive(self, frame: str | bytes) -> list[Candle]:
        message = unpacked(frame, self._client)
        try:
            self._client.handle_message(self._client.wire, message)
        except Malformed:
            raise
        except Asking as error:
            raise Malformed(f"{self._name} frame about which ccxt would ask more", str(error)) from error
        except Exception as error:  # whatever a class of ccxt's raises
            self._complain(error)
        self._collect()
        return self._told()

    def _complain(self, error: Exception) -> None:
        """ccxt's own errors are what the exchange says; others are a frame that its class does not expect."""
        if not type(error).__module__.startswith("ccxt."):
            raise Malformed(f"{self._name} frame", f"{type(error).__name__} {error}"[:200]) from error
        self._notice(error)

    def _notice(self, error: Any) -> None:
        """Once, for some are told with every frame."""
        sentence = f"{self._name} says: {str(error)[:200]}"
        if sentence not in self._noticed and len(self._noticed) < _MOST_NOTICES:
            self._noticed.add(sentence)
            self._notices.append(sentence)

    def _collect(self) -> None:
        wire = self._client.wire
        self._outbox += map(text_of, wire.said)
        for error, message_hash in wire.rejected:
            symbol = self._hashes.get(message_hash or "")
            if symbol is None:
                self._notice(error)
            elif (refused := self._by_symbol.pop(symbol, None)) is not None:
                self._answered.append(Subscription(refused, str(error)[:200] or "no reason given"))
        wire.said, wire.rejected = [], []

    def _told(self) -> list[Candle]:
        """What the handlers have put where ccxt keeps it, which is emptied."""
        kept = self._client.ohlcvs if self._manner.has_candles else self._client.trades
        told = list[Candle]()
        for symbol, found in kept.items():
            caches = found.values() if self._manner.has_candles else [found]
            rows = [row for cache in caches for row in _taken(cache)]
            if not rows or symbol in self._left:
                continue
            if (instrument := self._by_symbol.get(symbol)) is None:
                raise Malformed(f"{self._name} tells of a series not subscribed", str(symbol))
            told += self._candles(instrument, rows) if self._manner.has_candles else self._feed(instrument, rows)
        return sorted(told, key=lambda one: one.open_ms)

    def _candles(self, instrument: Instrument, rows: list[Any]) -> list[Candle]:
        candles = ascending(candle(instrument, row) for row in rows)
        if any(one.open_ms % MINUTE_MS for one in candles):
            raise Malformed(f"{self._name} candle that starts on no minute", instrument.key)
        return candles

    def _feed(self, instrument: Instrument, rows: list[Any]) -> list[Candle]:
        trades = [self._trades.trade(self._name, row) for row in rows]
        # REST tells neither a quote volume nor a count through ccxt, and a record that differs is a correction.
        return [one._replace(quote_volume=None, trades=None) for one in self._minutes.feed(instrument, trades)]

    def answered(self) -> list[Subscription]:
        return self._answered.take()

    def notices(self) -> list[str]:
        return self._notices.take()


class _Numbers:
    """A number for each trade, the same when it is told again: the exchange's, else one after the other."""

    def __init__(self) -> None:
        self._next = 0
        #: Of those that the exchange tells apart by words, the oldest first.
        self._given: dict[str, int] = {}

    def trade(self, name: str, row: Any) -> Trade:
        try:
            at_ms, price, amount = int(row["timestamp"]), Decimal(str(row["price"])), Decimal(str(row["amount"]))
        except (KeyError, TypeError, ValueError, InvalidOperation) as error:
            raise Malformed(f"{name} trade that cannot be read", str(row)[:100]) from error
        return Trade(self._number(row.get("id")), at_ms, price, amount)

    def _number(self, id_: Any) -> int:
        name = "" if id_ is None else str(id_)
        if name.isascii() and name.isdecimal():
            return int(name)
        if name in self._given:
            return self._given[name]
        self._next += 1
        if name:
            self._given[name] = self._next
            if len(self._given) > _MOST_GIVEN:
                del self._given[next(iter(self._given))]
        return self._next


def _taken(cache: Any) -> list[Any]:
    rows = list(cache)
    if rows:
        cache.clear()
    return rows


def _moved(url: str, to: str) -> str:
    """`url` on the host, and below the path, that `to` names; with `http` for `ws`, too."""
    base = to.rstrip("/")
    return (base.replace("http", "ws", 1) if base.startswith("http") else base) + url.removeprefix(origin(url))
