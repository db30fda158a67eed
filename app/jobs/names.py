"""What the markets of a feed are called now. A line knows each by the name that it had when it came."""

from collections.abc import Iterable

from common.market import Candle, Instrument


class Names:
    """Of the markets that are carried, by Instrument.native_key."""

    def __init__(self) -> None:
        self._now: dict[str, Instrument] = {}

    def learn(self, instruments: Iterable[Instrument]) -> dict[str, Instrument]:
        """These are carried, under these names; by Instrument.key of before those that have another."""
        known = [(self._now.get(one.native_key, one), one) for one in instruments]
        self._now |= {now.native_key: now for _, now in known}
        return {before.key: now for before, now in known if before.key != now.key}

    def forget(self, left: Iterable[Instrument]) -> list[str]:
        """The Instrument.key of each; they are not carried any more."""
        return [self._now.pop(one.native_key, one).key for one in left]

    def of(self, one: Instrument) -> Instrument:
        return self._now.get(one.native_key, one)

    def told(self, candle: Candle) -> Candle:
        """`candle` under its market's present name."""
        now = self._now.get(candle.instrument.native_key, candle.instrument)
        return candle if now.key == candle.instrument.key else candle._replace(instrument=now)
