"""The parameters of a request, read as Binance reads them and refused in its words."""

import re
from typing import Any

import msgspec
from fastapi import Request

from app.stores.candles import LAST_MS
from common.interval import ORIGIN_MS
from common.span import MINUTE_MS
from common.timeframe import Timeframe, Unit, parse
from web.deps import Stored
from web.shapes.binance import route
from web.shapes.binance.route import Refused, deps_of, exchange_of

INTERVALS = ["1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1M"]
DEFAULT_BARS, MOST_BARS = 500, 1000
#: Markets that may be named in one request.
MOST_SYMBOLS = 100
_WHOLE = re.compile(r"[0-9]{1,20}")
_ZONE = re.compile(r"([+-]?)([0-9]{1,2})(?::([0-5][0-9]))?")


def only(request: Request, *names: str) -> None:
    """Refuse parameters that nobody reads, so that a misspelt one is not taken for none."""
    sent = set(request.query_params)
    if unread := sorted(sent - set(names)):
        read = len(sent) - len(unread)
        words = f"Not all sent parameters were read; read '{read}' parameter(s) but was sent '{len(sent)}'."
        raise Refused(route.UNREAD, f"{words} Unknown: {', '.join(unread)}.")


def mandatory(name: str, value: str | None) -> str:
    if not value:
        words = f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."
        raise Refused(route.MANDATORY, words)
    return value


def whole(name: str, value: str | None) -> int | None:
    if value is None:
        return None
    if not value:
        raise Refused(route.EMPTY, f"Parameter '{name}' was empty.")
    if not _WHOLE.fullmatch(value):
        words = f"Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,20}}$'."
        raise Refused(route.ILLEGAL, words)
    return int(value)


def moment(name: str, value: str | None) -> int | None:
    """UTC milliseconds, cut to times that have bars."""
    given = whole(name, value)
    return None if given is None else min(given, LAST_MS)


def limit(value: str | None) -> int:
    given = whole("limit", value)
    if given == 0:
        raise Refused(route.INVALID, "Data sent for parameter 'limit' is not valid.")
    return min(given or DEFAULT_BARS, MOST_BARS)


def timeframe(interval: str, zone: str | None) -> Timeframe:
    """Buckets begin in the time zone, an offset such as `-1:00`, `05:45` or `8`."""
    if interval == "1s":
        raise Refused(route.BAD_INTERVAL, "Invalid interval. Candlehouse has no candles shorter than a minute.")
    if interval not in INTERVALS:
        raise Refused(route.BAD_INTERVAL, "Invalid interval.")
    minutes = _offset_minutes((zone or "0").strip())
    sign, (hours, rest) = "-" if minutes < 0 else "+", divmod(abs(minutes), 60)
    asked = parse(interval, f"{sign}{hours:02}:{rest:02}" if minutes else None)
    shift = minutes % asked.count if asked.unit is Unit.MINUTE else 0
    return Timeframe(asked.count, asked.unit, origin_ms=ORIGIN_MS - shift * MINUTE_MS) if shift else asked


def _offset_minutes(zone: str) -> int:
    found = _ZONE.fullmatch(zone)
    minutes = (int(found[2]) * 60 + int(found[3] or 0)) * (-1 if found[1] == "-" else 1) if found else 9999
    if not -12 * 60 <= minutes <= 14 * 60:
        raise Refused(route.INVALID, "Data sent for parameter 'timeZone' is not valid.")
    return minutes


async def market(request: Request, symbol: str) -> Stored:
    found = await deps_of(request).symbols.find_named(await exchange_of(request), symbol)
    if found is None and any("a" <= letter <= "z" for letter in symbol):
        words = "Illegal characters found in parameter 'symbol'; exchangeInfo lists them in capitals."
        raise Refused(route.ILLEGAL, words)
    if found is None:
        raise Refused(route.BAD_SYMBOL, "Invalid symbol.")
    return found


async def markets(request: Request, symbol: str | None, symbols: str | None) -> list[tuple[str, Stored]] | None:
    """Those named by either parameter, each with its name; None where neither is sent."""
    if symbol is not None and symbols is not None:
        raise Refused(-1128, "Combination of optional parameters invalid.")
    if symbol is None and symbols is None:
        return None
    names = [mandatory("symbol", symbol)] if symbols is None else _list(symbols)
    if len(set(names)) < len(names):
        raise Refused(-1151, "Symbol is present multiple times in the list.")
    return [(name, await market(request, name)) for name in names]


def _list(symbols: str) -> list[str]:
    try:
        names: list[Any] = msgspec.json.decode(symbols, type=list[str])
    except msgspec.MsgspecError:
        raise Refused(route.BAD_JSON, "JSON sent for parameter 'symbols' is not valid") from None
    if not 0 < len(names) <= MOST_SYMBOLS:
        raise Refused(route.INVALID, f"Data sent for parameter 'symbols' is not valid: 1 to {MOST_SYMBOLS} names.")
    return names
