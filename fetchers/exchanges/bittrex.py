"""Bittrex v3, which ended on 4 December 2023: recordings and the simulator are its only counterparts.

Sources: bittrex.github.io `_data/api-spec-v3.json`, `samples/V3WebsocketExample.py`, its issues #250, #259, #289;
recordings of March and June 2021.

REST  GET /markets/ETH-BTC/candles/TRADE/MINUTE_1/historical/{year}/{month}/{day} is one whole UTC day, and
      …/recent the last 24 hours. No other parameters; the current day through `historical` is refused with
      STARTDATE_OUT_OF_RANGE. 60 calls a minute are safe. Minutes without trades are served with volume 0.
      [{"startsAt":"2021-06-14T01:54:00Z","open":"…","high":"…","low":"…","close":"…","volume":"…","quoteVolume":"…"}]
WS    ASP.NET SignalR 1.5, hub c3: GET /negotiate gives a token, which /connect wants percent-encoded.
      {"H":"c3","M":"Subscribe","A":[["candle_BTC-USD_MINUTE_1"]],"I":1} is answered, in any order, by
      {"R":[{"Success":true,"ErrorCode":null}],"I":"1"}, one result per channel. Candles come as
      {"C":"d-…","M":[{"H":"C3","M":"candle","A":["<base64 of raw deflate>"]},…]}: upper-case hub, several a frame.
      {"sequence":23417,"marketSymbol":"BTC-EUR","interval":"MINUTE_1","delta":{…as above…},"candleType":"TRADE"}
      Each minute starts with a placeholder of volume 0 and the previous close; nothing says that a minute is over.
      `sequence` grows by one per message of a market. Candles of another type (MIDPOINT) leak into the stream.
"""

import zlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import count
from typing import Annotated
from urllib.parse import quote, urlencode

import msgspec

from common.errors import Malformed, Retryable
from common.market import Candle, Instrument, Source
from common.ports import Exchange, Limits, Listing, Page, Request, Subscription
from common.span import DAY_MS, MINUTE_MS, Span
from fetchers import answers
from fetchers.answers import Amount, Mailbox, Price

_HUB = {"connectionData": '[{"name":"c3"}]', "clientProtocol": "1.5"}
_CHANNELS_PER_MESSAGE = 50
#: A candle message is 300 bytes long; whatever inflates to more is cut off and so is no JSON.
_LARGEST_MESSAGE = 65_536


class _Row(msgspec.Struct, gc=False):
    startsAt: Annotated[datetime, msgspec.Meta(tz=True)]
    open: Price
    high: Price
    low: Price
    close: Price
    volume: Amount
    quoteVolume: Amount

    @property
    def open_ms(self) -> int:
        return round(self.startsAt.timestamp() * 1000)


class _Delta(msgspec.Struct):
    sequence: int
    marketSymbol: str
    interval: str
    delta: _Row
    candleType: str = "TRADE"


class _Push(msgspec.Struct):
    H: str
    M: str
    A: list[msgspec.Raw] = []


class _Result(msgspec.Struct):
    Success: bool
    ErrorCode: str | None = None


class _Frame(msgspec.Struct):
    """Pushes (M), the answer to an invocation (I with R or E), or the transport's keep-alive (nothing at all)."""

    M: list[_Push] = []
    I: int = 0  # noqa: E741 - sent as a number, answered as text
    R: list[_Result] | None = None
    E: str = ""


class _Negotiation(msgspec.Struct):
    ConnectionToken: str


class _Market(msgspec.Struct):
    symbol: str
    baseCurrencySymbol: str
    quoteCurrencySymbol: str
    status: str
    precision: Annotated[int, msgspec.Meta(ge=0, le=30)]


_rows = msgspec.json.Decoder(list[_Row], strict=False)
_delta = msgspec.json.Decoder(_Delta, strict=False)
_frame = msgspec.json.Decoder(_Frame, strict=False)
_packed = msgspec.json.Decoder(bytes)  # from base64
_negotiation = msgspec.json.Decoder(_Negotiation)
_markets = msgspec.json.Decoder(list[msgspec.Raw])
_market = msgspec.json.Decoder(_Market)
_error = msgspec.json.Decoder(dict[str, object])


