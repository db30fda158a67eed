"""OKX spot.

Sources: okx.com/docs-v5 `order-book-trading-market-data` (candlesticks, their history, the channel),
`public-data-rest-api-get-instruments`, `overview-websocket`, `error-code`; frames as other programs recorded them.

REST  GET /api/v5/market/candles for the newest 1,440 minutes, 40 requests in 2 s and address;
      GET /api/v5/market/history-candles for all of them, 20 in 2 s. `after` asks for older rows, `before` for
      newer, both exclusive. Newest first, numbers as text; a minute without trades has volume 0. A page of it is
      documented with 100 rows and holds 300 by now: 100 are asked for. Nothing asks for the very first candle.
      {"code":"0","msg":"","data":[["open_ms","open","high","low","close","volume","…","quote volume","1"],…]}
      The last field, `confirm`, is "0" for the minute under way. `volume` is in base currency for spot alone.
      Errors come with any status, 200 included, {"code":"50011","msg":"Too Many Requests","data":[]} among them.
      Codes from 51000 on, 50014 and 50015 say that the question is wrong.
WS    channel candle1m on /ws/v5/business; /public does not know it. Each market is answered by itself:
      {"event":"subscribe","arg":{"channel":"candle1m","instId":"BTC-USDT"},"connId":"a4d3ae55"}
      {"event":"error","msg":"Subscribe failed, wrong URL or channel:candle1m,instId:NOPE-USDT doesn't exist. …",
       "code":"60018","connId":"a4d3ae55"}
      {"arg":{"channel":"candle1m","instId":"BTC-USDT"},"data":[["open_ms","open",…,"0"]]}, each second at most;
      `confirm` "1" closes the minute. A connection on which 30 s nothing was said is closed, so the client says
      ping and the exchange pong, neither of which is JSON. Notice 64008 comes a minute before an end.
      480 requests an hour and connection, 64 kB long at most.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from common.errors import Ending, Malformed, Rejected, Retryable
from common.market import Candle, Instrument, Source
from common.ports import Exchange, Limits, Listing, Page, Request, Subscription
from common.span import MINUTE_MS, Span
from fetchers import answers
from fetchers.answers import Amount, Mailbox, Minute, Moment, Price

_CHANNEL = "candle1m"
_MARKETS_PER_MESSAGE = 100
_PONG = ("pong", b"pong")

#: A page that begins no longer ago than this is surely among the newest 1,440 minutes until it has been asked for.
_RECENT_MS = 1380 * MINUTE_MS

#: Windows are two seconds long.
_TOO_MANY, _PAUSE_S = "50011", 2
_WRONG_PARAMETERS = ("50014", "50015", "51")

_NAMED = re.compile(r"instId:([^\s,]+)")


class _Row(msgspec.Struct, array_like=True, gc=False):
    open_ms: Moment
    open: Price
    high: Price
    low: Price
    close: Price
    volume: Amount
    of_derivatives: str
    quote_volume: Amount
    confirm: Literal["0", "1"]


class _LiveRow(_Row, array_like=True, gc=False):
    open_ms: Minute


class _Page(msgspec.Struct):
    data: list[_Row]


class _Arg(msgspec.Struct, gc=False):
    channel: str = ""
    instId: str = ""


class _Frame(msgspec.Struct, gc=False):
    """A push, which has data, or an event."""

    event: str = ""
    arg: _Arg = msgspec.field(default_factory=_Arg)
    data: msgspec.Raw = msgspec.Raw()
    code: str = ""
    msg: str = ""


class _Market(msgspec.Struct):
    instId: str
    baseCcy: str
    quoteCcy: str
    state: str
    tickSz: float = 0


class _Markets(msgspec.Struct):
    data: list[msgspec.Raw]


class _Error(msgspec.Struct):
    code: str = "0"
    msg: str = ""


_frame = msgspec.json.Decoder(_Frame)
_live_rows = msgspec.json.Decoder(list[_LiveRow], strict=False)
_page = msgspec.json.Decoder(_Page, strict=False)
_markets = msgspec.json.Decoder(_Markets)
_market = msgspec.json.Decoder(_Market, strict=False)
_error = msgspec.json.Decoder(_Error)


def _candle(instrument: Instrument, row: _Row, source: Source) -> Candle:
    values = row.open, row.high, row.low, row.close, row.volume, row.quote_volume
    return answers.candle(instrument, row.open_ms, *values, source=source)


class Okx:
    """OKX spot as pure functions."""

    name = "okx"
    rest_url = "https://www.okx.com"
    ws_url = "wss://ws.okx.com:8443/ws/v5/business"
    # The exchange counts each endpoint by itself, we all together: 40 requests in 2 s are 1,200 units a minute, of
    # which the newest candles cost 1 and all else 2. Three connections and three messages a second are allowed.
    limits = Limits(
        weight_per_minute=1200,
        weight_per_second=20,
        page_minutes=100,
        subscriptions_per_socket=500,
        connections_per_minute=60,
        messages_per_second=2,
        ping_s=20,
        ping="ping",
    )
    serves_quiet_minutes = True
    closed = ""

    def instruments_request(self) -> Request:
        return Request("/api/v5/public/instruments", {"instType": "SPOT"}, weight=2)

    def parse_instruments(self, body: bytes) -> Listing:
        entries = answers.decode(_markets, body, "okx instruments").data
        markets, skipped = answers.readable("okx", _market, entries)
        return answers.listing([self._instrument(one) for one in markets], skipped)

    def _instrument(self, market: _Market) -> Instrument:
        base, quote = market.baseCcy, market.quoteCcy
        names = base.upper(), quote.upper(), market.instId, base, quote
        tick_size = market.tickSz if market.tickSz > 0 else None
        return Instrument(self.name, *names, tick_size=tick_size, is_trading=market.state == "live")

    def page(self, instrument: Instrument, wanted: Span, now_ms: int) -> Page:
        span = answers.newest(wanted, self.limits.page_minutes)
        is_recent = span.start_ms > now_ms - _RECENT_MS
        params: dict[str, str | int] = {
            "instId": instrument.native,
            "bar": "1m",
            "after": span.end_ms,
            "before": span.start_ms - 1,
            "limit": self.limits.page_minutes,
        }
        path, weight = ("candles", 1) if is_recent else ("history-candles", 2)
        return Page(Request(f"/api/v5/market/{path}", params, weight), span)

    def oldest(self, instrument: Instrument) -> Request | None:
        return None

    def parse_candles(self, body: bytes, instrument: Instrument, span: Span) -> list[Candle]:
        return answers.ascending(
            _candle(instrument, row, Source.RECORD)
            for row in reversed(answers.decode(_page, body, "okx candles").data)
            if row.confirm == "1" and answers.is_asked(row.open_ms, span)
        )

    def refusal(self, status: int, headers: Mapping[str, str], body: bytes) -> Exception | None:
        error = answers.attempt(_error, body) or _Error()
        said = f"{error.msg} ({error.code})"
        if error.code == _TOO_MANY:
            return answers.refused("OKX", 429, headers, said, wait_s=_PAUSE_S)
        if error.code.startswith(_WRONG_PARAMETERS):
            return Rejected(f"OKX refuses the request: {said}", status=status)
        if error.code != "0" and status < 300:
            return Retryable(f"OKX answered {said}", status=status)
        return answers.refused("OKX", status, headers, said if error.code != "0" else "")

    def used_weight(self, headers: Mapping[str, str]) -> int | None:
        return None

    def session(self, instruments: Sequence[Instrument]) -> "OkxSession":
        return OkxSession(instruments)


class OkxSession:
    """One connection; each answer and each push names its market, so there is little to remember."""

    def __init__(self, instruments: Sequence[Instrument]) -> None:
        self._by_name: dict[str, Instrument] = {}
        self._left: set[str] = set()
        self._outbox, self._answered, self._notices = Mailbox[str](), Mailbox[Subscription](), Mailbox[str]()
        self.add(instruments)

    def add(self, instruments: Sequence[Instrument]) -> None:
        new = {one.native: one for one in instruments if one.native not in self._by_name}
        self._by_name.update(new)
        self._say("subscribe", [*new])

    def drop(self, instruments: Sequence[Instrument]) -> None:
        old = [one.native for one in instruments if self._by_name.pop(one.native, None)]
        self._left.update(old)
        self._say("unsubscribe", old)

    def _say(self, op: str, names: Sequence[str]) -> None:
        for batch in answers.batches(names, _MARKETS_PER_MESSAGE):
            message = {"op": op, "args": [{"channel": _CHANNEL, "instId": name} for name in batch]}
            self._outbox.append(msgspec.json.encode(message).decode())

    def handshake(self) -> Request | None:
        return None

    def url(self, ws_url: str, answer: bytes | None) -> str:
        return ws_url

    def to_send(self) -> list[str]:
        return self._outbox.take()

    def receive(self, frame: str | bytes) -> list[Candle]:
        if frame in _PONG:
            return []
        message = answers.decode(_frame, frame, "okx frame")
        if message.event:
            self._receive_event(message)
            return []
        instrument = self._by_name.get(message.arg.instId)
        if instrument is None and message.arg.instId in self._left:
            return []
        if instrument is None or message.arg.channel != _CHANNEL:
            raise Malformed("okx frame of a series not subscribed", f"{message.arg.channel} {message.arg.instId}")
        rows = answers.decode(_live_rows, message.data, "okx candle")
        return answers.ascending(
            _candle(instrument, row, Source.CLOSING_MESSAGE if row.confirm == "1" else Source.RUNNING)
            for row in rows
        )

    def _receive_event(self, message: _Frame) -> None:
        words = f"{message.msg} ({message.code})"
        match message.event:
            case "subscribe" if message.arg.instId in self._by_name:
                self._answered.append(Subscription(self._by_name[message.arg.instId]))
            case "error":
                self._receive_error(message.arg.instId, words)
            case "notice" if message.code == "64008":
                raise Ending(f"OKX announces the end of this connection: {words}")
            case "notice":
                self._notices.append(f"OKX says: {words}")
            case "subscribe" | "unsubscribe" | "channel-conn-count" | "channel-conn-count-error":
                pass
            case _:
                raise Malformed("okx event of no known kind", message.event)

    def _receive_error(self, name: str, words: str) -> None:
        """The market that was refused is named in the sentence alone."""
        named = _NAMED.search(words)
        instrument = self._by_name.pop(named[1] if named else name, None)
        if instrument is not None:
            self._answered.append(Subscription(instrument, words))
        else:
            self._notices.append(f"OKX refused a request: {words}")

    def answered(self) -> list[Subscription]:
        return self._answered.take()

    def notices(self) -> list[str]:
        return self._notices.take()


EXCHANGE: Exchange = Okx()
