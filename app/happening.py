"""Something that people and programs want to know of a feed: one JSON object, wherever it is told."""

import secrets
from collections.abc import Mapping
from enum import StrEnum

import msgspec


class Kind(StrEnum):
    """connected  a connection carries its markets (again)
    lost       a connection ended; `since_ms` is when it was last heard of
    stale      a market is silent against its own rhythm and was subscribed to again
    refused    the exchange refused the subscription of a market
    healed     REST answered for minutes that the feed had missed
    gap        REST could not be asked for what the feed had missed; it is tried again
    outage     minutes that the exchange itself has no candles of
    """

    CONNECTED = "connected"
    LOST = "lost"
    STALE = "stale"
    REFUSED = "refused"
    HEALED = "healed"
    GAP = "gap"
    OUTAGE = "outage"


class Happening(msgspec.Struct, frozen=True):
    """`at` is UTC ms; `market` is BASE/QUOTE where it concerns one; `facts` are figures named with their units."""

    kind: Kind
    exchange: str
    at: int
    detail: str = ""
    market: str = ""
    facts: dict[str, int] = {}
    id: str = ""


NO_FACTS: Mapping[str, int] = {}
#: Of a sentence.
LONGEST = 500


def happening(
    kind: Kind, exchange: str, at_ms: int, detail: str = "", market: str = "", facts: Mapping[str, int] = NO_FACTS
) -> Happening:
    """A new one, whose id sorts by its time; told twice it is still one.

    The words may be an exchange's: they are cut, and lose what no text of PostgreSQL may hold.
    """
    detail = detail.replace("\0", "")[:LONGEST]
    return Happening(kind, exchange, at_ms, detail, market, dict(facts), f"{at_ms:013d}-{secrets.token_hex(4)}")


encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(Happening).decode
