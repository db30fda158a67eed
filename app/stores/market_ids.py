"""Which stored market a message means: by the exchange's own name, for ours may have moved on meanwhile."""

from collections.abc import Iterable
from itertools import chain

from common.market import Instrument


class MarketIds(dict[str, int]):
    """The id of each Instrument.key; of those that markets had before, too, where no other has it now."""

    def __init__(self, stored: Iterable[tuple[int, Instrument]] = ()) -> None:
        super().__init__()
        known = list(stored)
        present = [(one, now) for one, now in known]
        former = [(one, before) for one, now in known for before in now.former]
        self._by_native: dict[str, int] = {}
        self._bore = {(one, name.native_key) for one, name in chain(present, former)}
        for one, name in chain(present, former):
            self.setdefault(name.key, one)
            self._by_native.setdefault(name.native_key, one)

    def meant(self, key: str, native_key: str) -> int | None:
        """The market that was called `key` by us, and `native_key` by its exchange, empty where that is not known.

        Who bears our name now may be another market than the one that was told of.
        """
        named = self.get(key)
        if not native_key or (named, native_key) in self._bore:
            return named
        return self._by_native.get(native_key, named)
