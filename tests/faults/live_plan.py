"""What happens to a live feed in a round: what the exchange does wrong, and who is killed, one after the other."""

import random
from dataclasses import dataclass
from enum import StrEnum

EXCHANGES = ("binance", "bitfinex", "bittrex")
#: So many rounds in a row play every blow once; the last of them has the hour as well.
CYCLE = 5


class Blow(StrEnum):
    DISCONNECT = "every connection is closed"
    SCHEDULED = "every connection is closed after the exchange has said that it will be"
    SILENCE = "nothing comes, not even heartbeats"
    HEARTBEATS = "nothing but heartbeats comes"
    HALF_OPEN = "the network goes quiet: every connection is half-open, new ones too"
    HALF_ANSWER = "answers stop in the middle of their bodies"
    NAMES = "no name resolves, and every connection is cut"
    CERTIFICATE = "a stranger stands in the exchange's place"
    HANDSHAKE = "the exchange breaks every handshake off"
    MAINTENANCE = "the exchange is under maintenance"
    CORRECTIONS = "closes are told wrongly, and corrected later or never"
    UNCLOSED = "the last state of minutes is not told"
    CLOCK = "the machine's clock goes a minute forward, right again, a minute back and right again"
    STREAM = "a stream is killed"
    UPDATE = "the updater is killed"
    WORKER = "the worker is killed"
    BEAT = "beat is killed"
    WEB = "the web is killed"
    FROZEN_STREAM = "a stream hangs and is thawed"
    POSTGRES = "PostgreSQL is killed and away"
    REDIS = "Redis is killed"
    EMPTIED_REDIS = "Redis is killed and has lost everything"
    FULL_REDIS = "Redis has no memory left"
    UNSAVED_REDIS = "Redis cannot write its files"
    FULL_DISK = "PostgreSQL's disk is full"
    FULL_LOGS = "every role is killed, and starts with its log on a full disk"
    HOUR = "PostgreSQL is killed and away for an hour"


#: Minutes of the clock that a blow lasts at most, where one is too little for its end to be noticed.
_LASTING = {
    Blow.POSTGRES: 6.0,
    Blow.SILENCE: 3.0,
    Blow.HEARTBEATS: 3.0,
    Blow.HALF_OPEN: 4.0,
    Blow.CORRECTIONS: 2.0,
    Blow.UNCLOSED: 3.0,
    Blow.FULL_DISK: 4.0,
    Blow.FULL_LOGS: 3.0,
}
HOUR_MINUTES = 60.0


@dataclass(frozen=True)
class Round:
    """Each blow lasts for so many minutes of the clock."""

    exchange: str
    blows: list[tuple[Blow, float]]


def live_round_of(seed: int) -> Round:
    """The same for the same seed."""
    chance = random.Random(seed // CYCLE)
    others = [blow for blow in Blow if blow is not Blow.HOUR]
    chance.shuffle(others)
    chance.seed(seed)
    blows = [(blow, chance.uniform(0.2, _LASTING.get(blow, 1.0))) for blow in others[seed % CYCLE :: CYCLE]]
    if seed % CYCLE == CYCLE - 1:
        blows.append((Blow.HOUR, HOUR_MINUTES))
    return Round(EXCHANGES[seed % len(EXCHANGES)], blows)