def _candle(instrument: Instrument, row: _Row, source: Source) -> Candle:
    values = row.open, row.high, row.low, row.close, row.volume, row.quoteVolume
    return answers.candle(instrument, row.open_ms, *values, source=source)


class Bittrex:
    """Bittrex v3 as pure functions."""

    name = "bittrex"
    rest_url = "https://api.bittrex.com/v3"
    ws_url = "wss://socket-v3.bittrex.com/signalr"
    # Only the REST rate is documented; the rest is what the recorded clients did.
    limits = Limits(60, 1440, subscriptions_per_socket=200, connections_per_minute=20, messages_per_second=5)
    serves_quiet_minutes = True
    closed = "Bittrex closed on 4 December 2023; its adapter runs against recordings and the simulator only."

    def instruments_request(self) -> Request:
        return Request("/markets")

    def parse_instruments(self, body: bytes) -> Listing:
        markets, skipped = answers.readable("bittrex", _market, answers.decode(_markets, body, "bittrex markets"))
        return answers.listing([self._instrument(one) for one in markets], skipped)

    def _instrument(self, market: _Market) -> Instrument:
        base, quote_ = market.baseCurrencySymbol, market.quoteCurrencySymbol
        names = base.upper(), quote_.upper(), market.symbol, base, quote_
        tick_size = float(f"1e-{market.precision}")
        return Instrument(self.name, *names, tick_size=tick_size, is_trading=market.status == "ONLINE")

    def page(self, instrument: Instrument, wanted: Span, now_ms: int) -> Page:
        """Whole UTC days, because `historical` serves nothing else; only the current one is `recent`."""
        newest_ms = wanted.end_ms - 1
        day_ms = newest_ms - newest_ms % DAY_MS
        day = datetime.fromtimestamp(day_ms / 1000, UTC)
        part = "recent" if now_ms < day_ms + DAY_MS else f"historical/{day.year}/{day.month}/{day.day}"
        request = Request(f"/markets/{instrument.native}/candles/TRADE/MINUTE_1/{part}")
        return Page(request, Span(max(wanted.start_ms, day_ms), wanted.end_ms))

    def oldest(self, instrument: Instrument) -> Request | None:
        return None

    def parse_candles(self, body: bytes, instrument: Instrument, span: Span) -> list[Candle]:
        return answers.ascending(
            _candle(instrument, row, Source.RECORD)
            for row in answers.decode(_rows, body, "bittrex candles")
            if answers.is_asked(row.open_ms, span)
        )

    def refusal(self, status: int, headers: Mapping[str, str], body: bytes) -> Exception | None:
        if status < 300:
            return None
        code = str((answers.attempt(_error, body) or {}).get("code", ""))
        if code == "THROTTLED":
            return answers.refused("Bittrex", 429, headers, code)
        if code == "STARTDATE_OUT_OF_RANGE":
            # A past day is refused only while the exchange's clock has not reached its end yet.
            return Retryable("Bittrex does not serve this day as history yet", retry_after_s=60, status=status)
        return answers.refused("Bittrex", status, headers, code)

    def used_weight(self, headers: Mapping[str, str]) -> int | None:
        return None

    def session(self, instruments: Sequence[Instrument]) -> "BittrexSession":
        return BittrexSession(instruments)


