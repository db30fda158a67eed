"""Bybit spot.

Sources: bybit-exchange.github.io/docs `v5/market/kline`, `v5/market/instrument`, `v5/rate-limit`, `v5/ws/connect`,
`v5/websocket/public/kline`; the recording of August 2026; refusals as other programs recorded them.

REST  GET /v5/market/kline, at most 1,000 rows, newest first, `start` and `end` both inclusive, numbers as text.
      A minute without trades has volume 0. No request is documented to answer with the very first candle.
      {"retCode":0,"retMsg":"OK","result":{"list":[["open_ms","open","high","low","close","volume","turnover"],…]}}
      Errors come with HTTP 200: 10006 and 10018 rate limits, 10001 parameters. 600 requests in 5 s and address;
      beyond, HTTP 403 "access too frequent" for ten minutes. The 403 of a refused country is another page.
WS    topic kline.1.BTCUSDT on /v5/public/spot; the derivatives' addresses use the same topics. At most ten topics
      in a message, of which one that is unknown fails all ten:
      {"success":true,"ret_msg":"subscribe","conn_id":"…","req_id":"1","op":"subscribe"}
      {"success":false,"ret_msg":"Invalid symbol :[kline.1.NOPEUSDT]","conn_id":"…","req_id":"2","op":"subscribe"}
      or "error:handler not found,topic:…"; "error:already subscribed,topic:…" is told as a failure, too.
      {"type":"snapshot","topic":"kline.1.BTCUSDT","data":[{"start":open_ms,"end":…,"interval":"1","open":"…",
       "close":"…","high":"…","low":"…","volume":"…","turnover":"…","confirm":false,"timestamp":…}],"ts":…}
      `confirm: true` closes the minute, 0.1 to 1.1 s after its end; the same message may hold the new one, flat at
      the last close. A push each second when something changed. The client says {"op":"ping"} every 20 s.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import count

import msgspec

from common.errors import Malformed, Rejected, Retryable
from common.market import Candle, Instrument, Source
from common.ports import Exchange, Limits, Listing, Page, Request, Subscription
from common.span import Span
from fetchers import answers
from fetchers.answers import Amount, Mailbox, Minute, Moment, Price

_TOPIC = "kline.1."
_TOPICS_PER_MESSAGE = 10
_NAMED = re.compile(r"kline\.1\.([A-Z0-9]+)")

#: The rate limit of an account or endpoint, counted in seconds; that of the address, which is a ban.
_TOO_MANY_VISITS, _TOO_MANY_OF_ADDRESS = 10006, 10018
_PAUSE_S, _BAN_S = 5, 600
_WRONG_PARAMETERS = 10001


class _Row(msgspec.Struct, array_like=True, gc=False):
    open_ms: Moment
    open: Price
    high: Price
    low: Price
    close: Price
    volume: Amount
    turnover: Amount


class _Page(msgspec.Struct):
    rows: list[_Row] = msgspec.field(name="list")


class _Candles(msgspec.Struct):
    result: _Page


class _Kline(msgspec.Struct, gc=False):
    start: Minute
    open: Price
    high: Price
    low: Price
    close: Price
    volume: Amount
    turnover: Amount
    confirm: bool


class _Frame(msgspec.Struct, gc=False):
    """A push, which has a topic, or the answer to a request."""

    topic: str = ""
    data: msgspec.Raw = msgspec.Raw(b"[]")
    op: str = ""
    success: bool = True
    ret_msg: str = ""
    req_id: str = ""


class _PriceFilter(msgspec.Struct):
    tickSize: float = 0


class _Market(msgspec.Struct):
    symbol: str
    baseCoin: str
    quoteCoin: str
    status: str
    priceFilter: _PriceFilter = msgspec.field(default_factory=_PriceFilter)


class _Listed(msgspec.Struct):
    entries: list[msgspec.Raw] = msgspec.field(name="list")


class _Markets(msgspec.Struct):
    result: _Listed


class _Error(msgspec.Struct):
    retCode: int = 0
    retMsg: str = ""


_frame = msgspec.json.Decoder(_Frame)
_klines = msgspec.json.Decoder(list[_Kline], strict=False)
_candles = msgspec.json.Decoder(_Candles, strict=False)
_markets = msgspec.json.Decoder(_Markets)
_market = msgspec.json.Decoder(_Market, strict=False)
_error = msgspec.json.Decoder(_Error)


class Bybit:
    """Bybit spot as pure functions."""

    name = "bybit"
    rest_url = "https://api.bybit.com"
    ws_url = "wss://stream.bybit.com/v5/public/spot"
    # A budget by minutes cannot promise five seconds, and excess is banned: the 600 are taken for a whole minute.
    # A connection may name topics of 21,000 characters. Its message rate is not documented; this one is modest.
    limits = Limits(
        weight_per_minute=600,
        page_minutes=1000,
        subscriptions_per_socket=500,
        connections_per_minute=100,
        messages_per_second=5,
        ping_s=20,
        ping='{"op":"ping"}',
    )
    serves_quiet_minutes = True
    closed = ""

    def instruments_request(self) -> Request:
        return Request("/v5/market/instruments-info", {"category": "spot", "limit": 1000})

    def parse_instruments(self, body: bytes) -> Listing:
        entries = answers.decode(_markets, body, "bybit instruments-info").result.entries
        markets, skipped = answers.readable("bybit", _market, entries)
        return answers.listing([self._instrument(one) for one in markets], skipped)

    def _instrument(self, market: _Market) -> Instrument:
        base, quote = market.baseCoin, market.quoteCoin
        names = base.upper(), quote.upper(), market.symbol, base, quote
        tick_size = market.priceFilter.tickSize if market.priceFilter.tickSize > 0 else None
        return Instrument(self.name, *names, tick_size=tick_size, is_trading=market.status == "Trading")

    def page(self, instrument: Instrument, wanted: Span, now_ms: int) -> Page:
        span = answers.newest(wanted, self.limits.page_minutes)
        params: dict[str, str | int] = {
            "category": "spot",
            "symbol": instrument.native,
            "interval": "1",
            "start": span.start_ms,
            "end": span.end_ms - 1,
            "limit": self.limits.page_minutes,
        }
        return Page(Request("/v5/market/kline", params), span)

    def oldest(self, instrument: Instrument) -> Request | None:
        return None

    def parse_candles(self, body: bytes, instrument: Instrument, span: Span) -> list[Candle]:
        rows = answers.decode(_candles, body, "bybit kline").result.rows
        asked = (row for row in reversed(rows) if answers.is_asked(row.open_ms, span))
        return answers.ascending(_recorded(instrument, row) for row in asked)

    def refusal(self, status: int, headers: Mapping[str, str], body: bytes) -> Exception | None:
        if status == 403 and b"access too frequent" in body.lower():
            return answers.refused("Bybit", 429, headers, "access too frequent", wait_s=_BAN_S)
        error = answers.attempt(_error, body) or _Error()
        code, said = error.retCode, f"{error.retMsg} ({error.retCode})"
        if code in (_TOO_MANY_VISITS, _TOO_MANY_OF_ADDRESS):
            wait_s = _PAUSE_S if code == _TOO_MANY_VISITS else _BAN_S
            return answers.refused("Bybit", 429, headers, said, wait_s=wait_s)
        if code == _WRONG_PARAMETERS:
            return Rejected(f"Bybit refuses the request: {said}", status=status)
        if code and status < 300:
            return Retryable(f"Bybit answered {said}", status=status)
        return answers.refused("Bybit", status, headers, said if code else "")

    def used_weight(self, headers: Mapping[str, str]) -> int | None:
        return None

    def session(self, instruments: Sequence[Instrument]) -> "BybitSession":
        return BybitSession(instruments)


class BybitSession:
    """One connection: which markets were asked for in which message."""

    def __init__(self, instruments: Sequence[Instrument]) -> None:
        self._by_symbol: dict[str, Instrument] = {}
        self._left: set[str] = set()
        self._asked: dict[str, Sequence[Instrument]] = {}
        self._requests = count(1)
        self._outbox, self._answered, self._notices = Mailbox[str](), Mailbox[Subscription](), Mailbox[str]()
        self.add(instruments)

    def add(self, instruments: Sequence[Instrument]) -> None:
        new = {one.native: one for one in instruments if one.native not in self._by_symbol}
        self._by_symbol.update(new)
        self._subscribe([*new.values()])

    def drop(self, instruments: Sequence[Instrument]) -> None:
        old = [one for one in instruments if self._by_symbol.pop(one.native, None)]
        self._left.update(one.native for one in old)
        for batch in answers.batches(old, _TOPICS_PER_MESSAGE):
            self._say("unsubscribe", batch)

    def _subscribe(self, instruments: Sequence[Instrument], at_once: int = _TOPICS_PER_MESSAGE) -> None:
        for batch in answers.batches(instruments, at_once):
            self._asked[self._say("subscribe", batch)] = batch

    def _say(self, op: str, instruments: Sequence[Instrument]) -> str:
        """The number under which it will be answered."""
        number = str(next(self._requests))
        message = {"op": op, "args": [_TOPIC + one.native for one in instruments], "req_id": number}
        self._outbox.append(msgspec.json.encode(message).decode())
        return number

    def handshake(self) -> Request | None:
        return None

    def url(self, ws_url: str, answer: bytes | None) -> str:
        return ws_url

    def to_send(self) -> list[str]:
        return self._outbox.take()

    def receive(self, frame: str | bytes) -> list[Candle]:
        message = answers.decode(_frame, frame, "bybit frame")
        if message.topic.startswith("kline."):
            return self._receive_klines(message.topic, message.data)
        if message.op == "subscribe":
            self._receive_answer(message)
        elif not message.success:
            self._notices.append(f"Bybit refused a request: {message.ret_msg}")
        elif not message.topic and message.op not in ("unsubscribe", "ping", "pong"):
            raise Malformed("bybit frame of no known kind")
        return []

    def _receive_klines(self, topic: str, data: msgspec.Raw) -> list[Candle]:
        symbol = topic.removeprefix(_TOPIC)
        instrument = self._by_symbol.get(symbol)
        if instrument is None and symbol in self._left:
            return []
        if instrument is None:
            raise Malformed("bybit kline of a series not subscribed", topic)
        return answers.ascending(_candle(instrument, one) for one in answers.decode(_klines, data, "bybit kline"))

    def _receive_answer(self, message: _Frame) -> None:
        """A message is confirmed or refused as a whole, so whoever was refused with another is asked for again."""
        asked = self._asked.pop(message.req_id, ())
        here = [one for one in asked if self._by_symbol.get(one.native) is one]
        if message.success:
            self._answered += map(Subscription, here)
            return
        if not asked:
            self._notices.append(f"Bybit refused a request: {message.ret_msg}")
        named = here if len(asked) == 1 else [one for one in here if one.native in _NAMED.findall(message.ret_msg)]
        is_there = "already subscribed" in message.ret_msg
        for one in named:
            self._answered.append(Subscription(one, "" if is_there else message.ret_msg))
            if not is_there:
                del self._by_symbol[one.native]
        others = [one for one in here if one not in named]
        self._subscribe(others, _TOPICS_PER_MESSAGE if named else 1)

    def answered(self) -> list[Subscription]:
        return self._answered.take()

    def notices(self) -> list[str]:
        return self._notices.take()


def _recorded(instrument: Instrument, row: _Row) -> Candle:
    values = row.open, row.high, row.low, row.close, row.volume, row.turnover
    return answers.candle(instrument, row.open_ms, *values, source=Source.RECORD)


def _candle(instrument: Instrument, one: _Kline) -> Candle:
    values = one.open, one.high, one.low, one.close, one.volume, one.turnover
    source = Source.CLOSING_MESSAGE if one.confirm else Source.RUNNING
    return answers.candle(instrument, one.start, *values, source=source)


EXCHANGE: Exchange = Bybit()
