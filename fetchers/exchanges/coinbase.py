"""Coinbase spot: history of the Exchange API, live minutes made of the Advanced Trade API's trades.

Sources: docs.cdp.coinbase.com `exchange/reference/exchangerestapi_getproductcandles`, `…_getproducts`,
`exchange/rest-api/rate-limits`, `advanced-trade-apis/websocket/websocket-channels`, `…/websocket-rate-limits`;
a recording of 2026.

REST  GET /products/BTC-USD/candles?granularity=60&start=…&end=…, ISO times, both inclusive on open times. Ten
      requests a second. At most 300 rows, newest first, low and high before open; none for minutes without trades.
      [[time_s, low, high, open, close, volume], …]   errors: {"message":"Public rate limit exceeded"} with 429
WS    {"type":"subscribe","product_ids":["BTC-USD"],"channel":"market_trades"}, since `candles` knows only five
      minutes. {"type":"subscribe","channel":"heartbeats"} keeps quiet channels from being closed after 60 to 90 s.
      {"channel":"market_trades","timestamp":…,"sequence_num":0,"events":[{"type":"snapshot","trades":[{"trade_id":
       "1068572090","product_id":"BTC-USD","price":"65083.67","size":"0.002186","side":"SELL",
       "time":"2026-08-09T21:05:42.514318Z"},…]}]}
      The snapshot, one for each product, holds the last hundred trades; newest first, there and in an update.
      {"channel":"subscriptions",…,"events":[{"subscriptions":{"market_trades":["BTC-USD"]}}]} tells all there are.
      {"type":"error","message":"…"} leaves the socket open. `sequence_num` counts the frames of a connection, over
      all channels: a jump means that some were lost.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated

import msgspec

from common.errors import Malformed, Retryable
from common.market import Candle, Instrument, Source
from common.ports import Exchange, Limits, Listing, Page, Request, Subscription
from common.span import Span, floor_minute
from fetchers import answers
from fetchers.answers import Amount, Mailbox, Price
from fetchers.trades import Minutes, Trade

#: What the field calls a currency by another name, as ccxt keeps them.
_RENAMED = {"CGLD": "CELO"}

_PRODUCTS_PER_MESSAGE = 100

_EPOCH, _MILLISECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(milliseconds=1)
_PRODUCT = re.compile(r"\w+-\w+", re.ASCII)


class _Row(msgspec.Struct, array_like=True, gc=False):
    time_s: Annotated[int, msgspec.Meta(ge=0, lt=10**10)]
    low: Price
    high: Price
    open: Price
    close: Price
    volume: Amount


class _Product(msgspec.Struct):
    id: str
    base_currency: str
    quote_currency: str
    status: str
    quote_increment: Annotated[float, msgspec.Meta(gt=0)] | None = None
    trading_disabled: bool = False


class _Frame(msgspec.Struct):
    """Events of a channel, or an error."""

    channel: str = ""
    sequence_num: int | None = None
    events: msgspec.Raw = msgspec.Raw(b"[]")
    type: str = ""
    message: str = ""


class _Trade(msgspec.Struct, gc=False):
    trade_id: int
    product_id: str
    price: Decimal
    size: Decimal
    time: str


class _Trades(msgspec.Struct):
    type: str
    trades: list[_Trade]


class _Subscriptions(msgspec.Struct):
    subscriptions: dict[str, list[str]]


_rows = msgspec.json.Decoder(list[_Row])
_products = msgspec.json.Decoder(list[msgspec.Raw])
_product = msgspec.json.Decoder(_Product, strict=False)
_error = msgspec.json.Decoder(dict[str, object])
_frame = msgspec.json.Decoder(_Frame)
_trades = msgspec.json.Decoder(list[_Trades], strict=False)
_subscriptions = msgspec.json.Decoder(list[_Subscriptions])


def _candle(instrument: Instrument, row: _Row) -> Candle:
    values = row.open, row.high, row.low, row.close, row.volume
    return answers.candle(instrument, row.time_s * 1000, *values, source=Source.RECORD)


def _iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Coinbase:
    """Coinbase spot as pure functions."""

    name = "coinbase"
    rest_url = "https://api.exchange.coinbase.com"
    ws_url = "wss://advanced-trade-ws.coinbase.com"
    # Eight messages a second are for all connections of an address, which open one after the other. Products a
    # connection are not documented.
    limits = Limits(
        weight_per_minute=600,
        weight_per_second=10,
        page_minutes=300,
        subscriptions_per_socket=100,
        connections_per_minute=60,
        messages_per_second=1,
        silence_s=30,
    )
    serves_quiet_minutes = False
    closed = ""

    def instruments_request(self) -> Request:
        return Request("/products")

    def parse_instruments(self, body: bytes) -> Listing:
        entries = answers.decode(_products, body, "coinbase products")
        products, skipped = answers.readable("coinbase", _product, entries)
        return answers.listing([self._instrument(one) for one in products], skipped)

    def _instrument(self, product: _Product) -> Instrument:
        base, quote = product.base_currency, product.quote_currency
        names = _RENAMED.get(base, base).upper(), _RENAMED.get(quote, quote).upper(), product.id, base, quote
        is_trading = product.status == "online" and not product.trading_disabled
        return Instrument(self.name, *names, tick_size=product.quote_increment, is_trading=is_trading)

    def page(self, instrument: Instrument, wanted: Span, now_ms: int) -> Page:
        span = answers.newest(wanted, self.limits.page_minutes)
        bounds = {"start": _iso(span.start_ms), "end": _iso(floor_minute(span.end_ms - 1))}
        return Page(Request(f"/products/{instrument.native}/candles", {"granularity": 60, **bounds}), span)

    def oldest(self, instrument: Instrument) -> Request | None:
        return None

    def parse_candles(self, body: bytes, instrument: Instrument, span: Span) -> list[Candle]:
        return answers.ascending(
            _candle(instrument, row)
            for row in answers.decode(_rows, body, "coinbase candles")
            if answers.is_asked(row.time_s * 1000, span)
        )

    def refusal(self, status: int, headers: Mapping[str, str], body: bytes) -> Exception | None:
        if status < 300:
            return None
        said = (answers.attempt(_error, body) or {}).get("message", "")
        return answers.refused("Coinbase", status, headers, str(said))

    def used_weight(self, headers: Mapping[str, str]) -> int | None:
        return None

    def session(self, instruments: Sequence[Instrument]) -> "CoinbaseSession":
        return CoinbaseSession(instruments)


class CoinbaseSession:
    """One connection: how far it has counted, and the minutes that its trades make."""

    def __init__(self, instruments: Sequence[Instrument]) -> None:
        self._by_product: dict[str, Instrument] = {}
        self._left: set[str] = set()
        self._unconfirmed: set[str] = set()
        self._minutes = Minutes()
        self._last: int | None = None
        self._outbox, self._answered, self._notices = Mailbox[str](), Mailbox[Subscription](), Mailbox[str]()
        self._say({"type": "subscribe", "channel": "heartbeats"})
        self.add(instruments)

    def add(self, instruments: Sequence[Instrument]) -> None:
        new = {one.native: one for one in instruments if one.native not in self._by_product}
        self._by_product.update(new)
        self._left.difference_update(new)
        self._unconfirmed.update(new)
        self._ask("subscribe", list(new))

    def drop(self, instruments: Sequence[Instrument]) -> None:
        old = [one for one in instruments if self._by_product.pop(one.native, None)]
        for one in old:
            self._left.add(one.native)
            self._unconfirmed.discard(one.native)
            self._minutes.forget(one)
        self._ask("unsubscribe", [one.native for one in old])

    def _ask(self, kind: str, products: Sequence[str]) -> None:
        for batch in answers.batches(products, _PRODUCTS_PER_MESSAGE):
            self._say({"type": kind, "product_ids": batch, "channel": "market_trades"})

    def _say(self, message: object) -> None:
        self._outbox.append(msgspec.json.encode(message).decode())

    def handshake(self) -> Request | None:
        return None

    def url(self, ws_url: str, answer: bytes | None) -> str:
        return ws_url

    def to_send(self) -> list[str]:
        return self._outbox.take()

    def receive(self, frame: str | bytes) -> list[Candle]:
        message = answers.decode(_frame, frame, "coinbase frame")
        self._count(message.sequence_num)
        if message.channel == "market_trades":
            return self._receive_trades(bytes(message.events))
        if message.channel == "subscriptions":
            self._receive_subscriptions(
                answers.decode(_subscriptions, bytes(message.events), "coinbase subscriptions")
            )
        elif message.type == "error":
            self._receive_error(message.message)
        elif not message.channel:
            raise Malformed("coinbase frame of no known kind")
        return []

    def _count(self, number: int | None) -> None:
        last, self._last = self._last, self._last if number is None else number
        if number is not None and last is not None and number != last + 1:
            raise Retryable(f"Coinbase skipped from frame {last} to {number}, so that trades may be lost")

    def _receive_trades(self, events: bytes) -> list[Candle]:
        told = list[Candle]()
        try:
            for event in answers.decode(_trades, events, "coinbase trades"):
                for product, trades in _by_product(event.trades).items():
                    told += self._feed(product, trades, is_snapshot=event.type == "snapshot")
        except Malformed:
            self._minutes = Minutes()  # for whichever minutes lack a trade now
            raise
        return sorted(told, key=lambda one: one.open_ms)

    def _feed(self, product: str, trades: list[Trade], *, is_snapshot: bool) -> list[Candle]:
        if (instrument := self._by_product.get(product)) is None:
            if product not in self._left:  # told once
                self._notices.append(f"Coinbase tells trades of {product}, which is not subscribed")
                self._left.add(product)
            return []
        if is_snapshot:
            # Of the oldest one's millisecond there may have been others.
            self._minutes.begin(instrument, min(one.at_ms for one in trades) + 1)
        # REST tells neither a quote volume nor a count, and a record that differs would be a correction.
        return [one._replace(quote_volume=None, trades=None) for one in self._minutes.feed(instrument, trades)]

    def _receive_subscriptions(self, events: list[_Subscriptions]) -> None:
        for product in (one for event in events for one in event.subscriptions.get("market_trades", ())):
            if product in self._unconfirmed:
                self._unconfirmed.remove(product)
                self._answered.append(Subscription(self._by_product[product]))

    def _receive_error(self, words: str) -> None:
        refused = [one for one in dict.fromkeys(_PRODUCT.findall(words)) if one in self._unconfirmed]
        self._unconfirmed.difference_update(refused)
        self._answered += [Subscription(self._by_product.pop(one), words) for one in refused]
        if not refused:
            self._notices.append(f"Coinbase refused a request: {words}")

    def answered(self) -> list[Subscription]:
        return self._answered.take()

    def notices(self) -> list[str]:
        return self._notices.take()


def _by_product(trades: list[_Trade]) -> dict[str, list[Trade]]:
    found = dict[str, list[Trade]]()
    for one in trades:
        found.setdefault(one.product_id, []).append(Trade(one.trade_id, _ms(one.time), one.price, one.size))
    return found


def _ms(text: str) -> int:
    """Cut, not rounded: the last of a minute's nanoseconds is not the next minute's."""
    try:
        return (datetime.fromisoformat(text) - _EPOCH) // _MILLISECOND
    except (ValueError, TypeError) as error:
        raise Malformed("coinbase trade of no time", text) from error


EXCHANGE: Exchange = Coinbase()
