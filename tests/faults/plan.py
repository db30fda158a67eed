"""What happens in a round: whose history is fetched, what the exchange does wrong, and who is killed when."""

import random
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from common.span import DAY_MS, Span

#: 2026-09-13; history ends here.
END_MS = 1_789_257_600_000
#: Days of two markets that make some twenty pages of each exchange.
DAYS = {"binance": 8, "bitfinex": 40, "bittrex": 10}


class Victim(StrEnum):
    COMMAND = "the command"
    WORKER = "a worker"
    POSTGRES = "PostgreSQL"
    REDIS = "Redis"
    EMPTIED_REDIS = "Redis with all it held"


@dataclass(frozen=True)
class Kill:
    """`victim` is killed when the exchange was asked `after_requests` more times, and is away for `away_s`."""

    victim: Victim
    after_requests: int
    away_s: float


@dataclass(frozen=True)
class Round:
    seed: int
    exchange: str
    span: Span
    kills: list[Kill]
    #: A switch of the simulator's faults goes with each kill.
    faults: list[dict[str, Any]]


def round_of(seed: int) -> Round:
    """The same for the same seed."""
    chance = random.Random(seed)
    exchange = sorted(DAYS)[seed % len(DAYS)]
    victims = [*Victim, *chance.choices([Victim.WORKER, Victim.POSTGRES, Victim.COMMAND], k=chance.randint(0, 2))]
    chance.shuffle(victims)
    kills = [Kill(victim, chance.randint(1, 4), chance.uniform(0, 0.5)) for victim in victims]
    span = Span(END_MS - DAYS[exchange] * DAY_MS + chance.randrange(1440) * 60_000, END_MS)
    return Round(seed, exchange, span, kills, [_fault(chance) for _ in kills])


def _fault(chance: random.Random) -> dict[str, Any]:
    """Times are in seconds of the clock."""
    kind = chance.choice(["rate_limit", "ban", "slow", "truncate", "maintenance"])
    more: dict[str, dict[str, Any]] = {
        "rate_limit": {"count": chance.randint(1, 2), "retry_after_s": chance.randint(1, 5)},
        "ban": {"seconds": chance.randint(5, 20)},
        "slow": {"seconds": chance.randint(1, 8)},
        "truncate": {"count": chance.randint(1, 4)},
        "maintenance": {},
    }
    return {"kind": kind, **more[kind]}
