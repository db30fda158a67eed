"""How people write markets: one of them (`BTC/USDT`, `tBTCUST`), or a selection (`binance:*:USDT, !*:LUNA:*`)."""

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import NamedTuple

from common.errors import BadInput
from common.market import Instrument

_ALLOWED = "*, exchange:*, exchange:BASE:QUOTE, BASE/QUOTE, with * inside any name and ! before what is left out"


def parse_symbol(text: str, instruments: Iterable[Instrument]) -> Instrument:
    """The market of `instruments` that a person calls `text`, in any case, with any of / - : _ or none between.

    The normalised name wins over the exchange's own spelling, a market that trades over one that does not, and
    any present name over what a market was called before.
    Raises BadInput with up to five names that look like it.
    """
    return _found(text, _by_spelling(instruments))


def parse_symbols(texts: Iterable[str], instruments: Iterable[Instrument]) -> list[Instrument]:
    """`parse_symbol` of each."""
    by_spelling = _by_spelling(instruments)
    return [_found(text, by_spelling) for text in texts]


def _by_spelling(instruments: Iterable[Instrument]) -> dict[str, Instrument]:
    instruments = list(instruments)
    ranked = [_spellings(one) for one in sorted(instruments, key=lambda one: not one.is_trading)]
    by_spelling: dict[str, Instrument] = {}
    for spellings in zip(*ranked, strict=True):
        for spelling, instrument in spellings:
            by_spelling.setdefault(spelling, instrument)
    for instrument in instruments:
        for before in instrument.former:
            for spelling, _ in _spellings(before):
                by_spelling.setdefault(spelling, instrument)
    return by_spelling


def _found(text: str, by_spelling: Mapping[str, Instrument]) -> Instrument:
    if (found := by_spelling.get(_plain(text))) is not None:
        return found
    close = get_close_matches(_plain(text), by_spelling, n=20, cutoff=0.6)
    allowed = ", ".join(list(dict.fromkeys(by_spelling[one].symbol for one in close))[:5])
    sentence = f"Unknown symbol {text!r}; " + (f"did you mean {allowed}?" if allowed else "nothing looks like it.")
    raise BadInput("symbol", sentence, allowed)


def _spellings(one: Instrument) -> list[tuple[str, Instrument]]:
    """What the market is called, the surest name first; Bitfinex writes `t` before a pair that trades."""
    names = (
        one.symbol,
        f"{one.native_base}/{one.native_quote}",
        one.native,
        one.base + one.quote,
        one.native_base + one.native_quote,
        f"t{one.native}",
        one.key,
    )
    return [(_plain(name), one) for name in names]


def _plain(text: str) -> str:
    return re.sub(r"[/:_-]+", "/", text.strip().upper())


def matches(pattern_list: str, instrument: Instrument) -> bool:
    """Whether the comma-separated patterns select `instrument`: by its normalised names, the exchange's own, or
    those it had before.

    A pattern after `!` takes out; one without a market type means spot; exclusions alone take out of everything.
    Raises BadInput for a pattern that is none.
    """
    patterns = _parse(pattern_list)
    wanted = [one for one in patterns if not one.excludes]
    if wanted and not any(_selects(one, instrument) for one in wanted):
        return False
    return not any(_selects(one, instrument) for one in patterns if one.excludes)


def validate_patterns(text: str) -> None:
    """Raise BadInput for the setting SYMBOLS when `text` is no list of patterns, or an empty one."""
    _parse(text)


class _Pattern(NamedTuple):
    excludes: bool
    exchange: str
    market_type: str
    base: str
    quote: str


def _selects(pattern: _Pattern, one: Instrument) -> bool:
    if not (fnmatchcase(one.exchange, pattern.exchange) and fnmatchcase(one.market_type, pattern.market_type)):
        return False
    spellings = {
        names
        for each in (one, *one.former)
        for names in ((each.base, each.quote), (each.native_base.upper(), each.native_quote.upper()))
    }
    return any(fnmatchcase(base, pattern.base) and fnmatchcase(quote, pattern.quote) for base, quote in spellings)


_WHERE = r"(?P<exchange>[^:/!]+):(?:(?P<market_type>[^:/!]+):)?"
_FORMS = (
    re.compile(r"(?:(?P<exchange>[^:/!]+):)?\*"),
    re.compile(rf"(?:{_WHERE})?(?P<base>[^:/!]+)/(?P<quote>[^:/!]+)"),
    re.compile(rf"{_WHERE}(?P<base>[^:/!]+):(?P<quote>[^:/!]+)"),
)


@lru_cache(maxsize=32)
def _parse(text: str) -> tuple[_Pattern, ...]:
    patterns = tuple(_pattern(item) for item in re.sub(r"\s+", "", text).split(",") if item)
    if not patterns:
        raise BadInput("SYMBOLS", f"SYMBOLS selects nothing; use {_ALLOWED}.", _ALLOWED)
    return patterns


def _pattern(item: str) -> _Pattern:
    found = next(filter(None, (form.fullmatch(item.removeprefix("!")) for form in _FORMS)), None)
    if found is None:
        raise BadInput("SYMBOLS", f"SYMBOLS holds {item!r}, which is no pattern; use {_ALLOWED}.", _ALLOWED)
    told = {name: value for name, value in found.groupdict().items() if value}
    return _Pattern(
        item.startswith("!"),
        told.get("exchange", "*").lower(),
        told.get("market_type", "spot").lower(),
        told.get("base", "*").upper(),
        told.get("quote", "*").upper(),
    )
