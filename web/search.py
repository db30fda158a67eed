"""Finding markets by whatever somebody types: ranked, over every spelling that a market has or had.

Words are letters and digits alone, in capitals, so `btc-usdt`, `BTC/USDT` and `BTCUSDT` are one word.
"""

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import IntEnum
from string import ascii_uppercase, digits
from typing import NamedTuple

from common.market import Instrument
from web.deps import Stored

_LETTERS = ascii_uppercase + digits
#: Shorter words are one slip away from everything, longer ones are nobody's typing.
_SHORTEST_SLIP, _LONGEST_SLIP = 3, 20
#: Exchanges' codes that people use elsewhere, too.
_ALSO = {"XBT": "BTC", "XDG": "DOGE"}


class Rank(IntEnum):
    """How a market was found; a lower one goes before a higher one."""

    EXACT = 0
    CURRENCY = 1
    FORMER = 2
    PREFIX = 3
    WITHIN = 4
    FUZZY = 5


class Found(NamedTuple):
    """`former` is what the market was called before, where it was found by that."""

    stored: Stored
    rank: Rank
    former: str | None


class _Spelling(NamedTuple):
    place: int
    is_currency: bool
    former: str | None


class Index:
    """`traded` is what each id's trade was worth lately: among equally good answers the larger goes first."""

    def __init__(self, markets: Iterable[Stored], traded: Mapping[int, float]) -> None:
        self._markets = sorted(markets, key=lambda one: _importance(one, traded))
        self._spelled: dict[str, list[_Spelling]] = {}
        for place, stored in enumerate(self._markets):
            for word, spelling in _spellings(stored.instrument, place):
                self._spelled.setdefault(word, []).append(spelling)
        self._words = sorted(self._spelled)

    def find(self, text: str, exchange: str | None, limit: int) -> list[Found]:
        """The best `limit` markets for `text`, of one exchange or of all; nothing typed finds the most traded."""
        best: dict[int, tuple[Rank, str | None]] = {}
        if not text.strip():
            best = dict.fromkeys(self._places(exchange), (Rank.PREFIX, None))
        typed = _typed(text)
        for look in (self._begun, self._within, self._slipped):
            if len(best) >= limit:
                break
            for rank, word in look(typed):
                for place, is_currency, former in self._spelled[word]:
                    if exchange in (None, self._markets[place].instrument.exchange):
                        how = _rank(rank, is_currency=is_currency, former=former), former
                        best[place] = min(best.get(place, how), how, key=_order)
        wanted = sorted(best, key=lambda place: (best[place][0], place))
        return [Found(self._markets[place], *best[place]) for place in wanted[:limit]]

    def _places(self, exchange: str | None) -> Iterator[int]:
        for place, stored in enumerate(self._markets):
            if exchange in (None, stored.instrument.exchange):
                yield place

    def _begun(self, typed: Sequence[str]) -> Iterator[tuple[Rank, str]]:
        for word in typed:
            yield from ((Rank.EXACT if known == word else Rank.PREFIX, known) for known in self._beginning(word))

    def _within(self, typed: Sequence[str]) -> Iterator[tuple[Rank, str]]:
        for word in typed:
            yield from ((Rank.WITHIN, known) for known in self._words if word in known)

    def _slipped(self, typed: Sequence[str]) -> Iterator[tuple[Rank, str]]:
        for word in typed:
            if _SHORTEST_SLIP <= len(word) <= _LONGEST_SLIP:
                for slip in _slips(word):
                    yield from ((Rank.FUZZY, known) for known in self._beginning(slip))

    def _beginning(self, word: str) -> Iterator[str]:
        at = bisect_left(self._words, word)
        while at < len(self._words) and self._words[at].startswith(word):
            yield self._words[at]
            at += 1


def _rank(rank: Rank, *, is_currency: bool, former: str | None) -> Rank:
    if rank is Rank.EXACT:
        return Rank.FORMER if former else Rank.CURRENCY if is_currency else rank
    return rank


def _order(how: tuple[Rank, str | None]) -> tuple[Rank, bool]:
    """A present name goes before a former one."""
    rank, former = how
    return rank, former is not None


def _importance(stored: Stored, traded: Mapping[int, float]) -> tuple[bool, float, int, str]:
    market = stored.instrument
    return not market.is_trading, -traded.get(stored.id, 0.0), len(market.symbol), market.key


def _spellings(market: Instrument, place: int) -> Iterator[tuple[str, _Spelling]]:
    for each in (market, *market.former):
        former = None if each is market else each.symbol
        bases = [each.base, each.native_base or each.base]
        quotes = [each.quote, each.native_quote or each.quote]
        pairs = [each.native, *map("".join, zip(bases, quotes, strict=True))]
        for words, is_currency in ((pairs, False), (bases, True)):
            for word in dict.fromkeys(map(_word, words)):
                yield word, _Spelling(place, is_currency, former)


def _typed(text: str) -> list[str]:
    """The words that `text` may mean: Bitfinex puts a small t before its markets, Kraken has codes of its own."""
    bare = re.sub(r"^t(?=[A-Z0-9]{3})", "", text.strip())
    words = [_word(text), _word(bare)]
    words += [word.replace(code, known) for word in words for code, known in _ALSO.items()]
    return [word for word in dict.fromkeys(words) if word]


def _word(text: str) -> str:
    return "".join(filter(str.isalnum, text)).upper()


def _slips(word: str) -> Iterator[str]:
    """Every word one slip of the keyboard away: a letter too many, too few, another, or two in wrong order."""
    for at in range(len(word) + 1):
        before, after = word[:at], word[at:]
        yield from (before + letter + after for letter in _LETTERS)
        if after:
            yield before + after[1:]
            yield from (before + letter + after[1:] for letter in _LETTERS)
        if len(after) > 1:
            yield before + after[1] + after[0] + after[2:]
