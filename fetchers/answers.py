"""What every adapter does alike with what an exchange says: decode, check, tidy a page, name a refusal."""

import math
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from operator import lt
from typing import Annotated, TypeVar

import msgspec

from common.errors import Blocked, Malformed, Rejected, Retryable
from common.market import Candle, Instrument, Source
from common.ports import Listing
from common.span import MINUTE_MS, Span, floor_minute

T = TypeVar("T")

#: Before the year 2286, so that microseconds sent by mistake are refused instead of stored.
_MS = {"ge": 0, "lt": 10**13}
Moment = Annotated[int, msgspec.Meta(**_MS)]
Minute = Annotated[int, msgspec.Meta(**_MS, multiple_of=MINUTE_MS)]
Price = Annotated[float, msgspec.Meta(gt=0, le=sys.float_info.max)]
Amount = Annotated[float, msgspec.Meta(ge=0, le=sys.float_info.max)]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]

#: The separators of our own keys and patterns; a currency's name may not hold them.
_NAME = re.compile(r"[^\s/:;,*!]+")

_new = tuple.__new__


class Mailbox(list[T]):
    """Messages, or whatever else waits to be taken, each once."""

    def take(self) -> list[T]:
        taken = self[:]
        self.clear()
        return taken


def batches(items: Sequence[T], size: int) -> list[Sequence[T]]:
    """`items` in their order, `size` at a time."""
    return [items[at : at + size] for at in range(0, len(items), size)]


def decode(decoder: msgspec.json.Decoder[T], data: bytes | str, kind: str) -> T:
    """The typed value of `data`. Raises Malformed of `kind` for whatever else it is."""
    try:
        return decoder.decode(data)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Malformed(kind, str(error)) from error


def candle(
    instrument: Instrument,
    open_ms: int,
    open_: float,
    high: float,
    low: float,
    close: float,
    volume: float,
    quote_volume: float | None = None,
    trades: int | None = None,
    source: Source = Source.RUNNING,
) -> Candle:
    """A candle of values that their types checked one by one. Raises Malformed when they contradict each other."""
    if not (low <= open_ <= high and low <= close <= high):
        raise Malformed(f"{instrument.exchange} candle outside its own range", f"{instrument.key} at {open_ms}")
    # A third faster than Candle(…), which counts on the path of every live frame.
    row = (instrument, open_ms, open_, high, low, close, volume, quote_volume, trades, source)
    return _new(Candle, row)


def attempt(decoder: msgspec.json.Decoder[T], body: bytes) -> T | None:
    """The typed value of an error's body; None when it is something else, such as a proxy's page."""
    try:
        return decode(decoder, body, "error")
    except Malformed:
        return None


def newest(wanted: Span, minutes: int) -> Span:
    """The last `minutes` minutes of `wanted`, or all of it."""
    return Span(max(wanted.start_ms, floor_minute(wanted.end_ms - 1) - (minutes - 1) * MINUTE_MS), wanted.end_ms)


def is_asked(open_ms: int, span: Span) -> bool:
    """Whether a row that starts at `open_ms` is a minute of `span`.

    Binance served rows off the minute after its outage of 2018-02-09. Such a row mixes the trades of two minutes,
    so it is the candle of neither, and is left out rather than moved.
    """
    return span.start_ms <= open_ms < span.end_ms and open_ms % MINUTE_MS == 0


def ascending(candles: Iterable[Candle]) -> list[Candle]:
    """One candle a minute, oldest first; of two for the same minute the later one is the newer version."""
    listed = list(candles)
    times = [one.open_ms for one in listed]
    if all(map(lt, times, islice(times, 1, None))):  # as nearly always
        return listed
    by_minute = dict(zip(times, listed, strict=True))
    return [by_minute[open_ms] for open_ms in sorted(by_minute)]


def listing(instruments: Sequence[Instrument], skipped: Iterable[str] = ()) -> Listing:
    """The markets that can be kept, each pair once, in the exchange's order, and a sentence for each that cannot.

    Of two markets with the same normalised name the one that trades stays, then the one that bears it natively.
    """
    sentences, kept = list(skipped), dict[str, Instrument]()
    for one in sorted(instruments, key=_precedence):
        if not (_NAME.fullmatch(one.base) and _NAME.fullmatch(one.quote)):
            sentences.append(f"{one.exchange} lists {one.native!r}, whose currencies have no usable names.")
        elif (first := kept.setdefault(one.key, one)) is not one:
            sentences.append(
                f"{one.exchange} lists {first.native} and {one.native}, both {one.symbol}; {first.native} is kept."
            )
    return Listing([one for one in instruments if kept.get(one.key) is one], sentences)


def _precedence(one: Instrument) -> tuple[bool, bool, str]:
    return (not one.is_trading, (one.base, one.quote) != (one.native_base, one.native_quote), one.native)


def readable(name: str, decoder: msgspec.json.Decoder[T], entries: list[msgspec.Raw]) -> tuple[list[T], list[str]]:
    """The entries that can be read, and a sentence for each that cannot."""
    read, skipped = [], []
    for entry in entries:
        try:
            read.append(decode(decoder, entry, "market"))
        except Malformed as error:
            skipped.append(f"{name} lists a market that cannot be read ({error}).")
    return read, skipped


def refused(
    exchange: str,
    status: int,
    headers: Mapping[str, str],
    said: str = "",
    *,
    wait_s: float = 60,
    until_ms: int | None = None,
) -> Exception | None:
    """What an HTTP status means on every exchange; `wait_s` is the pause when a 429 or 418 names none.

    `until_ms` is when a pause ends, where the exchange says so in words.
    """
    sentence = f"{exchange} answered {status}" + (f": {said[:200]}" if said else "")
    if status < 300:
        return None
    if status in (418, 429):
        wait_s = _retry_after_s(headers) or wait_s
        return Retryable(sentence, retry_after_s=wait_s, until_ms=until_ms, status=status)
    if status in (403, 451):
        return blocked(exchange, status)
    if status == 408 or status >= 500:
        return Retryable(sentence, retry_after_s=_retry_after_s(headers), status=status)
    return Rejected(sentence, status=status)


def blocked(exchange: str, status: int) -> Blocked:
    """Binance answers 451 with JSON, Bybit's CloudFront 403 with a page; no other request would fare better."""
    sentence = (
        f"{exchange} refuses this network or country (HTTP {status}): ask it from elsewhere, through HTTPS_PROXY"
        " or from another host, or leave it out of EXCHANGES and choose another."
    )
    return Blocked(sentence, status=status)


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Only seconds: a date would need a clock, and no exchange here sends one."""
    text = headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdecimal() and math.isfinite(float(text)) else None
