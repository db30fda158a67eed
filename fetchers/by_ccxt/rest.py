"""ccxt's REST classes without their I/O: told what to ask they say the request, given the answer they read it.

All that such a class does ends in `fetch(url, method, headers, body)`. Here `fetch` takes the next of the answers
that it was given; where there is none it raises Asking, which carries what would have been asked. So a method that
makes several requests is called again with one answer more, until it returns. `throttle` only notes the price of
the request in the exchange's rate units, and the clock is the moment that the caller names.
"""

import math
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from common.errors import Malformed, Rejected
from common.market import Instrument
from common.ports import Request

#: A moment of asking, which only signed requests need; it would make every request another one.
_STAMP = "timestamp"


class Asking(BaseException):
    """What would be asked now. No `except Exception` of ccxt's may catch it."""

    def __init__(self, url: str, method: str, body: str | None) -> None:
        super().__init__(url)
        self.url, self.method, self.body = url, method, body


class Answers:
    """What stands between a class of ccxt's and the network, for its REST and WebSocket classes alike.

    It is mixed into one of them.
    """

    #: What that class has, which bears no types.
    id: str
    on_json_response: Callable[[str], Any]
    handle_errors: Callable[..., None]
    #: Not yet read, oldest first.
    given: list[bytes]
    cost = 1.0
    #: When the caller asks.
    now_ms = 0

    def answer(self, url: str, method: str, body: str | None) -> Any:
        """The next answer's JSON. Raises Asking when there is none left, and Malformed for what is no JSON."""
        if not self.given:
            raise Asking(url, method, body)
        text = _text(self, self.given.pop(0))
        try:
            read = self.on_json_response(text)
        except (ValueError, RecursionError) as error:
            raise Malformed(f"{self.id} answer", str(error)) from error
        if not isinstance(read, dict | list):
            raise Malformed(f"{self.id} answer", text[:100])
        self.handle_errors(200, "OK", url, method, {}, text, read, {}, body)
        return read


class _Rest(Answers):
    """The lowest methods of a REST class, and `parse_ohlcvs`, which would drop rows that prove something."""

    def fetch(self, url: str, method: str = "GET", headers: Any = None, body: str | None = None) -> Any:
        return self.answer(url, method, body)

    def throttle(self, cost: float | None = None) -> None:
        self.cost = 1.0 if cost is None else cost

    def milliseconds(self) -> int:
        return self.now_ms

    def seconds(self) -> int:
        return self.now_ms // 1000

    def parse_ohlcvs(self, ohlcvs: Any, market: Any = None, timeframe: str = "1m", *_: Any, **__: Any) -> Any:
        return super().parse_ohlcvs(ohlcvs, market, timeframe)  # type: ignore[misc]  # ccxt's, which stands behind


def rest_class(name: str) -> Any:
    """An instance of ccxt's REST class that does no I/O. Imports ccxt."""
    whole = getattr(import_module("ccxt"), name)
    pure = type(name, (_Rest, whole), {})({"enableRateLimit": True, "options": spot_only(whole())})
    pure.given = []
    return pure


def spot_only(client: Any) -> dict[str, Any]:
    """ccxt's options that leave out what is not kept here, in the form that this class takes them."""
    listed = client.options.get("fetchMarkets")
    types = listed.get("types") if isinstance(listed, dict) else None
    chosen = dict.fromkeys(types, False) | {"spot": True} if isinstance(types, dict) else ["spot"]
    options: dict[str, Any] = {"defaultType": "spot", "fetchCurrencies": False, "fetchMarkets": {"types": chosen}}
    return options


def market(client: Any, instrument: Instrument) -> dict[str, Any]:
    """What ccxt knows of a market, made of what we store of it: no listing has to be asked for first."""
    base, quote = instrument.base, instrument.quote
    known = {
        "id": instrument.native,
        "lowercaseId": instrument.native.lower(),
        "symbol": f"{base}/{quote}",
        "base": base,
        "quote": quote,
        "baseId": instrument.native_base or base,
        "quoteId": instrument.native_quote or quote,
        "type": "spot",
        "spot": True,
        "active": True,
        "info": {},
    }
    others = dict.fromkeys(("margin", "swap", "future", "option", "contract"), False)
    made: dict[str, Any] = client.safe_market_structure(known | others)
    return made


def know(client: Any, instruments: Iterable[Instrument]) -> None:
    """These and no others are the client's markets from now on."""
    client.markets = None
    client.set_markets([market(client, one) for one in instruments])


def request_of(client: Any, asking: Asking, own: str, most_weight: int) -> Request:
    """What is asked, below the address `own` or of another host, for ccxt's price, `most_weight` at most."""
    where = urlsplit(asking.url)
    params = dict(parse_qsl(where.query, keep_blank_values=True))
    if params.get(_STAMP) == str(client.now_ms):
        del params[_STAMP]
    path = where.path if origin(asking.url) == own else origin(asking.url) + where.path
    body = None if asking.method == "GET" else asking.body if isinstance(asking.body, str) else ""
    return Request(path, params, max(1, min(math.ceil(client.cost), most_weight)), body)


def asked(call: Callable[[], Any], name: str) -> Asking:
    """What `call` would ask. Raises Rejected, with ccxt's reason, when it cannot ask that at all."""
    try:
        call()
    except Asking as asking:
        return asking
    except Exception as error:  # whatever a class of ccxt's raises
        raise Rejected(f"ccxt cannot ask {name}: {str(error)[:200] or type(error).__name__}") from error
    raise Rejected(f"ccxt asks {name} nothing")


def origin(url: str) -> str:
    """`https://api.kucoin.com`."""
    where = urlsplit(url)
    return f"{where.scheme}://{where.netloc}"


def _text(client: Any, answer: bytes) -> str:
    try:
        return answer.decode()
    except UnicodeDecodeError as error:
        raise Malformed(f"{client.id} answer", "no UTF-8") from error
