"""Kraken spot.

Sources: docs.kraken.com `api-reference/market-data/get-ohlc-data`, `get-tradable-asset-pairs`,
`guides/spot-errors`, `guides/spot-ws-intro`, `websocket-v2/ohlc`, `websocket-v2/status`; a recording of 2025.

REST  GET /0/public/OHLC?pair=XBTUSD&interval=1&since=…, about one request a second, address and pair. Times in
      seconds, ascending, only after `since`; never more than the newest 720 minutes, whatever it says. Minutes
      without trades have volume 0. The last row is the running minute.
      {"error":[],"result":{"XXBTZUSD":[[time,"open","high","low","close","vwap","volume",count],…],"last":…}}
      Errors come with HTTP 200: {"error":["EGeneral:Too many requests"]}
      Pairs are XBTUSD (`altname`) here and XBT/USD (`wsname`) there; `result` may call them XXBTZUSD.
WS    v2, whose symbols are BTC/USD and DOGE/USD, not XBT and XDG. Each symbol is acknowledged by itself:
      {"method":"subscribe","params":{"channel":"ohlc","symbol":["BTC/USD"],"interval":1,"snapshot":true},…}
      {"method":"subscribe","result":{"channel":"ohlc","symbol":"BTC/USD",…},"success":true,…}
      {"method":"subscribe","error":"Currency pair not supported FOO/USD","symbol":"FOO/USD","success":false,…}
      {"channel":"ohlc","type":"update","data":[{"symbol":"BTC/USD","open":…,"high":…,"low":…,"close":…,
       "trades":9,"volume":…,"vwap":…,"interval_begin":"2023-10-04T16:25:00.000000000Z","interval":1,…}],…}
      Numbers are numbers; an update comes with a trade, a heartbeat about every second. There is no closing flag.
      {"channel":"status","data":[{"system":"online",…}],…} comes first, and when maintenance begins and ends.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import count
from typing import Annotated

import msgspec

from common.errors import Malformed, Rejected, Retryable
from common.market import Candle, Instrument, Source
from common.ports import Exchange, Limits, Listing, Page, Request, Subscription
from common.span import MINUTE_MS, Span, floor_minute
from fetchers import answers
from fetchers.answers import Amount, Count, Mailbox, Price

#: What the field calls a currency by another name, as ccxt keeps them.
_RENAMED = {
    "FEE": "KFEE",
    "LUNA": "LUNC",
    "LUNA2": "LUNA",
    "REP": "REPV1",
    "REPV2": "REP",
    "UST": "USTC",
    "XBT": "BTC",
    "XDG": "DOGE",
}
#: What the WebSocket calls otherwise than `wsname` does.
_V2 = {"XBT": "BTC", "XDG": "DOGE"}

_REACH_MINUTES = 720
#: A page that begins farther back is cut, so that it may be leased and wait for its turn without losing its reach.
_FARTHEST_MS, _CUT_MS = 715 * MINUTE_MS, 700 * MINUTE_MS

_SYMBOLS_PER_MESSAGE = 100
_MAINTENANCE_S = 60

_NO_ERROR = re.compile(rb'\s*\{\s*"error"\s*:\s*\[\s*\]')
_TOO_FAST = ("Rate limit", "Too many requests", "lockout", "Throttled")
_FINAL = ("EQuery:", "EGeneral:Invalid", "EGeneral:Unknown", "EGeneral:Permission")


class _Row(msgspec.Struct, array_like=True, gc=False):
    time_s: Annotated[int, msgspec.Meta(ge=0, lt=10**10)]
    open: Price
    high: Price
    low: Price
    close: Price
    vwap: Amount
    volume: Amount
    count: Count


class _Candles(msgspec.Struct):
    #: The rows under a name of the pair, and `last`.
    result: dict[str, list[_Row] | int]


class _Market(msgspec.Struct):
    altname: str
    wsname: str
    status: str
    pair_decimals: Annotated[int, msgspec.Meta(ge=0, le=30)]
    tick_size: Annotated[float, msgspec.Meta(gt=0)] | None = None


class _Markets(msgspec.Struct):
    result: dict[str, msgspec.Raw]


class _Error(msgspec.Struct):
    error: list[str]


class _Result(msgspec.Struct):
    symbol: str = ""


class _Frame(msgspec.Struct):
    """Data of a channel, or the answer to a method."""

    channel: str = ""
    data: msgspec.Raw = msgspec.Raw(b"[]")
    method: str = ""
    success: bool = False
    result: _Result | None = None
    symbol: str = ""
    error: str = ""
    req_id: int = 0


class _LiveRow(msgspec.Struct, gc=False):
    symbol: str
    open: Price
    high: Price
    low: Price
    close: Price
    volume: Amount
    trades: Count
    interval_begin: Annotated[datetime, msgspec.Meta(tz=True)]
    interval: int


class _Status(msgspec.Struct):
    system: str


_candles = msgspec.json.Decoder(_Candles, strict=False)
_markets = msgspec.json.Decoder(_Markets)
_market = msgspec.json.Decoder(_Market, strict=False)
_error = msgspec.json.Decoder(_Error)
_frame = msgspec.json.Decoder(_Frame)
_live_rows = msgspec.json.Decoder(list[_LiveRow], strict=False)
_status = msgspec.json.Decoder(list[_Status])


def _candle(instrument: Instrument, row: _Row) -> Candle:
    values = row.open, row.high, row.low, row.close, row.volume
    return answers.candle(
        instrument, row.time_s * 1000, *values, quote_volume=None, trades=row.count, source=Source.RECORD
    )


class Kraken:
    """Kraken spot as pure functions. Volume times vwap is no exact quote volume, so there is none."""

    name = "kraken"
    rest_url = "https://api.kraken.com"
    ws_url = "wss://ws.kraken.com/v2"
    # 150 connections in any ten minutes are let in. Series a connection and messages a second are not documented;
    # these are modest.
    limits = Limits(
        weight_per_minute=60,
        weight_per_second=1,
        page_minutes=_REACH_MINUTES,
        subscriptions_per_socket=250,
        connections_per_minute=15,
        messages_per_second=4,
        silence_s=30,
        reach_minutes=_REACH_MINUTES,
    )
    serves_quiet_minutes = True
    closed = ""

    def instruments_request(self) -> Request:
        return Request("/0/public/AssetPairs")

    def parse_instruments(self, body: bytes) -> Listing:
        entries = list(answers.decode(_markets, body, "kraken AssetPairs").result.values())
        markets, skipped = answers.readable("kraken", _market, entries)
        return answers.listing([self._instrument(one) for one in markets], skipped)

    def _instrument(self, market: _Market) -> Instrument:
        base, _, quote = market.wsname.partition("/")
        normalised = _RENAMED.get(base, base).upper(), _RENAMED.get(quote, quote).upper()
        tick_size = market.tick_size or float(f"1e-{market.pair_decimals}")
        names = *normalised, market.altname, base, quote
        return Instrument(self.name, *names, tick_size=tick_size, is_trading=market.status == "online")

    def page(self, instrument: Instrument, wanted: Span, now_ms: int) -> Page:
        """All within reach, or all beyond it, for an answer must speak for the whole page or is rejected.

        `since` only makes an answer shorter; without it the request is the same at any moment.
        """
        span, now_ms = answers.newest(wanted, self.limits.page_minutes), floor_minute(now_ms)
        params: dict[str, str | int] = {"pair": instrument.native, "interval": 1}
        if span.start_ms >= now_ms - _FARTHEST_MS:
            params["since"] = floor_minute(span.start_ms) // 1000 - 60
        elif now_ms - _CUT_MS < span.end_ms:
            span = Span(now_ms - _CUT_MS, span.end_ms)
        return Page(Request("/0/public/OHLC", params), span)

    def oldest(self, instrument: Instrument) -> Request | None:
        return None

    def parse_candles(self, body: bytes, instrument: Instrument, span: Span) -> list[Candle]:
        """Raises Rejected too, when the answer does not reach back to the beginning of `span`.

        Its reach is measured from its last row, the running minute: an outage leaves rows out, so that fewer than
        720 say nothing.
        """
        results = answers.decode(_candles, body, "kraken candles").result
        rows = next((rows for rows in results.values() if isinstance(rows, list)), None)
        if rows is None:
            raise Malformed("kraken candles", "no rows")
        times = [row.time_s * 1000 for row in rows]
        if times and span.start_ms < min(oldest_ms := max(times) - (_REACH_MINUTES - 1) * MINUTE_MS, min(times)):
            reach = f"{datetime.fromtimestamp(max(0, oldest_ms) / 1000, UTC):%Y-%m-%d %H:%M} UTC"
            raise Rejected(f"Kraken serves only its newest {_REACH_MINUTES} minutes, which reach back to {reach}")
        asked = [row for row in rows if answers.is_asked(row.time_s * 1000, span)]
        return answers.ascending(_candle(instrument, row) for row in asked)

    def refusal(self, status: int, headers: Mapping[str, str], body: bytes) -> Exception | None:
        if status < 300 and _NO_ERROR.match(body):
            return None
        said = ", ".join((answers.attempt(_error, body) or _Error([])).error)
        if any(words in said for words in _TOO_FAST):
            return answers.refused("Kraken", 429, headers, said)
        if status < 300 and said.startswith(_FINAL):
            return Rejected(f"Kraken refuses the request: {said}", status=status)
        if status < 300 and said:
            return Retryable(f"Kraken answered {said}", status=status)
        return answers.refused("Kraken", status, headers, said)

    def used_weight(self, headers: Mapping[str, str]) -> int | None:
        return None

    def session(self, instruments: Sequence[Instrument]) -> "KrakenSession":
        return KrakenSession(instruments)


def _symbol(instrument: Instrument) -> str:
    base, quote = instrument.native_base or instrument.base, instrument.native_quote or instrument.quote
    return f"{_V2.get(base, base)}/{_V2.get(quote, quote)}"


class KrakenSession:
    """One connection; the data names its symbols, so there is little to remember."""

    def __init__(self, instruments: Sequence[Instrument]) -> None:
        self._by_symbol: dict[str, Instrument] = {}
        self._left: set[str] = set()
        self._asked: dict[int, Sequence[str]] = {}
        self._requests = count(1)
        self._outbox, self._answered, self._notices = Mailbox[str](), Mailbox[Subscription](), Mailbox[str]()
        self.add(instruments)

    def add(self, instruments: Sequence[Instrument]) -> None:
        new = {_symbol(one): one for one in instruments if _symbol(one) not in self._by_symbol}
        self._by_symbol.update(new)
        self._left.difference_update(new)
        self._ask("subscribe", list(new), snapshot=True)

    def drop(self, instruments: Sequence[Instrument]) -> None:
        old = [symbol for symbol in map(_symbol, instruments) if self._by_symbol.pop(symbol, None)]
        self._left.update(old)
        self._ask("unsubscribe", old)

    def _ask(self, method: str, symbols: Sequence[str], **more: bool) -> None:
        for batch in answers.batches(symbols, _SYMBOLS_PER_MESSAGE):
            number = next(self._requests)
            self._asked[number] = batch if method == "subscribe" else ()
            params = {"channel": "ohlc", "symbol": batch, "interval": 1, **more}
            message = {"method": method, "params": params, "req_id": number}
            self._outbox.append(msgspec.json.encode(message).decode())

    def handshake(self) -> Request | None:
        return None

    def url(self, ws_url: str, answer: bytes | None) -> str:
        return ws_url

    def to_send(self) -> list[str]:
        return self._outbox.take()

    def receive(self, frame: str | bytes) -> list[Candle]:
        message = answers.decode(_frame, frame, "kraken frame")
        if message.channel == "ohlc":
            rows = answers.decode(_live_rows, bytes(message.data), "kraken candles")
            told = [self._candle(row) for row in rows if row.symbol not in self._left]
            return sorted(told, key=lambda one: one.open_ms)
        if message.channel == "status":
            self._receive_status(answers.decode(_status, bytes(message.data), "kraken status"))
        elif message.method or message.error:
            self._receive_answer(message)
        elif not message.channel:
            raise Malformed("kraken frame of no known kind")
        return []

    def _candle(self, row: _LiveRow) -> Candle:
        instrument, open_ms = self._by_symbol.get(row.symbol), round(row.interval_begin.timestamp() * 1000)
        if instrument is None or row.interval != 1:
            raise Malformed("kraken candle of a series not subscribed", f"{row.symbol} {row.interval}")
        if open_ms % MINUTE_MS or open_ms < 0:
            raise Malformed("kraken candle that starts on no minute", str(row.interval_begin))
        values = row.open, row.high, row.low, row.close, row.volume
        return answers.candle(instrument, open_ms, *values, trades=row.trades)

    def _receive_status(self, told: list[_Status]) -> None:
        for one in told:
            if one.system == "maintenance":
                raise Retryable("Kraken is under maintenance", retry_after_s=_MAINTENANCE_S)
            if one.system != "online":
                self._notices.append(f"Kraken says that its system is {one.system}")

    def _receive_answer(self, message: _Frame) -> None:
        symbol = message.symbol or (message.result.symbol if message.result else "")
        if message.method == "subscribe" and message.success:
            if (instrument := self._by_symbol.get(symbol)) is not None:
                self._answered.append(Subscription(instrument))
        elif message.method == "subscribe":
            # A failure that names no symbol concerns all that were asked for in one message.
            self._refuse([symbol] if symbol else self._asked.get(message.req_id, ()), message.error)
        elif message.error:
            self._notices.append(f"Kraken refused a request: {message.error}")

    def _refuse(self, symbols: Sequence[str], words: str) -> None:
        known = [self._by_symbol.pop(symbol) for symbol in symbols if symbol in self._by_symbol]
        self._answered += [Subscription(one, words or "no reason given") for one in known]
        if not known:
            self._notices.append(f"Kraken refused {', '.join(symbols) or 'a request'}: {words}")

    def answered(self) -> list[Subscription]:
        return self._answered.take()

    def notices(self) -> list[str]:
        return self._notices.take()


EXCHANGE: Exchange = Kraken()