class BittrexSession:
    """One SignalR connection: what was asked in which invocation, and how far each market has counted."""

    def __init__(self, instruments: Sequence[Instrument]) -> None:
        self._by_market: dict[str, Instrument] = {}
        self._left: set[str] = set()
        self._last: dict[str, int] = {}
        self._jumped: dict[str, int] = {}
        self._asked: dict[int, Sequence[str]] = {}
        self._invocations = count(1)
        self._outbox, self._answered, self._notices = Mailbox[str](), Mailbox[Subscription](), Mailbox[str]()
        self._by_market.update((one.native, one) for one in instruments)
        self._invoke("Subscribe", ["heartbeat", *map(_channel, instruments)])

    def add(self, instruments: Sequence[Instrument]) -> None:
        new = [one for one in instruments if one.native not in self._by_market]
        self._by_market.update((one.native, one) for one in new)
        self._invoke("Subscribe", [_channel(one) for one in new])

    def drop(self, instruments: Sequence[Instrument]) -> None:
        old = [one for one in instruments if self._by_market.pop(one.native, None)]
        for one in old:
            self._left.add(one.native)
            self._last.pop(one.native, None)
            self._jumped.pop(one.native, None)
        self._invoke("Unsubscribe", [_channel(one) for one in old])

    def _invoke(self, method: str, channels: Sequence[str]) -> None:
        for batch in answers.batches(channels, _CHANNELS_PER_MESSAGE):
            number = next(self._invocations)
            self._asked[number] = batch if method == "Subscribe" else ()
            message = {"H": "c3", "M": method, "A": [batch], "I": number}
            self._outbox.append(msgspec.json.encode(message).decode())

    def handshake(self) -> Request | None:
        return Request("/negotiate", _HUB)

    def url(self, ws_url: str, answer: bytes | None) -> str:
        if (negotiation := answers.attempt(_negotiation, answer or b"")) is None:
            raise Retryable("Bittrex's answer to the negotiation holds no token")
        query = {"transport": "webSockets", "connectionToken": negotiation.ConnectionToken, **_HUB}
        return f"{ws_url.rstrip('/')}/connect?{urlencode(query, quote_via=quote, safe='')}"

    def to_send(self) -> list[str]:
        return self._outbox.take()

    def receive(self, frame: str | bytes) -> list[Candle]:
        message = answers.decode(_frame, frame, "bittrex frame")
        self._receive_answer(message)
        pushes = [push for push in message.M if push.H.upper() == "C3" and push.M == "candle"]
        deltas = [answers.decode(_delta, _inflate(push), "bittrex candle") for push in pushes]
        candles = [self._receive_delta(delta) for delta in deltas if delta.candleType == "TRADE"]
        return list(filter(None, candles))

    def _receive_answer(self, message: _Frame) -> None:
        asked = self._asked.pop(message.I, ()) if message.E or message.R else ()
        if message.E:
            for channel in asked:
                self._answer(channel, message.E)
        for channel, result in zip(asked, message.R or (), strict=False):
            self._answer(channel, "" if result.Success else result.ErrorCode or "no reason given")

    def _answer(self, channel: str, refusal: str) -> None:
        market = channel.removeprefix("candle_").removesuffix("_MINUTE_1")
        if (instrument := self._by_market.get(market)) is not None:
            self._answered.append(Subscription(instrument, refusal))
        elif refusal:
            self._notices.append(f"Bittrex refused to subscribe {channel}: {refusal}")

    def _receive_delta(self, delta: _Delta) -> Candle | None:
        instrument = self._by_market.get(delta.marketSymbol)
        if instrument is None and delta.marketSymbol in self._left:
            return None
        if instrument is None or delta.interval != "MINUTE_1":
            raise Malformed("bittrex candle of a series not subscribed", f"{delta.marketSymbol} {delta.interval}")
        if (row := delta.delta).open_ms % MINUTE_MS or row.open_ms < 0:
            raise Malformed("bittrex candle that starts on no minute", str(row.startsAt))
        return _candle(instrument, row, Source.RUNNING) if self._is_next(delta) else None

    def _is_next(self, delta: _Delta) -> bool:
        """Whether the message continues its series. A jump is believed once its successor confirms it, because
        strays of another series bear numbers far away (10774 between 876 and 877), and real jumps happen too.
        """
        market, number = delta.marketSymbol, delta.sequence
        last, jumped = self._last.get(market, number - 1), self._jumped.get(market)
        if number == last or number - 1 not in (last, jumped):
            self._jumped[market] = number
            return False
        if number - 1 != last:
            self._notices.append(f"Bittrex skipped from {last} to {jumped} in {market}")
        self._last[market] = number
        return True

    def answered(self) -> list[Subscription]:
        return self._answered.take()

    def notices(self) -> list[str]:
        return self._notices.take()


def _channel(instrument: Instrument) -> str:
    return f"candle_{instrument.native}_MINUTE_1"


def _inflate(push: _Push) -> bytes:
    """The JSON text in the first argument of a push."""
    packed = answers.decode(_packed, b"".join(push.A[:1]), "bittrex payload")
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, _LARGEST_MESSAGE)
    except zlib.error as error:
        raise Malformed("bittrex payload", str(error)) from error


EXCHANGE: Exchange = Bittrex()
