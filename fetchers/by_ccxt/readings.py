"""What a class of ccxt's read of an answer, checked: ccxt passes over what it does not understand."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from common.errors import CandlehouseError, Malformed
from common.market import Candle, Instrument, Source
from fetchers import answers
from fetchers.by_ccxt.rest import Asking

#: Beyond, a time is none in milliseconds.
_LATEST_MS = 10**13
#: How TradingView's charts say that there are no candles.
_NO_DATA = "no_data"


@contextmanager
def reading(kind: str) -> Iterator[list[Asking]]:
    """What ccxt would ask besides, if it does; whatever it stumbles over in the answer is Malformed of `kind`."""
    more: list[Asking] = []
    try:
        yield more
    except Asking as asking:
        more.append(asking)
    except CandlehouseError:
        raise
    except Exception as error:  # whatever a class of ccxt's raises
        raise Malformed(kind, f"{type(error).__name__} {error}"[:200]) from error


def candle(instrument: Instrument, row: Any, source: Source = Source.RUNNING) -> Candle:
    """Of ccxt's `[ms, open, high, low, close, volume]`."""
    kind = f"{instrument.exchange} candle"
    if not isinstance(row, Sequence) or len(row) < 6 or not all(_is_number(value) for value in row[:6]):
        raise Malformed(f"{kind} without all of its numbers", str(row)[:100])
    open_ms, *prices, volume = row[:6]
    if not (isinstance(open_ms, int) and 0 <= open_ms < _LATEST_MS):
        raise Malformed(f"{kind} of no time", str(open_ms))
    if min(prices) <= 0 or volume < 0:
        raise Malformed(f"{kind} that cannot be", str(row)[:100])
    open_, high, low, close = map(float, prices)
    return answers.candle(instrument, open_ms, open_, high, low, close, float(volume), source=source)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def expect_no_rows(body: bytes, kind: str) -> None:
    """Raises Malformed unless the answer says that it has none: an unknown one has none for ccxt, too."""
    if not _has_empty_list(json.loads(body)):
        raise Malformed(kind, f"no candles, and no empty list of them: {body[:100]!r}")


def _has_empty_list(value: Any) -> bool:
    if isinstance(value, dict):
        return value.get("s") == _NO_DATA or any(map(_has_empty_list, value.values()))
    return value == [] or (isinstance(value, list) and any(map(_has_empty_list, value)))


def tick_size(client: Any, market: Mapping[str, Any]) -> float | None:
    """The smallest price step; ccxt says it, or the number of decimals."""
    told = (market.get("precision") or {}).get("price")
    if told is None or not _is_number(told):
        return None
    is_decimals = client.precisionMode == 2  # ccxt's DECIMAL_PLACES
    step = float(f"1e-{told:.0f}") if is_decimals else float(told)
    return step if step > 0 else None
