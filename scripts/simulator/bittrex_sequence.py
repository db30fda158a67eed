"""Bittrex numbers the messages of each market; REST tells how far its answer is."""

from collections import Counter


class Sequences:
    """One count per market, the same on every connection."""

    def __init__(self) -> None:
        self._sent: Counter[str] = Counter()

    def now(self, native: str) -> int:
        """The number of the last message."""
        return self._sent[native]

    def following(self, native: str) -> int:
        """The number of the message about to be sent."""
        self._sent[native] += 1
        return self._sent[native]
