"""How people write markets: one of them (`BTC/USDT`, `tBTCUST`), or a selection (`binance:*:USDT, !*:LUNA:*`)."""

import re
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import NamedTuple

from common.errors import BadInput
from common.market import Instrument

_FORMS = "*, exchange:*, exchange:BASE:QUOTE, BASE/QUOTE, with * inside any name and ! before what is left out"


def parse_symbol(text: str, instruments: Iterable[Instrument]) -> Instrument:
    """The market of `instruments` that a person calls `text`, in any case and with any of the separators / - : _.

    The normalised name wins over the exchange's own spelling, and a market that trades over one that does not.
    Raises BadInput with up to five names that look like it.
    """
    by_spelling: dict[str, Instrument] = {}
    for rank in range(_RANKS):
        for instrument in sorted(instruments := list(instruments), key=lambda one: not one.is_trading):
            by_spelling.setdefault(_spellings(instrument)[rank], instrument)
    if (found := by_spelling.get(_plain(text))) is not None:
        return found
    close = get_close_matches(_plain(text), by_spelling, n=20, cutoff=0.6)
    allowed = ", ".join(list(dict.fromkeys(by_spelling[one].symbol for one in close))[:5])
    sentence = f"Unknown symbol {text!r}; " + (f"did you mean {allowed}?" if allowed else "nothing looks like it.")
    raise BadInput("symbol", sentence, allowed)


_RANKS = 6


def _spellings(one: Instrument) -> tuple[str, ...]:
    """What the market is called, the surest name first; `t` marks a trading pair on Bitfinex."""
    native = f"{one.native_base}/{one.native_quote}"
    names = (one.symbol, native, one.native, one.base + one.quote, f"t{one.native}", one.key)
    return tuple(map(_plain, names))


def _plain(text: str) -> str:
    return re.sub(r"[/:_-]+", "/", text.strip().upper())


def matches(pattern_list: str, instrument: Instrument) -> bool:
    """Whether the comma-separated patterns select `instrument`, by its normalised names or the exchange's own.

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
    spellings = {(one.base, one.quote), (one.native_base.upper(), one.native_quote.upper())}
    return any(fnmatchcase(base, pattern.base) and fnmatchcase(quote, pattern.quote) for base, quote in spellings)


@lru_cache(maxsize=32)
def _parse(text: str) -> tuple[_Pattern, ...]:
    patterns = tuple(_patterns(text))
    if not patterns:
        raise BadInput("SYMBOLS", f"SYMBOLS selects nothing; use {_FORMS}.", _FORMS)
    return patterns


def _patterns(text: str) -> Iterator[_Pattern]:
    for item in filter(None, map(str.strip, text.split(","))):
        where, _, pair = item.removeprefix("!").strip().rpartition(":") if "/" in item else ("", "", "")
        fields = [*filter(None, where.split(":")), *pair.split("/")] if pair else item.removeprefix("!").split(":")
        match [field.strip() for field in fields]:
            case ["*"]:
                names = ("*", "spot", "*", "*")
            case [exchange, "*"] if not pair:
                names = (exchange, "spot", "*", "*")
            case [base, quote] if pair:
                names = ("*", "spot", base, quote)
            case [exchange, base, quote]:
                names = (exchange, "spot", base, quote)
            case [exchange, market_type, base, quote]:
                names = (exchange, market_type, base, quote)
            case _:
                raise BadInput("SYMBOLS", f"SYMBOLS holds {item!r}, which is no pattern; use {_FORMS}.", _FORMS)
        if not all(names):
            raise BadInput("SYMBOLS", f"SYMBOLS holds {item!r} with an empty name; use {_FORMS}.", _FORMS)
        exchange, market_type, base, quote = names
        yield _Pattern(item.startswith("!"), exchange.lower(), market_type.lower(), base.upper(), quote.upper())
