"""Bitfinex.

Sources: docs.bitfinex.com `docs/ws-general`, `docs/ws-public`, `reference/ws-public-candles`,
`reference/rest-public-candles`, `reference/rest-public-conf`; bitfinex-api-node#324; recordings of 2018 and 2021.

Rows are [MTS, OPEN, CLOSE, HIGH, LOW, VOLUME], close before high, times in ms, numbers not strings; fields may be
appended to any array. A minute without trades has no row, neither by REST nor by WebSocket.

REST  GET /v2/candles/trade:1m:tBTCUSD/hist, at most 10,000 rows, 30 requests a minute. Newest first unless sort=1;
      `start` and `end` both inclusive. A page shorter than its limit, and an empty one, are normal.
      Errors are ["error", code, text] under any status: 11010 rate limit, 20060 maintenance, 10020 parameters.
WS    a channel id, valid for one connection only, names each series:
      {"event":"subscribed","channel":"candles","chanId":343351,"key":"trade:1m:tBTCUSD"}
      [343351,[[…],[…]]] snapshot, newest first   [343351,[…]] update   [343351,"hb"] every 15 s and channel
      With conf flags every array ends with a sequence number or a time. There is no closing flag: the candle
      before the running one is re-sent between its updates, and may carry corrected values.
      Error events leave the socket open. Info 20051: reconnect; 20060: maintenance begins; 20061: it ended.
"""

from collections.abc import Mapping, Sequence

import msgspec

from common.errors import Malformed, Rejected, Retryable
from common.market import Candle, Instrument, Source
from common.ports import Exchange, Limits, Listing, Page, Request, Subscription
from common.span import Span
from fetchers import answers
from fetchers.answers import Amount, Mailbox, Minute, Moment, Price

#: Names that `pub:map:currency:sym` does not translate, as ccxt keeps them; the map wins where it has one.
_RENAMED = {
    "ALG": "ALGO",
    "AMP": "AMPL",
    "ATO": "ATOM",
    "BCHABC": "XEC",
    "BCHN": "BCH",
    "DAT": "DATA",
    "DOG": "MDOGE",
    "DSH": "DASH",
    "IOT": "IOTA",
    "UDC": "USDC",
    "UST": "USDT",
}
_MAINTENANCE_S = 120
_SUBSCRIBED_ALREADY = 10301


class _Row(msgspec.Struct, array_like=True, gc=False):
    open_ms: Moment
    open: Price
    close: Price
    high: Price
    low: Price
    volume: Amount


class _LiveRow(_Row, array_like=True, gc=False):
    open_ms: Minute


class _Data(msgspec.Struct, array_like=True):
    channel: int
    payload: msgspec.Raw


class _Event(msgspec.Struct):
    event: str
    chanId: int = 0
    key: str = ""
    symbol: str = ""
    code: int = 0
    msg: str = ""
    platform: dict[str, int] = {}


class _Conf(msgspec.Struct, array_like=True):
    pairs: list[str]
    currencies: list[str] = []
    names: list[list[str]] = []


class _Error(msgspec.Struct, array_like=True):
    tag: str
    code: int = 0
    message: str = ""


_rows = msgspec.json.Decoder(list[_Row])
_live_row = msgspec.json.Decoder(_LiveRow)
_snapshot = msgspec.json.Decoder(list[_LiveRow])
_data = msgspec.json.Decoder(_Data)
_event = msgspec.json.Decoder(_Event)
_conf = msgspec.json.Decoder(_Conf)
_error = msgspec.json.Decoder(_Error | dict[str, object])


def _candle(instrument: Instrument, row: _Row, source: Source) -> Candle:
    values = row.open, row.high, row.low, row.close, row.volume
    return answers.candle(instrument, row.open_ms, *values, source=source)


