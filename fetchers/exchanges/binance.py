"""Binance spot.

Sources: binance-spot-api-docs `web-socket-streams.md`, `rest-api.md`, `errors.md`; recordings of 2021 and 2023.

REST  GET /api/v3/klines, weight 2 of 6000 a minute and address, counted back in `x-mbx-used-weight-1m`. At most
      1,000 rows, ascending, both bounds inclusive on the open time. With `startTime` alone a range in an outage
      answers the first rows after it, so `endTime` is always sent. Minutes without trades have volume 0.
      [[open_ms, "open", "high", "low", "close", "volume", close_ms, "quote volume", trades, …], …]
      Over the limit 429, whoever goes on 418 for 2 minutes to 3 days; both with Retry-After, 418 also with words:
      {"code":-1003,"msg":"Way too much request weight used; IP banned until 1573993214000. …"}
WS    <symbol in lower case>@kline_1m on /ws (bare payloads) or /stream (wrapped in {"stream", "data"}). A push
      every 2 s when something changed; `x: true` closes the minute, 5 ms to 2.4 s after its end, and an `x: false`
      can still follow that end. An unknown symbol is answered by silence, not by an error.
      {"e":"kline","E":…,"s":"FTMUSDT","k":{"t":open_ms,"s":"FTMUSDT","i":"1m","o":"…","c":"…","h":"…","l":"…",
       "v":"…","n":82,"x":true,"q":"…",…}}
      A connection lives 24 h; `serverShutdown` announces its end. Five client messages a second, pongs included.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import count

import msgspec

from common.errors import Ending, Malformed
from common.market import Candle, Instrument, Source
from common.ports import Exchange, Limits, Listing, Page, Request, Subscription
from common.span import Span
from fetchers import answers
from fetchers.answers import Amount, Count, Mailbox, Minute, Moment, Price

#: Streams named in one SUBSCRIBE, which keeps a message at a few kB.
_STREAMS_PER_MESSAGE = 200

#: "Way too much request weight used; IP banned until 1573993214000. …"
_UNTIL = re.compile(r"banned until (\d{13})\b", re.ASCII)

_RUNNING, _CLOSING = Source.RUNNING, Source.CLOSING_MESSAGE


class _Row(msgspec.Struct, array_like=True, gc=False):
    open_ms: Moment
    open: Price
    high: Price
    low: Price
    close: Price
    volume: Amount
    close_ms: int
    quote_volume: Amount
    trades: Count


class _Kline(msgspec.Struct, gc=False):
    t: Minute
    s: str
    i: str
    o: Price
    h: Price
    l: Price  # noqa: E741 - the wire's name
    c: Price
    v: Amount
    q: Amount
    n: Count
    x: bool


class _Event(msgspec.Struct, gc=False):
    e: str = ""
    k: _Kline | None = None


class _Error(msgspec.Struct):
    code: int = 0
    msg: str = ""


class _Frame(_Event, gc=False):
    """A bare payload or a wrapped one. Only what candles need, because every live frame is decoded into it."""

    data: _Event | None = None


class _Other(_Frame):
    """Any other frame: whichever fields are there."""

    stream: str = ""
    id: int | str | msgspec.UnsetType | None = msgspec.UNSET
    code: int = 0
    msg: str = ""
    error: _Error | None = None


class _Filter(msgspec.Struct):
    filterType: str
    tickSize: float = 0


class _Market(msgspec.Struct):
    symbol: str
    status: str
    baseAsset: str
    quoteAsset: str
    filters: list[_Filter] = []


class _Markets(msgspec.Struct):
    symbols: list[msgspec.Raw]


_frame = msgspec.json.Decoder(_Frame, strict=False).decode
_other = msgspec.json.Decoder(_Other, strict=False)
_rows = msgspec.json.Decoder(list[_Row], strict=False)
_market = msgspec.json.Decoder(_Market, strict=False)
_markets = msgspec.json.Decoder(_Markets)
_error = msgspec.json.Decoder(_Error)


def _candle(instrument: Instrument, row: _Row) -> Candle:
    values = (row.open, row.high, row.low, row.close, row.volume, row.quote_volume, row.trades)
    return answers.candle(instrument, row.open_ms, *values, Source.RECORD)


class Binance:
    """Binance spot as pure functions."""

    name = "binance"
    rest_url = "https://api.binance.com"
    ws_url = "wss://stream.binance.com:9443"
    # Of five messages a second one is left for pongs. A quiet market is heard of once a minute, hence 90 s.
    limits = Limits(
        weight_per_minute=6000,
        page_minutes=1000,
        subscriptions_per_socket=1024,
        connections_per_minute=60,
        messages_per_second=4,
        silence_s=90,
        lifetime_s=86_400,
    )
    serves_quiet_minutes = True
    closed = ""

    def instruments_request(self) -> Request:
        return Request("/api/v3/exchangeInfo", weight=20)

    def parse_instruments(self, body: bytes) -> Listing:
        entries = answers.decode(_markets, body, "binance exchangeInfo").symbols
        markets, skipped = answers.readable("binance", _market, entries)
        return answers.listing([self._instrument(one) for one in markets], skipped)

    def _instrument(self, market: _Market) -> Instrument:
        ticks = [one.tickSize for one in market.filters if one.filterType == "PRICE_FILTER" and one.tickSize > 0]
        base, quote = market.baseAsset, market.quoteAsset
        names = base.upper(), quote.upper(), market.symbol, base, quote
        tick_size = ticks[0] if ticks else None
        return Instrument(self.name, *names, tick_size=tick_size, is_trading=market.status == "TRADING")

    def page(self, instrument: Instrument, wanted: Span, now_ms: int) -> Page:
        span = answers.newest(wanted, self.limits.page_minutes)
        params: dict[str, str | int] = {
            "symbol": instrument.native,
            "interval": "1m",
            "startTime": span.start_ms,
            "endTime": span.end_ms - 1,
            "limit": self.limits.page_minutes,
        }
        return Page(Request("/api/v3/klines", params, weight=2), span)

    def oldest(self, instrument: Instrument) -> Request | None:
        series: dict[str, str | int] = {"symbol": instrument.native, "interval": "1m"}
        return Request("/api/v3/klines", {**series, "startTime": 0, "limit": 1}, weight=2)

    def parse_candles(self, body: bytes, instrument: Instrument, span: Span) -> list[Candle]:
        return answers.ascending(
            _candle(instrument, row)
            for row in answers.decode(_rows, body, "binance klines")
            if answers.is_asked(row.open_ms, span)
        )

    def refusal(self, status: int, headers: Mapping[str, str], body: bytes) -> Exception | None:
        if status < 300:
            return None
        error = answers.attempt(_error, body) or _Error()
        until = _UNTIL.search(error.msg) if status == 418 else None
        return answers.refused(
            "Binance",
            status,
            headers,
            error.msg,
            wait_s=120 if status == 418 else 60,
            until_ms=int(until[1]) if until else None,
        )

    def used_weight(self, headers: Mapping[str, str]) -> int | None:
        text = headers.get("x-mbx-used-weight-1m", "")
        return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None

    def session(self, instruments: Sequence[Instrument]) -> "BinanceSession":
        return BinanceSession(instruments)


class BinanceSession:
    """One connection; the payload names its symbol, so there is little to remember."""

    def __init__(self, instruments: Sequence[Instrument]) -> None:
        self._by_symbol: dict[str, Instrument] = {}
        self._left: set[str] = set()
        self._asked: dict[int, Sequence[Instrument]] = {}
        self._requests = count(1)
        self._outbox, self._answered, self._notices = Mailbox[str](), Mailbox[Subscription](), Mailbox[str]()
        self.add(instruments)

    def add(self, instruments: Sequence[Instrument]) -> None:
        new = [one for one in instruments if one.native not in self._by_symbol]
        self._by_symbol.update((one.native, one) for one in new)
        self._ask("SUBSCRIBE", new)

    def drop(self, instruments: Sequence[Instrument]) -> None:
        old = [one for one in instruments if self._by_symbol.pop(one.native, None)]
        self._left.update(one.native for one in old)
        self._ask("UNSUBSCRIBE", old)

    def _ask(self, method: str, instruments: Sequence[Instrument]) -> None:
        for batch in answers.batches(instruments, _STREAMS_PER_MESSAGE):
            number = next(self._requests)
            streams = [f"{one.native.lower()}@kline_1m" for one in batch]
            self._asked[number] = batch if method == "SUBSCRIBE" else ()
            self._outbox.append(msgspec.json.encode({"method": method, "params": streams, "id": number}).decode())

    def handshake(self) -> Request | None:
        return None

    def url(self, ws_url: str, answer: bytes | None) -> str:
        return f"{ws_url.rstrip('/')}/ws"

    def to_send(self) -> list[str]:
        return self._outbox.take()

    def receive(self, frame: str | bytes) -> list[Candle]:
        try:
            message = _frame(frame)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise Malformed("binance frame", str(error)) from error
        k = (message.data or message).k
        if k is None:
            return self._receive_other(answers.decode(_other, frame, "binance frame"))
        instrument = self._by_symbol.get(k.s)
        if instrument is None and k.s in self._left:
            return []
        if instrument is None or k.i != "1m":
            raise Malformed("binance kline of a series not subscribed", f"{k.s} {k.i}")
        source = _CLOSING if k.x else _RUNNING
        return [answers.candle(instrument, k.t, k.o, k.h, k.l, k.c, k.v, k.q, k.n, source)]

    def _receive_other(self, message: _Other) -> list[Candle]:
        event = (message.data or message).e
        error = message.error or message
        asked = self._asked.pop(message.id, ()) if isinstance(message.id, int) else ()
        if event == "serverShutdown":
            raise Ending("Binance announces that it shuts this connection down")
        if error.code or error.msg:
            words = f"{error.msg} ({error.code})"
            self._answered += [Subscription(one, words) for one in asked]
            if not asked:
                self._notices.append(f"Binance refused a request: {words}")
        elif event == "kline" or not (event or message.stream or message.id is not msgspec.UNSET):
            raise Malformed("binance frame of no known kind")
        return []

    def answered(self) -> list[Subscription]:
        """Refusals only: the exchange confirms a whole message, and symbols that it does not know with it."""
        return self._answered.take()

    def notices(self) -> list[str]:
        return self._notices.take()


EXCHANGE: Exchange = Binance()
