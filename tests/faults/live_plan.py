"""What happens to a live feed in a round: what the exchange does wrong, and who is killed, one after the other."""

import random
from dataclasses import dataclass
from enum import StrEnum

EXCHANGES = ("binance", "bitfinex", "bittrex")


class Blow(StrEnum):
    DISCONNECT = "every connection is closed"
    SILENCE = "nothing comes, not even heartbeats"
    HEARTBEATS = "nothing but heartbeats comes"
    MAINTENANCE = "the exchange is under maintenance"
    CORRECTIONS = "closes are told wrongly, and corrected later or never"
    STREAM = "a stream is killed"
    UPDATE = "the updater is killed"
    WORKER = "the worker is killed"
    BEAT = "beat is killed"
    WEB = "the web is killed"
    FROZEN_STREAM = "a stream hangs and is thawed"
    POSTGRES = "PostgreSQL is killed and away"
    REDIS = "Redis is killed"
    EMPTIED_REDIS = "Redis is killed and has lost everything"


@dataclass(frozen=True)
class Round:
    """Each blow lasts for so many minutes of the clock."""

    exchange: str
    blows: list[tuple[Blow, float]]


def live_round_of(seed: int) -> Round:
    """The same for the same seed; every blow once in three rounds or so, in any order."""
    chance = random.Random(seed)
    blows = chance.sample(list(Blow), 6)
    lasting = {Blow.POSTGRES: 6.0, Blow.SILENCE: 3.0, Blow.HEARTBEATS: 3.0, Blow.CORRECTIONS: 2.0}
    return Round(
        EXCHANGES[seed % len(EXCHANGES)], [(blow, chance.uniform(0.2, lasting.get(blow, 1.0))) for blow in blows]
    )