class Bitfinex:
    """Bitfinex spot as pure functions."""

    name = "bitfinex"
    rest_url = "https://api-pub.bitfinex.com"
    ws_url = "wss://api-pub.bitfinex.com/ws/2"
    # 25 channels is the smaller of two documented limits. The message rate is not documented; this one is modest.
    limits = Limits(
        weight_per_minute=30,
        page_minutes=10_000,
        subscriptions_per_socket=25,
        connections_per_minute=20,
        messages_per_second=10,
        silence_s=45,
    )
    serves_quiet_minutes = False
    closed = ""

    def instruments_request(self) -> Request:
        return Request("/v2/conf/pub:list:pair:exchange,pub:list:currency,pub:map:currency:sym")

    def parse_instruments(self, body: bytes) -> Listing:
        conf = answers.decode(_conf, body, "bitfinex conf")
        names = _RENAMED | {entry[0]: entry[1] for entry in conf.names if len(entry) == 2}
        instruments, skipped = [], []
        for pair in conf.pairs:
            base, colon, quote = pair.partition(":") if ":" in pair else (pair[:3], "", pair[3:])
            if any(one in ("AAA", "BBB") or one.startswith("TEST") for one in (base, quote)) or (
                base.endswith("F0") and quote.endswith("F0")
            ):
                continue
            unknown = [code for code in (base, quote) if conf.currencies and code not in conf.currencies]
            if not colon and len(pair) != 6:
                skipped.append(f"bitfinex lists {pair!r}, which is neither six letters nor BASE:QUOTE.")
            elif unknown:
                skipped.append(f"bitfinex lists {pair}, but no currency {' or '.join(unknown)}.")
            else:
                normalised = names.get(base, base).upper(), names.get(quote, quote).upper()
                instruments.append(Instrument(self.name, *normalised, pair, base, quote))
        return answers.listing(instruments, skipped)

    def page(self, instrument: Instrument, wanted: Span, now_ms: int) -> Page:
        span = answers.newest(wanted, self.limits.page_minutes)
        params = {"start": span.start_ms, "end": span.end_ms - 1, "limit": self.limits.page_minutes, "sort": 1}
        return Page(Request(f"/v2/candles/{_key(instrument)}/hist", params), span)

    def oldest(self, instrument: Instrument) -> Request | None:
        return Request(f"/v2/candles/{_key(instrument)}/hist", {"start": 0, "limit": 1, "sort": 1})

    def parse_candles(self, body: bytes, instrument: Instrument, span: Span) -> list[Candle]:
        return answers.ascending(
            _candle(instrument, row, Source.RECORD)
            for row in answers.decode(_rows, body, "bitfinex candles")
            if answers.is_asked(row.open_ms, span)
        )

    def refusal(self, status: int, headers: Mapping[str, str], body: bytes) -> Exception | None:
        code, said = _told(body) if status >= 300 or body[:16].lstrip().startswith(b'["error"') else (0, "")
        if code == 11010 or said == "ERR_RATE_LIMIT":
            return answers.refused("Bitfinex", 429, headers, said)
        if code == 20060:
            return Retryable("Bitfinex is under maintenance", retry_after_s=_MAINTENANCE_S, status=status)
        if code == 10020:
            return Rejected(f"Bitfinex refuses the request: {said} ({code})", status=status)
        if code and status < 300:
            return Retryable(f"Bitfinex answered {said} ({code})", status=status)
        return answers.refused("Bitfinex", status, headers, said)

    def used_weight(self, headers: Mapping[str, str]) -> int | None:
        return None

    def session(self, instruments: Sequence[Instrument]) -> "BitfinexSession":
        return BitfinexSession(instruments)


def _key(instrument: Instrument) -> str:
    return f"trade:1m:t{instrument.native}"


def _told(body: bytes) -> tuple[int, str]:
    """The code and the text of an error body."""
    error = answers.attempt(_error, body) or {}
    return (error.code, error.message) if isinstance(error, _Error) else (0, str(error.get("error", "")))


