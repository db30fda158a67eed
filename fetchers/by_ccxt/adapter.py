"""An exchange as ccxt knows it, as pure functions: ccxt says what to ask and reads the answers, we ask.

ccxt tells open, high, low, close and volume in base currency; no quote volume, no number of trades, no closing
flag, and not whether minutes without trades are served, so their absence is no gap here. It is imported when
something is asked of the exchange, not when its name is.
"""

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from common.errors import BadInput, Malformed, Rejected
from common.market import Candle, Instrument, Source
from common.ports import Limits, Listing, More, Page, Request, Session
from common.span import DAY_MS, Span
from fetchers import answers
from fetchers.by_ccxt import readings, refusals
from fetchers.by_ccxt.manner import Manner, manner_of
from fetchers.by_ccxt.pages import Bounds, Pages, bounds_of
from fetchers.by_ccxt.rest import Asking, asked, know, origin, request_of, rest_class, spot_only
from fetchers.by_ccxt.session import CcxtSession

#: Of the rate that ccxt allows itself, which is more than some exchanges document.
_SHARE, _MOST_A_MINUTE = 0.5, 10_000
#: A request costs at most so much of what a minute allows, or it would never get its turn.
_MOST_OF_MINUTE = 0.25
#: Any moment that is long over, to find out how an exchange is asked.
_SOME_MS = 1_700_000_040_000
#: Markets of one connection, and how long it may be silent, with and without pings that are answered.
_MOST_MARKETS, _PINGED_SILENCE_S, _SILENCE_S = 100, 60, 300
#: Classes that scale prices by what their listing says of a market, which we do not store.
_SCALED = frozenset({"phemex"})


