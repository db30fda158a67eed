"""What a person asks for: parsed, checked against what there is, refused in one sentence."""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from app.stores.symbols import StoredSymbol
from common.errors import BadInput
from common.ports import Exchange
from common.span import MINUTE_MS, Span, floor_minute
from common.symbols import matches, parse_symbols

#: Bitcoin's first block: nothing was traded before.
EARLIEST_MS = 1_230_940_800_000

#: Minutes of an exchange's reach that are not counted on, for pages wait for their turn.
REACH_MARGIN_MINUTES = 20

TIME_FORM = "YYYY-MM-DDTHH:MM:SS"
_TIME = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d)?(Z|[+-]\d\d:?\d\d)?)?")


def parse_time(field: str, text: str | None) -> int:
    """UTC milliseconds of `2021-01-01T00:00:00`, also without the time or with Z or an offset."""
    if not text:
        raise BadInput(field, f"Say --{field} {TIME_FORM} (UTC).", TIME_FORM)
    try:
        if not _TIME.fullmatch(text):
            raise ValueError(text)
        then = datetime.fromisoformat(text)
    except ValueError:
        raise BadInput(
            field,
            f"--{field} {text!r} is not a date; write {TIME_FORM} (UTC), such as 2021-01-31T00:00:00.",
            TIME_FORM,
        ) from None
    return round((then if then.tzinfo else then.replace(tzinfo=UTC)).timestamp() * 1000)


def parse_span(start: str | None, end: str | None, now_ms: int) -> Span:
    """The whole minutes with start <= time < end that are over."""
    start_ms, end_ms = parse_time("start", start), parse_time("end", end)
    if start_ms < EARLIEST_MS:
        raise BadInput(
            "start", f"--start {start} is before {time_text(EARLIEST_MS)}, when the first coin was mined."
        )
    if end_ms <= start_ms:
        raise BadInput("end", f"--end {end} must be after --start {start} (the end itself is excluded).")
    if end_ms > now_ms:
        raise BadInput("end", f"--end {end} is in the future; it is {time_text(now_ms)} UTC now.")
    span = Span(_next_minute(start_ms), min(_next_minute(end_ms), floor_minute(now_ms)))
    if span.is_empty():
        raise BadInput("end", f"No whole minute lies between --start {start} and --end {end}.")
    return span


def parse_period(start: str | None, end: str | None, now_ms: int) -> Span:
    """The whole minutes with start <= time < end; without a start from the first coin, without an end to now."""
    start_ms = EARLIEST_MS if start is None else parse_time("start", start)
    end_ms = now_ms if end is None else parse_time("end", end)
    span = Span(_next_minute(start_ms), min(_next_minute(end_ms), floor_minute(now_ms)))
    if span.is_empty():
        raise BadInput("end", f"No whole minute that is over lies between --start {start} and --end {end}.")
    return span


def time_text(ms: int) -> str:
    """`2021-01-31T00:00:00`."""
    return datetime.fromtimestamp(ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def check_open(exchange: Exchange, rest_url: str) -> None:
    """Refuse an exchange that closed, unless its requests go elsewhere (to a simulator)."""
    if exchange.closed and rest_url.rstrip("/") == exchange.rest_url.rstrip("/"):
        raise BadInput("exchange", exchange.closed)


def named(symbols: str, stored: Mapping[str, StoredSymbol]) -> list[StoredSymbol]:
    """The markets of a comma list in any spelling, each once, whether SYMBOLS selects them or not."""
    names = [name.strip() for name in symbols.split(",") if name.strip()]
    if not names:
        raise BadInput("symbols", "--symbols names no market; write them as BTC/USDT,ETH/USDT.")
    found = parse_symbols(names, [one.instrument for one in stored.values()])
    return [stored[key] for key in dict.fromkeys(one.key for one in found)]


def selected(exchange: str, patterns: str, stored: Iterable[StoredSymbol]) -> list[StoredSymbol]:
    """The markets under trade that SYMBOLS selects; BadInput when there is none."""
    chosen = [one for one in stored if one.instrument.is_trading and matches(patterns, one.instrument)]
    if not chosen:
        raise BadInput("symbols", f"SYMBOLS={patterns} selects no market of {exchange}; name some with --symbols.")
    return chosen


def _next_minute(ms: int) -> int:
    return floor_minute(ms + MINUTE_MS - 1)


def reached(exchange: Exchange, span: Span, now_ms: int) -> tuple[Span, str]:
    """What REST serves of `span`, and a sentence where that is not all; BadInput where it is nothing."""
    found = within_reach(exchange, span, now_ms)
    serves = f"{exchange.name} serves only its newest {exchange.limits.reach_minutes} minutes by REST"
    if found.is_empty():
        raise BadInput("end", f"{serves}: nothing of this can be asked for; candlehouse import takes files.")
    if found == span:
        return span, ""
    return found, f"{serves}: what is before {time_text(found.start_ms)} is not asked for."


def kept(horizons: Mapping[int, int], markets: int, span: Span) -> str:
    """What retention has no place for, in a sentence; BadInput where that is all of it."""
    late = [ms for ms in horizons.values() if ms > span.start_ms]
    if not late:
        return ""
    before = f"keep no minutes before {time_text(min(late))} or later (retention)"
    if sum(ms >= span.end_ms for ms in late) == markets:
        word = "market" if markets == 1 else "markets"
        raise BadInput("end", f"These {markets:,} {word} {before}: nothing is asked for.")
    whole = f"{markets:,} market{'s' * (markets != 1)}"
    return f"{len(late)} of {whole} {before}: what is older is not asked."


def within_reach(exchange: Exchange, span: Span, now_ms: int) -> Span:
    """The part of `span` that the exchange's REST still serves, with time left to ask for it."""
    if exchange.limits.reach_minutes is None:
        return span
    oldest_ms = floor_minute(now_ms) - (exchange.limits.reach_minutes - REACH_MARGIN_MINUTES) * MINUTE_MS
    return Span(min(max(span.start_ms, oldest_ms), span.end_ms), span.end_ms)