class BitfinexSession:
    """One connection: which channel id means which instrument."""

    def __init__(self, instruments: Sequence[Instrument]) -> None:
        self._by_key: dict[str, Instrument] = {}
        self._by_channel: dict[int, Instrument] = {}
        #: Asked to leave before the exchange gave them a channel; channels left, of which frames may still come.
        self._unwanted: set[str] = set()
        self._left: set[int] = set()
        self._outbox, self._answered, self._notices = Mailbox[str](), Mailbox[Subscription](), Mailbox[str]()
        self.add(instruments)

    def add(self, instruments: Sequence[Instrument]) -> None:
        for one in instruments:
            if (key := _key(one)) in self._by_key:
                continue
            self._by_key[key] = one
            if key in self._unwanted:  # which is still on its way
                self._unwanted.remove(key)
            else:
                self._say({"event": "subscribe", "channel": "candles", "key": key})

    def drop(self, instruments: Sequence[Instrument]) -> None:
        for one in instruments:
            if self._by_key.pop(_key(one), None) is None:
                continue
            channels = [number for number, held in self._by_channel.items() if held.native == one.native]
            for channel in channels:
                self._leave(channel)
            if not channels:
                self._unwanted.add(_key(one))

    def _leave(self, channel: int) -> None:
        self._by_channel.pop(channel, None)
        self._left.add(channel)
        self._say({"event": "unsubscribe", "chanId": channel})

    def _say(self, message: object) -> None:
        self._outbox.append(msgspec.json.encode(message).decode())

    def handshake(self) -> Request | None:
        return None

    def url(self, ws_url: str, answer: bytes | None) -> str:
        return ws_url

    def to_send(self) -> list[str]:
        return self._outbox.take()

    def receive(self, frame: str | bytes) -> list[Candle]:
        if frame[:1] in ("{", b"{"):
            self._receive_event(answers.decode(_event, frame, "bitfinex event"))
            return []
        data = answers.decode(_data, frame, "bitfinex frame")
        payload = bytes(data.payload)
        if payload == b'"hb"':
            return []
        instrument = self._by_channel.get(data.channel)
        if instrument is None and data.channel in self._left:
            return []
        if instrument is None:
            raise Malformed("bitfinex frame of an unknown channel", str(data.channel))
        if payload[1:].lstrip()[:1] in (b"[", b"]"):
            rows = answers.decode(_snapshot, payload, "bitfinex snapshot")
            return answers.ascending(_candle(instrument, row, Source.RUNNING) for row in rows)
        return [_candle(instrument, answers.decode(_live_row, payload, "bitfinex update"), Source.RUNNING)]

    def _receive_event(self, event: _Event) -> None:
        match event.event:
            case "subscribed" if event.key in self._unwanted:
                self._unwanted.remove(event.key)
                self._leave(event.chanId)
            case "subscribed" if event.key in self._by_key:
                self._by_channel[event.chanId] = self._by_key[event.key]
                self._answered.append(Subscription(self._by_key[event.key]))
            case "subscribed":
                raise Malformed("bitfinex acknowledges a key not asked for", event.key)
            case "unsubscribed":
                self._by_channel.pop(event.chanId, None)
            case "error":
                self._receive_error(event)
            case "info":
                self._receive_info(event)

    def _receive_error(self, event: _Event) -> None:
        """A refusal names its market, except where there is no room for another channel."""
        key, words = event.key or f"trade:1m:{event.symbol}", f"{event.msg} ({event.code})"
        self._unwanted.discard(key)
        if event.code != _SUBSCRIBED_ALREADY and key in self._by_key:
            self._answered.append(Subscription(self._by_key.pop(key), words))
        else:
            what = event.key or event.symbol or "a request"
            self._notices.append(f"Bitfinex refused {what}: {words}")

    def _receive_info(self, event: _Event) -> None:
        if event.code in (20051, 20061):
            raise Retryable(f"Bitfinex asks to connect again ({event.code} {event.msg})")
        if event.code == 20060 or event.platform.get("status") == 0:
            raise Retryable("Bitfinex is under maintenance", retry_after_s=_MAINTENANCE_S)
        if event.code:
            self._notices.append(f"Bitfinex says: {event.msg} ({event.code})")

    def answered(self) -> list[Subscription]:
        return self._answered.take()

    def notices(self) -> list[str]:
        return self._notices.take()


EXCHANGE: Exchange = Bitfinex()
