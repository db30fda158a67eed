"""What the exchange's own log of requests says about how hard it was asked."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from common.span import MINUTE_MS, Span


class Asked(NamedTuple):
    """Weight; `most` of any 60 s wherever they begin, `most_of_clock` of any minute of the exchange's clock."""

    requests: int
    weight: int
    most: int
    most_of_clock: int
    refused: dict[str, int]


def asked(verdicts: Sequence[dict[str, Any]]) -> Asked:
    """`verdicts` as /_sim/verdicts gives them, of one exchange and address, in order."""
    by_minute: Counter[int] = Counter()
    most = in_window = first = 0
    for one in verdicts:
        by_minute[one["at_ms"] // MINUTE_MS] += one["weight"]
        in_window += one["weight"]
        while verdicts[first]["at_ms"] <= one["at_ms"] - MINUTE_MS:
            in_window -= verdicts[first]["weight"]
            first += 1
        most = max(most, in_window)
    refused = Counter(str(one["status"]) for one in verdicts if one["status"] != 200)
    return Asked(len(verdicts), by_minute.total(), most, max(by_minute.values(), default=0), dict(refused))


def used_within(verdicts: Sequence[dict[str, Any]], span: Span) -> int:
    """Weight of the requests that came in `span`."""
    return sum(one["weight"] for one in verdicts if span.has(one["at_ms"]))
