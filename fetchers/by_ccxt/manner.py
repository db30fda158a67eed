"""How an exchange is watched through ccxt: by which method, where, and with which greetings."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import msgspec

from common.errors import Rejected
from common.market import Instrument
from common.ports import Request
from fetchers.by_ccxt.rest import Asking, know, origin, request_of
from fetchers.by_ccxt.socket import Saying, finished, socket_class


@dataclass(frozen=True, slots=True)
class Manner:
    """`own` is the host of the socket; where that has to be asked for first, with `request`, who tells it.

    `is_one_each`: each market has an address of its own.
    """

    method: str
    own: str
    request: Request | None
    is_one_each: bool
    ping_s: float | None
    ping: str

    @property
    def has_candles(self) -> bool:
        return self.method == "watch_ohlcv"


def said(client: Any, method: str, instrument: Instrument) -> Saying | Asking:
    """How a market is subscribed to, or what has to be asked before. Raises Rejected when it cannot be."""
    arguments = ("1m",) if method == "watch_ohlcv" else ()
    try:
        finished(getattr(client, method)(instrument.symbol, *arguments))
    except (Saying, Asking) as caught:
        return caught
    except Exception as error:  # whatever a class of ccxt's raises
        raise Rejected(f"ccxt cannot watch {client.name}: {str(error)[:200] or type(error).__name__}") from error
    raise Rejected(f"ccxt cannot watch {client.name}")


def manner_of(name: str, options: dict[str, Any], some: Sequence[Instrument], rest_url: str) -> Manner:
    """Found by watching two markets, without I/O. Raises Rejected when there is nothing to watch."""
    client = socket_class(name, options)
    know(client, some)
    method, first = _first(client, some[0])
    keep_alive_s = (client.streaming or {}).get("keepAlive", 30_000) / 1000
    ping = text_of(client.ping(client.wire)) if client.ping else ""
    greeting = (keep_alive_s if ping else None, ping)
    if isinstance(first, Asking):
        request = request_of(client, first, rest_url, 1)
        return Manner(method, rest_url, request, False, *greeting)
    other = said(client, method, some[1])
    is_one_each = isinstance(other, Saying) and urlsplit(other.url)[:4] != urlsplit(first.url)[:4]
    return Manner(method, origin(first.url), None, is_one_each, *greeting)


def _first(client: Any, some: Instrument) -> tuple[str, Saying | Asking]:
    refusal = Rejected(f"ccxt watches neither candles nor trades of {client.name}, so only its history can be had")
    for method, feature in (("watch_ohlcv", "watchOHLCV"), ("watch_trades", "watchTrades")):
        if client.has.get(feature):
            try:
                return method, said(client, method, some)
            except Rejected as error:
                refusal = error
    raise refusal


def text_of(message: Any) -> str:
    return message if isinstance(message, str) else msgspec.json.encode(message).decode()