class CcxtExchange:
    """One of ccxt's exchanges. What it is like is found out when it is first wanted."""

    serves_quiet_minutes = False
    closed = ""

    def __init__(self, name: str) -> None:
        self.name = name

    @cached_property
    def _client(self) -> Any:
        """Raises BadInput when its minutes cannot be had at all."""
        client = rest_class(self.name)
        if not client.has.get("spot"):
            raise BadInput("exchange", f"{client.name} has no spot markets, so it cannot be used here.")
        if not client.has.get("fetchOHLCV") or "1m" not in (client.timeframes or {}) or self.name in _SCALED:
            raise BadInput(
                "exchange", f"ccxt reads no candles of a minute from {client.name}, so it cannot be used here."
            )
        return client

    @property
    def title(self) -> str:
        """As the exchange writes itself."""
        return str(self._client.name)

    def _some(self, native: str) -> Instrument:
        return Instrument(self.name, "BTC", "USDT", native, "BTC", "USDT")

    @cached_property
    def _found(self) -> tuple[Bounds, str, str]:
        """How pages are asked for, the address of the host that answers, and how a market's name may look."""
        self._client.now_ms = _SOME_MS
        try:
            return self._find(self._some("BTC-USDT"))
        except Rejected:
            try:
                return self._find(self._some("1"))
            except Rejected as error:
                raise BadInput("exchange", f"{error}; it cannot be used here.") from error

    def _find(self, some: Instrument) -> tuple[Bounds, str, str]:
        bounds = bounds_of(self._client, lambda *window: self._fetch(some, window), self.title)
        url = asked(lambda: self._fetch(some, (_SOME_MS, 10, _SOME_MS + DAY_MS)), self.title).url
        return bounds, origin(url), some.native

    def _fetch(self, instrument: Instrument, window: tuple[int, int, int | None]) -> Any:
        start_ms, rows, until_ms = window
        know(self._client, [instrument])
        params = {} if until_ms is None else {"until": until_ms}
        return self._client.fetch_ohlcv(instrument.symbol, "1m", start_ms, rows, params)

    @cached_property
    def _pages(self) -> Pages:
        return Pages(self._found[0], self.title)

    @property
    def rest_url(self) -> str:
        return self._found[1]

    @cached_property
    def _weight_per_minute(self) -> int:
        return max(1, min(_MOST_A_MINUTE, int(_SHARE * 60_000 / self._client.rateLimit)))

    @cached_property
    def limits(self) -> Limits:
        bounds = self._found[0]
        return Limits(
            weight_per_minute=self._weight_per_minute,
            page_minutes=bounds.minutes,
            connections_per_minute=20,
            messages_per_second=4,
            weight_per_second=self._weight_per_minute / 60,
            reach_minutes=bounds.reach_minutes,
            **self._live_limits(),
        )

    def _live_limits(self) -> dict[str, Any]:
        """Where nobody pings, an exchange may well be silent while its markets are."""
        try:
            manner = self._manner
        except BadInput:  # it has history alone
            return {"subscriptions_per_socket": _MOST_MARKETS}
        most = 1 if manner.is_one_each else _MOST_MARKETS
        if manner.ping_s is None:
            return {"subscriptions_per_socket": most, "silence_s": _SILENCE_S}
        silence_s = max(_PINGED_SILENCE_S, 3 * manner.ping_s)
        pings = {"ping_s": manner.ping_s, "ping": manner.ping}
        return {"subscriptions_per_socket": most, "silence_s": silence_s, **pings}

    @cached_property
    def _manner(self) -> Manner:
        """How it is watched. Raises BadInput when it cannot be."""
        native = self._found[2]
        other = Instrument(self.name, "ETH", "USDT", native.replace("BTC", "ETH"), "ETH", "USDT")
        try:
            return manner_of(self.name, spot_only(self._client), [self._some(native), other], self.rest_url)
        except Rejected as error:
            raise BadInput("exchange", f"{error}.") from error

    @property
    def ws_url(self) -> str:
        """The host of its socket, or the one that tells where that is."""
        return self._manner.own

    def _request(self, client: Any, asking: Asking) -> Request:
        most = max(1, math.floor(self._weight_per_minute * _MOST_OF_MINUTE))
        return request_of(client, asking, self.rest_url, most)

    def instruments_request(self) -> Request:
        client = self._lister()
        return self._request(client, asked(client.fetch_markets, self.title))

    def _lister(self, *bodies: bytes) -> Any:
        """Of its own, because some keep what they have read."""
        client = rest_class(self.name)
        client.given = [*bodies]
        return client

    def parse_instruments(self, body: bytes) -> Listing:
        return self._listing((body,))

    def _listing(self, bodies: tuple[bytes, ...]) -> Listing:
        client = self._lister(*bodies)
        with readings.reading(f"{self.name} markets") as asking:
            listed = client.fetch_markets()
        if asking:
            return Listing(
                [], [], More(self._request(client, asking[0]), lambda body: self._listing((*bodies, body)))
            )
        read, skipped = [], list[str]()
        for one in listed:
            if one.get("spot"):
                try:
                    read.append(self._instrument(client, one))
                except (KeyError, TypeError, AttributeError, ValueError):
                    skipped.append(f"{self.name} lists a market that cannot be read ({one.get('id')!r}).")
        return answers.listing(read, skipped)

    def _instrument(self, client: Any, one: Mapping[str, Any]) -> Instrument:
        base, quote = one["base"].upper(), one["quote"].upper()
        known_as = base, quote, str(one["id"]), str(one["baseId"] or base), str(one["quoteId"] or quote)
        tick_size = readings.tick_size(client, one)
        return Instrument(self.name, *known_as, tick_size=tick_size, is_trading=one["active"] is not False)

    def page(self, instrument: Instrument, wanted: Span, now_ms: int) -> Page:
        span = self._pages.span(instrument, wanted, now_ms)
        window = self._pages.window(span)
        self._client.now_ms, self._client.given = now_ms, []
        asking = asked(lambda: self._fetch(instrument, window), self.title)
        return Page(self._request(self._client, asking), span)

    def oldest(self, instrument: Instrument) -> Request | None:
        return None

    def parse_candles(self, body: bytes, instrument: Instrument, span: Span) -> list[Candle]:
        """Raises Rejected too, when the answer does not reach back to the beginning of `span`."""
        window = self._pages.window(span)
        self._client.given = [body]
        with readings.reading(f"{self.name} candles") as asking:
            rows = self._fetch(instrument, window)
        if asking:
            raise Malformed(f"{self.name} candles", "ccxt would ask more")
        if not rows:
            readings.expect_no_rows(body, f"{self.name} candles")
        candles = [readings.candle(instrument, row, Source.RECORD) for row in rows]
        told = answers.ascending(candles)
        self._pages.check(instrument, span, [one.open_ms for one in told])
        kept = [one for one in told if answers.is_asked(one.open_ms, span)]
        self._pages.learn(instrument, span, len(kept))
        return kept

    def refusal(self, status: int, headers: Mapping[str, str], body: bytes) -> Exception | None:
        return refusals.refusal(self._client, self.title, status, headers, body)

    def used_weight(self, headers: Mapping[str, str]) -> int | None:
        return None

    def session(self, instruments: Sequence[Instrument]) -> Session:
        return CcxtSession(self.name, spot_only(self._client), self._manner, instruments)
